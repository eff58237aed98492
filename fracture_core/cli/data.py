"""The commands on the dataset: `download` and `audit`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from fracture_core.cli.common import add_dataset, bar, command

if TYPE_CHECKING:
    from fracture_core.cli.common import Commands


def add_dataset_commands(commands: Commands) -> None:
    """Add the commands.

    Args:
        commands: Where commands are added.
    """
    parser = command(commands, "download", "Download, verify and install FracAtlas (338 MB, CC BY 4.0).", _download)
    parser.add_argument(
        "--to", type=Path, metavar="FOLDER", help="destination (default: FRACATLAS_DIR, else data/FracAtlas)"
    )
    parser = command(
        commands, "audit", "Find defects in the dataset: truncated files, duplicates, conflicting labels.", _audit
    )
    add_dataset(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _download(arguments: argparse.Namespace) -> int:
    from tqdm import tqdm

    from fracture_core.data.download import download
    from fracture_core.paths import dataset_folder

    with tqdm(unit="B", unit_scale=True, unit_divisor=1024, desc="FracAtlas") as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        folder = download(arguments.to or dataset_folder(), progress=progress)
    print(f"FracAtlas is in {folder}.")
    return 0


def _audit(arguments: argparse.Namespace) -> int:
    from fracture_core.data.audit import audit
    from fracture_core.data.fracatlas import FracAtlas

    defects = audit(FracAtlas(arguments.dataset), progress=bar("auditing"))
    print(defects.to_json() if arguments.json else defects.summary_text())
    return 0

"""How often are upright limb films taken for inverted, and inverted ones noticed?

    FRACATLAS_DIR=... FRACTURE_ELSEWHERE_DIR=... python -m studies.inverted_films [--list]

Prints both shares for FracAtlas's validation films and each source of limb films elsewhere, by the rule that uploads go
through (`inference.scope.understood`); the inverted films are the same ones with black and white exchanged. Bar:
of upright films at most 1 %. What `--list` names is worth a look: some collections hold films that are inverted.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd

from fracture_core.cli.exit_status import exit_status
from fracture_core.data.audit import audit
from fracture_core.data.fracatlas import FracAtlas, find_fracatlas
from fracture_core.data.split import project_split
from fracture_core.evaluation.external_validation import external_folder
from fracture_core.imaging.radiograph import Radiograph, read_radiograph
from fracture_core.inference.scope import understood
from fracture_core.metrics.intervals import wilson


def films() -> Iterator[tuple[str, Path]]:
    """Yield the source and the file of every film to try."""
    dataset = FracAtlas(find_fracatlas())
    for image_id in project_split(dataset, audit(dataset)).val:
        yield "FracAtlas validation", dataset.path(image_id)
    folder = external_folder()
    for file in pd.read_csv(folder / "list.csv")["file"]:
        if file.startswith("limbs"):
            yield file.split("_")[0], folder / file


def exchanged(radiograph: Radiograph) -> bool:
    """Return whether black and white are exchanged before a radiograph is read."""
    return understood(radiograph)[0] is not radiograph


def main() -> int:
    """Print a line a source."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="name the films that were exchanged as they are")
    arguments = parser.parse_args()
    rows = []
    for source, path in films():
        radiograph = read_radiograph(path, accept_cut_short=True)
        inverted = exchanged(replace(radiograph, pixels=255 - radiograph.pixels))
        rows.append((source, path.name, exchanged(radiograph), inverted))
    table = pd.DataFrame(rows, columns=["source", "file", "exchanged", "noticed"])
    for source, part in [*table.groupby("source", sort=False), ("all", table)]:
        false, noticed = int(part["exchanged"].sum()), int(part["noticed"].sum())
        print(f"{source:20} exchanged as they are {false:3} of {len(part)}: {wilson(false, len(part))}", end="   ")
        print(f"noticed when inverted {noticed:3} of {len(part)}: {wilson(noticed, len(part))}")
    if arguments.list:
        print("\n".join(f"  exchanged: {file}" for file in table.loc[table["exchanged"], "file"]))
    return 0


if __name__ == "__main__":
    raise SystemExit(exit_status(main))

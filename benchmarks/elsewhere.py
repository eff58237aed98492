"""How the bundles do on radiographs of other sources than FracAtlas: a row a source, by scale and by body part.

    FRACTURE_ELSEWHERE_DIR=/path/to/images python -m benchmarks.elsewhere [--bundle NAME ...] [--write]

The folder is described in `fracture_core.evaluation.external_validation`. An answer that is not given counts as a miss.
With --write the tables become docs/elsewhere.md; without it they are printed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pandas as pd

from fracture_core.bundle.bundle import Bundle
from fracture_core.bundle.loading import list_bundles, load_bundle
from fracture_core.cli.exit_status import exit_status
from fracture_core.evaluation.external_validation import (
    ExternalValidationError,
    by_fill,
    by_group,
    external_folder,
    markdown_table,
    validate_externally,
)
from fracture_core.files import write_text
from fracture_core.inference.predictor import Predictor
from fracture_core.metrics.curves import roc_auc

PAGE = Path(__file__).resolve().parents[1] / "docs" / "elsewhere.md"
_HEAD = """# How the bundles do on films from elsewhere

Written by `python -m benchmarks.elsewhere --write`; no figure is typed in. 95 % intervals in brackets.

*Not assessed*: called out of scope, no answer. *Caution*: assessed, and said to differ from what was validated.
*Fractures flagged*: at the single threshold from FracAtlas validation; no answer is a miss. Labels as collected: a
trend, not a truth. UNIFESP's films (CC BY-NC-SA 4.0) were measured on only; limbs/rfsci and limbs/knee (CC BY 4.0) also
took part in fitting what tells limb radiographs from other images, so what these two say of *not assessed* is
optimistic.
"""


def section(bundle: Bundle, folder: Path) -> str:
    """Return one bundle's three tables, as Markdown."""

    def progress(done: int, total: int) -> None:
        print(f"\r{bundle.name}: {done} of {total}  ", end="", file=sys.stderr, flush=True)

    measured = validate_externally(Predictor(bundle), folder, progress=progress)
    print(file=sys.stderr)
    limbs = measured[measured["group"].str.startswith("limbs")]
    counted = by_group(measured)
    parts = [
        f"## {bundle.version}",
        markdown_table(counted),
        _apart(limbs),
        "By how much of the film is anatomy, all limb films:",
        markdown_table(by_fill(measured)),
        "By body part, as the sources name it:",
        markdown_table(by_group(limbs, "body_part").rename(columns={"body_part": "body part"})),
    ]
    return "\n\n".join(parts)


def _apart(limbs: pd.DataFrame) -> str:
    """Say how well fractured films and those presumed sound are told apart, of those that are assessed."""
    known = limbs[limbs["fractured"].isin([0, 1]) & limbs["assessed"]]
    fractured = int((known["fractured"] == 1).sum())
    if fractured in (0, len(known)):
        return "No AUC: the films assessed are not of both kinds."
    area = roc_auc(known["fractured"], known["probability"])
    return f"AUC of the {fractured} fractured against the {len(known) - fractured} presumed sound: {area:.3f}."


def main() -> int:
    """Measure each bundle and print the tables, or write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", nargs="+", default=list_bundles())
    parser.add_argument("--folder", type=Path, help="default: FRACTURE_ELSEWHERE_DIR")
    parser.add_argument("--write", action="store_true", help="write docs/elsewhere.md")
    arguments = parser.parse_args()
    try:
        folder = arguments.folder or external_folder()
    except ExternalValidationError as error:
        print(f"Skipped: {error}")
        return 0
    text = "\n\n".join([_HEAD.rstrip(), *(section(load_bundle(name), folder) for name in arguments.bundle)]) + "\n"
    if arguments.write:
        write_text(PAGE, text)
    else:
        print(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(exit_status(main))

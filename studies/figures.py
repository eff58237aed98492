"""Write the README's results from the shipped bundles' own predictions; none is typed in.

python -m studies.figures [--check]
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from fracture_core.bundle.bundle import Bundle
from fracture_core.bundle.loading import DEFAULT_BUNDLE, load_bundle
from fracture_core.cli.exit_status import exit_status
from fracture_core.evaluation.evaluate import Evaluation, evaluate
from fracture_core.files import write_text
from fracture_core.metrics.confusion import Confusion
from fracture_core.metrics.intervals import threshold_table, wilson
from fracture_core.metrics.reference_study import REFERENCE_STUDY

SHIPPED = (DEFAULT_BUNDLE, "efficientnet-lite2-fracatlas")
README = Path(__file__).resolve().parents[1] / "README.md"
BEGIN, END = "<!-- figures: written by python -m studies.figures -->", "<!-- end of figures -->"


def figures(evaluation: Evaluation) -> str:
    """Return the README's block of results for one bundle, as Markdown."""
    e = evaluation
    rows = [
        f"`{e.bundle}` on the {e.n} {e.split} radiographs ({e.fractured} fractured), thresholds chosen on validation;",
        "95 % intervals in brackets.",
        "",
        f"AUC {e.areas['roc_auc']}, average precision {e.areas['average_precision']}, calibration error {e.ece:.3f}.",
        "",
        "| threshold | sensitivity | specificity | TN | FP | FN | TP |",
        "|---|---|---|---|---|---|---|",
        *(_row(f"{name.replace('_', '-')}: {e.thresholds[name]:.3f}", c) for name, c in e.confusions.items()),
        _row("reference study, as published", REFERENCE_STUDY.confusion),
        "",
        *(
            f"Hottest point of the heatmap inside a box, {name}: {hits} of {n}.  "
            for name, (hits, n) in e.pointing.items()
        ),
    ]
    return "\n".join(rows).rstrip()


def elsewhere_figures(bundles: Sequence[Bundle]) -> str:
    """Return the table of what bundles do on films of other sources, as Markdown; "" if none was measured."""
    measured = [bundle for bundle in bundles if bundle.external_validation]
    if not measured:
        return ""
    names = (
        ("limb films refused", "limbs_not_assessed", "limbs"),
        ("other images refused", "others_not_assessed", "others"),
        ("fractures flagged", "flagged", "fractured"),
        ("presumed sound, flagged", "flagged_sound", "sound"),
        ("hottest point in a box", "hits", "boxed"),
    )
    rows = [
        "Films from other sources, read as an upload would be, at the single threshold; no answer is a miss. Labels as",
        "collected: a trend, not a truth ([docs/elsewhere.md](docs/elsewhere.md), source by source).",
        "",
        "| model | " + " | ".join(title for title, _, _ in names) + " |",
        "|---" * (len(names) + 1) + "|",
    ]
    for bundle in measured:
        counts = [
            (bundle.external_validation.get(part), bundle.external_validation.get(whole)) for _, part, whole in names
        ]
        shares = [f"{n} of {of}: {wilson(n, of)}" if of and n is not None else "" for n, of in counts]
        rows.append(f"| {bundle.name} | {' | '.join(shares)} |")
    return "\n".join(rows)


def all_figures() -> str:
    """Return the blocks of every shipped bundle, one below the other, and what they do elsewhere."""
    bundles = [load_bundle(name) for name in SHIPPED]
    blocks = [*(figures(evaluate(bundle)) for bundle in bundles), elsewhere_figures(bundles)]
    return "\n\n".join(filter(None, blocks))


def _row(name: str, matrix: Confusion) -> str:
    rates = threshold_table(matrix)
    counts = " | ".join(str(n) for n in (matrix.tn, matrix.fp, matrix.fn, matrix.tp))
    return f"| {name} | {rates['sensitivity']} | {rates['specificity']} | {counts} |"


def with_figures(text: str, block: str) -> str:
    """Return `text` with `block` between its markers."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{block}\n\n{END}{after}"


def main() -> int:
    """Rewrite README.md; with --check only report whether it is up to date."""
    text = README.read_text("utf-8")
    fresh = with_figures(text, all_figures())
    if "--check" in sys.argv:
        return int(fresh != text)
    write_text(README, fresh)
    return 0


if __name__ == "__main__":
    raise SystemExit(exit_status(main))

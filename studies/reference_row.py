"""Put a run of the reference recipe beside the reference study's published row, and write docs/reference_row.md.

    python -m fracture_core train reference --bundle reference      four to five hours on two cores
    python -m studies.reference_row --bundle reference

Every value is computed from the bundle's predictions of the same 817 test images; how long it was trained, from which
    weights, and how its recipe differs from the reference one is read from its record. The recipe trains every layer,
    so it cannot use cached features. The same recipe with only the last block trainable can, in half an hour, and the
    page then says so:

    python -m fracture_core train reference --bundle reference --start WEIGHTS --set trainable_blocks=1 --set
        fast_path=true
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from fracture_core.bundle.bundle import Bundle
from fracture_core.bundle.loading import load_bundle
from fracture_core.cli.exit_status import exit_status
from fracture_core.errors import FractureCoreError
from fracture_core.files import write_text
from fracture_core.metrics.auc_intervals import area_estimates
from fracture_core.metrics.confusion import Confusion, confusion
from fracture_core.metrics.intervals import threshold_table
from fracture_core.metrics.reference_study import REFERENCE_STUDY
from fracture_core.recipe import Recipe

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference_row.md"


class ReferenceRowError(FractureCoreError):
    """Predictions of images other than the reference study's test set."""


def page(bundle: Bundle) -> str:
    """Return the page as Markdown; raise ReferenceRowError if the bundle's test images are not the study's."""
    table = bundle.predictions()
    test = table[table["split"] == "test"]
    published = REFERENCE_STUDY.confusion
    fractured = int(test["label"].sum())
    if (len(test), fractured) != (published.n, published.positives):
        raise ReferenceRowError(
            f"The bundle was tested on {len(test)} images, {fractured} of them fractured; the reference study on "
            f"{published.n} and {published.positives}. Its row cannot stand beside these."
        )
    truth, logits = test["label"].to_numpy(), test["logit"].to_numpy()
    # The study used 0.5 of an uncalibrated sigmoid; ours is the same network before offset and temperature.
    raw = logits - float(bundle.manifest["provenance"].get("offset") or 0.0)
    rows = [
        _row("published", published),
        _row("this run at 0.5, uncalibrated, as in the study", confusion(truth, raw, 0.0)),
        _row("this run at 0.5, calibrated on val", confusion(truth, test["probability"], 0.5)),
        _row(
            "this run at the threshold for sensitivity 0.90 on val",
            confusion(truth, test["probability"], bundle.points["single"].threshold),
        ),
        _row("no fracture, for every image", Confusion(published.negatives, 0, published.positives, 0)),
    ]
    areas = area_estimates(truth, logits)
    lines = [
        "# The reference recipe beside the published row",
        "",
        f"Bundle `{bundle.name}`, SHA-256 `{bundle.sha256}`, on the study's {len(test)} test images,",
        f"{fractured} of them fractured. Written by `python -m studies.reference_row --bundle {bundle.name}`;",
        "only the published counts are typed in.",
        "",
        *_history(bundle),
        "",
        "| | TN | FP | FN | TP | accuracy | sensitivity | specificity | F1 |",
        "|" + "---|" * 9,
        *rows,
        "",
        f"AUC {areas['roc_auc']}, average precision {areas['average_precision']}.",
        "The study published no scores, so neither is known for it.",
        "",
        *_departures(bundle.recipe),
    ]
    return "\n".join(lines) + "\n"


def _row(name: str, matrix: Confusion) -> str:
    rates = threshold_table(matrix)
    shown = " | ".join(str(rates[key]) for key in ("accuracy", "sensitivity", "specificity", "f1"))
    return f"| {name} | {matrix.tn} | {matrix.fp} | {matrix.fn} | {matrix.tp} | {shown} |"


def _history(bundle: Bundle) -> list[str]:
    record: dict[str, Any] = bundle.manifest["provenance"]
    start, best = record.get("start") or {}, record.get("best") or {}
    lines = [
        f"Trained from `{start.get('source', 'unknown weights')}` for {len(bundle.history())} of the recipe's "
        f"{bundle.recipe.epochs} epochs on {record.get('trained_on', 'an unknown number of')} images.",
    ]
    if best:
        lines.append(f"Kept: epoch {best['epoch']:.0f}, log loss on val {best['val_loss']:.3f}.")
    if start.get("source") != "imagenet":
        lines.append("**Not from ImageNet weights, as the study's was: this repeats its recipe, not its result.**")
    return lines


def _departures(recipe: Recipe) -> list[str]:
    """Return every setting in which the bundle's recipe differs from the project's `reference`."""
    ours, theirs = recipe.to_json(), Recipe.load("reference").to_json()
    changed = [name for name in theirs if name not in ("name", "start") and ours[name] != theirs[name]]
    if not changed:
        return [
            "Its recipe is exactly `fracture_core/recipes/reference.json`, which says how it differs from the study."
        ]
    return [
        "Its recipe differs from `fracture_core/recipes/reference.json` in:",
        "",
        *(f"- `{name}`: {ours[name]!r} instead of {theirs[name]!r}" for name in changed),
    ]


def main() -> int:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", default="reference")
    write_text(PAGE, page(load_bundle(parser.parse_args().bundle)))
    return 0


if __name__ == "__main__":
    raise SystemExit(exit_status(main))

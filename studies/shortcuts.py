"""Measure how much a bundle's predictions depend on borders, markers, grey bottoms and metal; write docs/shortcuts.md.

    FRACATLAS_DIR=/path/to/FracAtlas python -m studies.shortcuts [--bundle NAME] [--limit N]

About two minutes on two idle cores. With --limit only the first N images of each split are read, and the table is
printed instead of written.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from fracture_core.bundle.bundle import Bundle
from fracture_core.bundle.loading import DEFAULT_BUNDLE, load_bundle
from fracture_core.cli.exit_status import exit_status
from fracture_core.data.fracatlas import FracAtlas, find_fracatlas
from fracture_core.evaluation.shortcuts import ProbeResult, probe_split
from fracture_core.files import write_text
from fracture_core.inference.predictor import Predictor
from fracture_core.metrics.curves import roc_auc

PAGE = Path(__file__).resolve().parents[1] / "docs" / "shortcuts.md"
_HEAD = (
    "| change | images changed (fractured) | change of probability: mean | median size | largest | "
    "other category | AUC before | AUC after | difference (95 % interval, DeLong, paired) |"
)


def page(bundle: Bundle, effects: dict[str, list[ProbeResult]], tables: dict[str, pd.DataFrame]) -> str:
    """Return the page as Markdown; `effects` and `tables` (rows of the predictions) are by split."""
    parts = [
        "# How much the predictions depend on shortcuts",
        "",
        f"Bundle `{bundle.name}`, SHA-256 `{bundle.sha256}`.",
        f"Written by `python -m studies.shortcuts --bundle {bundle.name}`; every number is computed.",
        "",
        "Each row changes something other than anatomy and scores the images again. Changes in probability (0..1) and",
        "in category (likely, indeterminate, unlikely) are over the changed images, the AUC over the whole split.",
        "A network that looks at bone only would show zeros throughout.",
    ]
    for split, results in effects.items():
        n, fractured = len(tables[split]), int(tables[split]["label"].sum())
        parts += ["", f"## {split}: {n} radiographs, {fractured} fractured", "", _HEAD, "|" + "---|" * 9]
        parts += [_row(effect) for effect in results]
        parts += ["", *_hardware(tables[split])]
    parts += ["", *(f"- *{e.probe.name}*: {e.probe.words}." for e in next(iter(effects.values())))]
    parts += [
        "- Blacking out the borders also removes parts of the limb that reach the edge of the image, so its row is an",
        "  upper bound. Markers that overlap the limb are not detected and stay.",
    ]
    return "\n".join(parts) + "\n"


def _row(effect: ProbeResult) -> str:
    n, auc = effect.changed, effect.auc
    name = f"| {effect.probe.name} | {n} ({effect.fractured}) |"
    if not n:
        return f"{name} - | - | - | - | {auc.second:.3f} | {auc.first:.3f} | - |"
    size = np.abs(effect.change)
    return (
        f"{name} {effect.change.mean():+.3f} | {np.median(size):.3f} | {size.max():.3f} | "
        f"{effect.moved} ({effect.moved / n:.1%}) | {auc.second:.3f} | {auc.first:.3f} | {auc.difference} |"
    )


def _hardware(table: pd.DataFrame) -> list[str]:
    """Compare predictions with and without hardware, which cannot be removed from an image."""
    lines = ["| | n | fractured | mean probability, fractured | mean probability, others | AUC |", "|" + "---|" * 6]
    for name, part in (("with hardware", table["hardware"] == 1), ("without", table["hardware"] == 0)):
        rows = table[part]
        means = [rows.loc[rows["label"] == label, "probability"].mean() for label in (1, 0)]
        shown = ["-" if np.isnan(mean) else f"{mean:.3f}" for mean in means]
        both = rows["label"].nunique() == 2 and rows["label"].value_counts().min() >= 5
        auc = f"{roc_auc(rows['label'], rows['logit']):.3f}" if both else "too few"
        lines.append(f"| {name} | {len(rows)} | {int(rows['label'].sum())} | {shown[0]} | {shown[1]} | {auc} |")
    return lines


def main() -> int:
    """Probe val and test, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", default=DEFAULT_BUNDLE)
    parser.add_argument("--limit", type=int, metavar="N")
    options = parser.parse_args()
    bundle = load_bundle(options.bundle)
    dataset = FracAtlas(find_fracatlas())
    scorer = Predictor(bundle).scorer
    predictions = bundle.predictions()
    tables = {split: predictions[predictions["split"] == split][: options.limit] for split in ("test", "val")}

    def progress(done: int, total: int) -> None:
        print(f"\r{done} of {total}  ", end="", file=sys.stderr, flush=True)

    effects = {split: probe_split(bundle, scorer, dataset, table, progress=progress) for split, table in tables.items()}
    text = page(bundle, effects, tables)
    if options.limit:
        print(text)
    else:
        write_text(PAGE, text)
    return 0


if __name__ == "__main__":
    raise SystemExit(exit_status(main))

"""Hold every heatmap of a bundle against the radiologists' boxes; write docs/heatmaps.md.

FRACATLAS_DIR=/path/to/FracAtlas python -m studies.heatmaps [--bundle NAME ...] [--limit N]

Some minutes on two idle cores. With --limit only the first N fractured images of each split are read, and the
tables are printed instead of written.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fracture_core.bundle.bundle import Bundle
from fracture_core.bundle.loading import DEFAULT_BUNDLE, load_bundle
from fracture_core.cli.exit_status import exit_status
from fracture_core.data.dataset import Dataset
from fracture_core.data.fracatlas import FracAtlas, find_fracatlas
from fracture_core.evaluation.heatmap_scores import LocalisationRow, LocalisationScore, score_heatmap, summarise
from fracture_core.explain.heatmap_methods import METHODS
from fracture_core.files import write_text
from fracture_core.imaging.radiograph import read_radiograph
from fracture_core.inference.predictor import Predictor
from fracture_core.metrics.formatting import estimate_text

PAGE = Path(__file__).resolve().parents[1] / "docs" / "heatmaps.md"
BUNDLES = (DEFAULT_BUNDLE, "efficientnet-lite2-fracatlas")
#: HiRes-CAM is left out: behind average pooling it is Grad-CAM.
SHOWN = ("localiser", "grad-cam", "grad-cam++")
_HEAD = "| heatmap | boxes | n | hottest point in a box | evidence in the boxes | overlap with the boxes |"


def measure(bundle: Bundle, dataset: Dataset, ids: Sequence[str]) -> dict[str, list[LocalisationRow]]:
    """Give the figures of every method over the outlined images of `ids`: all, then small, medium and large boxes."""
    reader = Predictor(bundle)
    scored: dict[str, list[LocalisationScore]] = {method: [] for method in SHOWN}
    for done, image_id in enumerate(ids, 1):
        boxes = dataset.boxes(image_id)
        if len(boxes):
            finding = reader.predict(read_radiograph(dataset.path(image_id), accept_cut_short=True))
            for method, scores in scored.items():
                scores.append(score_heatmap(image_id, finding.heatmap(method), boxes))
        print(f"\r{bundle.name}: {done} of {len(ids)}  ", end="", file=sys.stderr, flush=True)
    return {method: summarise(scores) for method, scores in scored.items()}


def section(split: str, rows: dict[str, list[LocalisationRow]]) -> str:
    """Give one bundle's table on one split, as Markdown; the centre's rows stand for all methods."""
    lines = [f"### {split}", "", _HEAD, "|" + "---|" * 6]
    for method, summary in rows.items():
        lines += [
            _row(METHODS[method].title, r, estimate_text(r.pointing), estimate_text(r.energy), estimate_text(r.iou))
            for r in summary
        ]
    for r in next(iter(rows.values())):
        figures = (r.centre_pointing, r.centre_energy, r.centre_iou)
        lines.append(_row("the image centre", r, *map(estimate_text, figures)))
    return "\n".join(lines) + "\n"


def _row(title: str, r: LocalisationRow, pointing: str, energy: str, overlap: str) -> str:
    size = f"{r.name} ({r.smallest:.0%} to {r.largest:.0%})" if r.n else r.name
    return f"| {title} | {size} | {r.n} | {pointing} | {energy} | {overlap} |"


def page(sections: dict[str, list[str]]) -> str:
    """Give the whole page: `sections` by the bundle's version."""
    names = " ".join(version.split()[0] for version in sections)
    parts = [
        "# Do the heatmaps point at the fracture?",
        "",
        f"Written by `python -m studies.heatmaps --bundle {names}`; no figure is typed in. 95 % intervals in brackets.",
        "",
        "Every fractured image that radiologists outlined. *Hottest point in a box*: the pointing game, without a",
        "margin. *Evidence in the boxes*: which share of all positive evidence lies there (mean). *Overlap*:",
        "intersection over union of the boxes and what is above half of the map's greatest value (mean). The sizes are",
        "thirds of the images by their largest box, its side given as a share of the image's. The last rows are a",
        "map that knows nothing: a bell round the image centre. Every heatmap is made of cells 8 pixels wide in the",
        "network's input. The pages show first whichever points best on validation, Grad-CAM if it does as well.",
    ]
    for version, rows in sections.items():
        parts += ["", f"## {version}", "", *rows]
    return "\n".join(parts).rstrip() + "\n"


def main() -> int:
    """Measure each bundle on val and test, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", nargs="+", default=BUNDLES)
    parser.add_argument("--limit", type=int, metavar="N")
    options = parser.parse_args()
    dataset = FracAtlas(find_fracatlas())
    sections = {}
    for bundle in map(load_bundle, options.bundle):
        table = bundle.predictions()
        fractured = table[table["label"] == 1]
        sections[bundle.version] = [
            section(split, measure(bundle, dataset, list(rows["image_id"])))
            for split in ("test", "val")
            for rows in [fractured[fractured["split"] == split][: options.limit]]
        ]
    if options.limit:
        print(page(sections))
    else:
        write_text(PAGE, page(sections))
    return 0


if __name__ == "__main__":
    raise SystemExit(exit_status(main))

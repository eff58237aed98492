"""Fit the model that suggests that a film lies on its side, and measure it.

    FRACATLAS_DIR=... python -m studies.fit_orientation [--write]

It is fitted on the train radiographs of FracAtlas, mirrored and cropped at random, each turned by 0 to 3 quarters; the
penalty and the threshold were chosen on validation. If FRACTURE_ELSEWHERE_DIR is set, it is measured on the films in
it, which it is never fitted on. Three minutes on an idle core.
"""

from __future__ import annotations

import argparse
import csv
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from fracture_core.cli.exit_status import exit_status
from fracture_core.data.audit import audit
from fracture_core.data.fracatlas import FracAtlas
from fracture_core.data.split import project_split
from fracture_core.files import atomic_write
from fracture_core.imaging.appearance.orientation import WEIGHTS, features, middle, quarter_turns_to_upright
from fracture_core.imaging.radiograph import read_radiograph

_PENALTY = 0.003
#: Smallest part of the shorter side that a random crop keeps.
_CROP = 0.7


def views(pixels: np.ndarray, random: np.random.Generator) -> Iterable[np.ndarray]:
    """Yield the middle of an image, and random crops of it and of its mirror image."""
    yield pixels
    for image in (pixels, pixels[:, ::-1], pixels[:, ::-1]):
        side = int(min(image.shape) * random.uniform(_CROP, 1))
        top, left = (random.integers(0, whole - side + 1) for whole in image.shape)
        yield image[top : top + side, left : left + side]


def fit(images: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return weights (4, n) and biases (4,) of a model of the quarters an image was turned by, counter-clockwise."""
    random, rows = np.random.default_rng(0), []
    for pixels in images:
        for view in views(pixels, random):
            square = middle(np.ascontiguousarray(view))
            if square is not None:
                rows += [features(np.ascontiguousarray(np.rot90(square, turns))) for turns in range(4)]
    table, turns = np.array(rows), np.tile(np.arange(4), len(rows) // 4)
    scaler = StandardScaler().fit(table)
    model = LogisticRegression(C=_PENALTY, max_iter=200).fit(scaler.transform(table), turns)
    weights = model.coef_ / scaler.scale_
    return weights, model.intercept_ - weights @ scaler.mean_


def report(name: str, images: list[np.ndarray]) -> None:
    """Print how many upright images are flagged, and how many turned ones."""
    fitted = np.array(
        [[quarter_turns_to_upright(np.ascontiguousarray(np.rot90(i, k))) for k in range(4)] for i in images]
    )
    upright, turned = fitted[:, 0] > 0, fitted[:, [1, 3]]
    right = (turned == [1, 3])[turned > 0].mean() if (turned > 0).any() else np.nan
    over, side = (fitted[:, 2] > 0).mean(), (turned > 0).mean()
    print(f"{name:20}{len(images):5} films; flagged as they are {upright.mean():.1%}, upside down {over:.1%}", end=", ")
    print(f"on a side {side:.1%} (of these turned the right way {right:.0%})")


def elsewhere(folder: Path) -> dict[str, list[np.ndarray]]:
    """Return the films of elsewhere by kind and source."""
    groups: dict[str, list[np.ndarray]] = {}
    with (folder / "list.csv").open(encoding="utf-8") as table:
        for row in csv.DictReader(table):
            group = row["file"].rpartition("_")[0]
            groups.setdefault(group, []).append(read_radiograph(folder / row["file"], accept_cut_short=True).pixels)
    return groups


def main() -> None:
    """Fit, measure, and write where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="fit anew and put the weights into the package")
    options = parser.parse_args()
    dataset = FracAtlas()
    split = project_split(dataset, audit(dataset))

    def pixels(image_id: str) -> np.ndarray:
        return read_radiograph(dataset.path(image_id), accept_cut_short=True).pixels

    if options.write:
        weights, bias = fit(pixels(image_id) for image_id in split.train)
        with atomic_write(WEIGHTS) as temporary:
            save_file(
                {"weights": np.ascontiguousarray(weights, np.float16), "bias": bias.astype(np.float32)}, temporary
            )
    report("FracAtlas validation", [pixels(image_id) for image_id in split.val])
    if os.environ.get("FRACTURE_ELSEWHERE_DIR"):
        for group, images in elsewhere(Path(os.environ["FRACTURE_ELSEWHERE_DIR"])).items():
            report(group, images)


if __name__ == "__main__":
    raise SystemExit(exit_status(main))

"""Fit the scope model: random views of the training radiographs against images that are not limb radiographs.

What is none: images drawn at random (`made_up`), and a folder of others, `outside/` in it; `limbs/`, where it exists,
holds further limb radiographs. Both stay where they are; a bundle keeps the coefficients alone, and its card says what
they were fitted on. Neither test images nor films that may only be measured on take part.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from fracture_core.bundle.scope import STATISTICS, ScopeModel
from fracture_core.data.image_pyramid import ImagePyramid, image_pyramid
from fracture_core.data.random_views import random_view
from fracture_core.errors import FractureCoreError
from fracture_core.imaging.letterbox import letterbox
from fracture_core.imaging.radiograph import read_radiograph
from fracture_core.inference.scorer import Scorer
from fracture_core.training.synthetic_images import synthetic_image

#: Names the folder of images to fit on, where no other is given.
OUTSIDERS_SETTING = "FRACTURE_OUTSIDERS_DIR"
_SUFFIXES = {".jpg", ".jpeg", ".png"}
_NO_BOXES = np.empty((0, 4), np.float32)
_BATCH = 32
#: Larger images are reduced to this many pixels along the longer side.
_LONGEST = 800
#: Share of held-out limb views that the threshold leaves out of scope.
_REFUSED = 0.02
#: Share of the training films that lies beyond either end of what is called usual, as quantiles.
_USUAL = (0.01, 0.99)
_FEWEST = 20
#: Least and greatest resolution of a view, in pixels along the longer side.
_RESOLUTIONS = (44, 500)
#: About as many views are made of each kind of image that is no limb.
_VIEWS_OF_A_KIND = 600
FILMS, LIMBS = "training films", "other limb films"
#: How much the two kinds of limb films count; what is no limb counts as much as both, each kind of it the same.
_SHARES = {FILMS: 0.35, LIMBS: 0.15}


class ScopeFitError(FractureCoreError):
    """A folder without the images that a fit needs."""


@dataclass(frozen=True)
class ScopeFit:
    """A fitted model, the number of images of each kind that it was fitted on, and its results on those held out."""

    model: ScopeModel
    fitted_on: Mapping[str, int]
    held_out: Mapping[str, float]

    def record(self) -> dict[str, Any]:
        """Return what a bundle records of the fit.

        Returns:
            Plain data: the images it was fitted on, and its results on those held out.
        """
        return {"fitted_on": dict(self.fitted_on), "held_out": dict(self.held_out)}


def outsiders_folder() -> Path | None:
    """Return the folder that FRACTURE_OUTSIDERS_DIR names.

    Returns:
        The folder; None if the variable is not set.
    """
    named = os.environ.get(OUTSIDERS_SETTING, "").strip()
    return Path(named) if named else None


def fit_scope(
    scorer: Scorer,
    train: Sequence[Path],
    outsiders: Path,
    *,
    films: int = 700,
    made_up: int = 250,
    seed: int = 0,
) -> ScopeFit:
    """Fit the scope model of a network.

    Args:
        scorer: The network.
        train: Its training radiographs.
        outsiders: A folder with `outside/` and, where there are any, `limbs/`.
        films: How many of the training radiographs to use.
        made_up: How many images to draw.
        seed: What the random choices start from.

    Returns:
        The model, with a fifth of the images held out for its threshold.

    Raises:
        ScopeFitError: The folder has too few images.
        UnreadableRadiograph: A file is no image.
    """
    rng, scorer = np.random.default_rng(seed), scorer.first_view()
    chosen = [train[i] for i in sorted(rng.permutation(len(train))[:films])]
    others, limbs = images_in(outsiders / "outside"), images_in(outsiders / "limbs")
    if len(others) < _FEWEST:
        raise ScopeFitError(f"{outsiders} has {len(others)} images in outside/; a fit needs {_FEWEST} at least.")
    groups = {
        FILMS: _views((_pixels(path) for path in chosen), scorer.size, 2, 0.6, rng),
        LIMBS: _views((_pixels(path) for path in limbs), scorer.size, 3, 0.7, rng),
    }
    for kind in sorted({path.parent for path in others}):
        paths = [path for path in others if path.parent == kind]
        # Few images of a kind are seen more often; a close-up of a chest can look like one of a limb, so that what is
        # no limb is shown more nearly whole.
        number = int(np.clip(round(_VIEWS_OF_A_KIND / len(paths)) - 1, 1, 10))
        groups[f"no limb: {kind.name}"] = _views(map(_pixels, paths), scorer.size, number, 0.85, rng)
    groups["no limb: drawn"] = _views((synthetic_image(rng) for _ in range(made_up)), scorer.size, 0, 1, rng)
    parts, rows = [], []
    for name, views in groups.items():
        while batch := list(islice(views, _BATCH)):
            parts.append(scorer.score(np.stack([square for square, _, _ in batch]))["scope"])
            rows += [(name, number, plain) for _, number, plain in batch]
    table = pd.DataFrame(rows, columns=["group", "number", "plain"])
    return _fitted(np.concatenate(parts), table)


def images_in(folder: Path) -> list[Path]:
    """Return the images in a folder and those below it, in order of their paths.

    Args:
        folder: It may be missing.

    Returns:
        The paths.
    """
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES)


def _pixels(path: Path) -> np.ndarray:
    pixels = read_radiograph(path, accept_cut_short=True).pixels
    scale = _LONGEST / max(pixels.shape)
    return cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else pixels


def _views(
    images: Iterator[np.ndarray], size: int, views: int, whole: float, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, int, bool]]:
    """Yield each image as it is and in random views: uint8 (S, S), the image's number, whether it is as it is."""
    before: ImagePyramid | None = None
    for number, pixels in enumerate(images):
        yield letterbox(pixels, size)[0], number, True
        for _ in range(views):
            pyramid = image_pyramid(_coarser(pixels, rng), _NO_BOXES)
            beside = [(before, False)] if before is not None and rng.random() < 0.15 else []
            yield random_view(pyramid, False, size, rng, whole=whole, beside=beside).square, number, False
            before = pyramid


def _coarser(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Lower an image's resolution at random.

    Limb films are sharp, and what could be had of other parts of the body is not: without this, sharpness would be what
    tells them apart.
    """
    scale = float(np.exp(rng.uniform(*np.log(_RESOLUTIONS)))) / max(pixels.shape)
    if scale < 1:
        height, width = (max(8, round(side * scale)) for side in pixels.shape)
        pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    if scale < 0.6 and rng.random() < 0.7:
        pixels = cv2.resize(pixels, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    return pixels


def _weights(group: pd.Series) -> np.ndarray:
    """Return each row's weight, float64 (n,), with a mean of 1: what its kind counts over how often it occurs."""
    kinds = group.value_counts()
    others = [kind for kind in kinds.index if kind not in _SHARES]
    share = {kind: _SHARES.get(kind, 0.5 / max(1, len(others))) for kind in kinds.index}
    weights = group.map({kind: share[kind] / kinds[kind] for kind in kinds.index}).to_numpy()
    return weights * (len(group) / weights.sum())


def _fitted(features: np.ndarray, table: pd.DataFrame) -> ScopeFit:
    """Fit on features (n, F) of the views that `table` names, row by row; every fifth image sets the threshold."""
    from sklearn.linear_model import LogisticRegression  # slow to import, and only fitting needs it

    limb = table["group"].isin([FILMS, LIMBS]).to_numpy()
    held = (table["number"] % 5 == 4).to_numpy()  # all views of an image, or none
    mean, scale = features[~held].mean(0), features[~held].std(0) + 1e-3
    model = LogisticRegression(C=0.005, max_iter=400)
    shares = _weights(table["group"][~held])
    model.fit(np.clip((features[~held] - mean) / scale, -6, 6), limb[~held], sample_weight=shares)
    ranges = np.quantile(features[(table["group"] == FILMS) & table["plain"]][:, -STATISTICS:], _USUAL, axis=0)
    scope = ScopeModel(
        mean=mean, scale=scale, weights=model.coef_[0], bias=float(model.intercept_[0]), threshold=0.0, ranges=ranges
    )
    logits = scope.margin(features[held])
    inside, outside = logits[limb[held]], logits[~limb[held]]
    threshold = min(float(np.quantile(inside, _REFUSED)), 0.0)
    return ScopeFit(
        model=replace(scope, threshold=threshold),
        fitted_on=table[table["plain"]].groupby("group", sort=False).size().to_dict(),
        held_out={
            "limb views in scope": float((inside >= threshold).mean()),
            "other views out of scope": float((outside < threshold).mean()),
        },
    )

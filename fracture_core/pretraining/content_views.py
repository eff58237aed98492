"""Views of many images, to fit on what tells limb radiographs from everything else (`inference.scope`).

The images are FracAtlas's training films, and those of a folder: `limbs/` and `outside/`, each with a folder a source.
A folder's name begins with what its images show, one of the contents or several joined by "+" where nobody says which,
"limb" for any limb: "chest-nih", "head+spine-openkbp", "limb-rfsci". Both sides go through the same views, so that
sharpness, frames and exposure tell nothing. None of the images is part of the project, and none that may only be
measured on takes part.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from fracture_core.data.dataset import Dataset
from fracture_core.data.image_pyramid import ImagePyramid, image_pyramid
from fracture_core.data.random_views import random_view
from fracture_core.errors import FractureCoreError
from fracture_core.imaging.letterbox import letterbox
from fracture_core.imaging.radiograph import read_radiograph
from fracture_core.inference.scope import CONTENTS, IN_SCOPE
from fracture_core.pretraining.synthetic_images import synthetic_image

#: Side of a view, in pixels; what is learned from is cut out of it.
SIDE = 128
SUFFIXES = {".jpg", ".jpeg", ".png"}
FILMS, DRAWN = "training films", "drawn"
_LIMB = "limb"
_NO_BOXES = np.empty((0, 4), np.float32)
#: Larger images are reduced to this many pixels along the longer side.
_LONGEST = 800
#: Least and greatest resolution of a view, in pixels along the longer side.
_RESOLUTIONS = (44, 500)
#: About as many views are made of each source.
_VIEWS = 900
_DRAWN = 250
#: Weights of limbs, of the training films and of other sources; everything else has as much as both together.
_SHARES = {FILMS: 0.34, _LIMB: 0.16}
#: Body parts whose films look like films of the trunk; they are seen as often as all others together.
_LIKE_THE_TRUNK = ("hip", "shoulder")
_FEWEST = 20


class ContentViewsError(FractureCoreError):
    """A folder without the images that a fit needs, or with a name that does not say what they show."""


@dataclass(frozen=True, eq=False)
class Source:
    """Views of one source's images.

    `squares` uint8 (n, 128, 128); `allowed` bool (n, 12) which of CONTENTS each may show; `image` int (n,) the number
    of the image that each shows; `plain` bool (n,) whether it shows it as it is; `share` how often the source is seen.
    """

    name: str
    squares: np.ndarray
    allowed: np.ndarray
    image: np.ndarray
    plain: np.ndarray
    share: float


def load_sources(dataset: Dataset, train: Sequence[str], folder: Path, rng: np.random.Generator) -> list[Source]:
    """Make the views.

    Args:
        dataset: Holds the training films.
        train: Their ids.
        folder: With `outside/` and, where there are any, `limbs/`.
        rng: What the random choices are made with.

    Returns:
        The sources; their shares sum to 1.

    Raises:
        ContentViewsError: The folder has too few images, or a folder in it has a name that says nothing.
        UnreadableRadiograph: A file is no image.
    """
    files = {
        place: {
            category: sorted(p for p in category.iterdir() if p.suffix.lower() in SUFFIXES)
            for category in _folders(folder, place)
        }
        for place in ("limbs", "outside")
    }
    if sum(map(len, files["outside"].values())) < _FEWEST:
        raise ContentViewsError(f"{folder} has fewer than {_FEWEST} pictures in the folders of outside/.")
    sources = [_films(dataset, train, rng)]
    for place, whole in (("limbs", 0.65), ("outside", 0.8)):
        # A close-up of a chest can look like one of a limb, so that what is no limb is shown more nearly whole.
        for category, paths in files[place].items():
            allowed = np.tile(_named(category.name), (len(paths), 1))
            others = _others(files["outside"], category)
            share = _SHARES[_LIMB] / len(files[place]) if place == "limbs" else 0.5 / others
            sources.append(_source(category.name, map(_pixels, paths), allowed, whole, share, rng))
    photo = np.tile(_named("photo"), (_DRAWN, 1))
    drawn = (synthetic_image(rng) for _ in range(_DRAWN))
    sources.append(_source(DRAWN, drawn, photo, 1, 0.5 / _others(files["outside"], Path("photo")), rng))
    total = sum(source.share for source in sources)
    return [Source(**{**vars(source), "share": source.share / total}) for source in sources]


def _folders(folder: Path, place: str) -> list[Path]:
    return sorted(entry for entry in (folder / place).glob("*") if entry.is_dir())


def _named(name: str) -> np.ndarray:
    """Return which contents a folder's name allows, bool (12,)."""
    words = name.partition("-")[0].split("+")
    known = [word == _LIMB or word in CONTENTS for word in words]
    if not all(known):
        raise ContentViewsError(f"The folder {name!r} does not begin with what it shows: one of {', '.join(CONTENTS)}.")
    return np.array([c in words or (place < IN_SCOPE and _LIMB in words) for place, c in enumerate(CONTENTS)])


def _others(outside: Mapping[Path, Sequence[Path]], category: Path) -> int:
    """Return how many shares the half that is no limb is cut into for a source: contents, and sources of its own."""
    first = [folder.name.partition("-")[0].split("+")[0] for folder in outside]
    return len({*first, "photo"}) * max(1, first.count(category.name.partition("-")[0].split("+")[0]))


def _films(dataset: Dataset, train: Sequence[str], rng: np.random.Generator) -> Source:
    parts = [name for name in CONTENTS[:IN_SCOPE] if name in dataset.table]
    shown = dataset.table.loc[list(train), parts].to_numpy(bool)
    rare = shown[:, [name in _LIKE_THE_TRUNK for name in parts]].any(1)
    # Twice as many views are made as of another source, half of them of what looks like the trunk.
    weights = np.where(rare, 1 / max(1, rare.sum()), 1 / max(1, (~rare).sum()))
    chosen = rng.choice(len(train), min(len(train), 2 * _VIEWS), replace=False, p=weights / weights.sum())
    allowed = np.zeros((len(chosen), len(CONTENTS)), bool)
    allowed[:, [CONTENTS.index(name) for name in parts]] = shown[chosen]
    allowed[~allowed.any(1)] = _named(_LIMB)
    paths = [dataset.path(train[i]) for i in chosen]
    return _source(FILMS, map(_pixels, paths), allowed, 0.55, _SHARES[FILMS], rng, views=2)


def _source(
    name: str,
    pictures: Iterator[np.ndarray],
    allowed: np.ndarray,
    whole: float,
    share: float,
    rng: np.random.Generator,
    views: int | None = None,
) -> Source:
    """Show each image as it is and in random views: more of each where there are few."""
    if views is None:
        views = int(np.clip(round(_VIEWS / max(1, len(allowed))) - 1, 1, 8))
    squares, image, plain = [], [], []
    before: ImagePyramid | None = None
    for number, pixels in enumerate(pictures):
        squares.append(letterbox(pixels, SIDE)[0])
        for _ in range(views):
            pyramid = image_pyramid(_coarser(pixels, rng), _NO_BOXES)
            beside = [(before, False)] if before is not None and rng.random() < 0.12 else []
            squares.append(random_view(pyramid, False, SIDE, rng, whole=whole, beside=beside).square)
            before = pyramid
        image += [number] * (views + 1)
        plain += [True] + [False] * views
    at = np.array(image, int)
    return Source(name, np.stack(squares), allowed[at], at, np.array(plain), share)


def _pixels(path: Path) -> np.ndarray:
    pixels = read_radiograph(path, accept_cut_short=True).pixels
    scale = _LONGEST / max(pixels.shape)
    return cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else pixels


def _coarser(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Lower an image's resolution at random: what could be had of the trunk is less sharp than limb films are."""
    scale = float(np.exp(rng.uniform(*np.log(_RESOLUTIONS)))) / max(pixels.shape)
    if scale < 1:
        height, width = (max(8, round(side * scale)) for side in pixels.shape)
        pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    if scale < 0.6 and rng.random() < 0.7:
        pixels = cv2.resize(pixels, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    return pixels

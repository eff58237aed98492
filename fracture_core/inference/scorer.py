"""Scoring letterboxed images with a network: the recipe's test-time views and sizes, and whole folders."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from fracture_core.bundle.out_of_distribution import MIDDLE_MAP, appearance
from fracture_core.concurrency import prefetch
from fracture_core.imaging.exposed_field import fit
from fracture_core.imaging.letterbox import Placement
from fracture_core.imaging.radiograph import read_radiograph
from fracture_core.inference.engine import Engine, TensorFlowEngine
from fracture_core.inference.remote_engine import RemoteEngine
from fracture_core.network.graph import Graph
from fracture_core.recipe import Recipe

_AVERAGED = ("logit", "global_logit", "cells")


AnyEngine = Engine | TensorFlowEngine | RemoteEngine


class Scorer:
    """A network on the engine, with the views and sizes that its recipe averages; thread-safe.

    `smaller` holds the same network for each of the recipe's `test_time_sizes`; `scoring_engines` makes them.
    """

    def __init__(self, engine: AnyEngine, recipe: Recipe, smaller: Sequence[AnyEngine] = ()):
        if tuple(each.graph.input_size[0] for each in smaller) != recipe.test_time_sizes:
            raise ValueError(f"The recipe reads at {recipe.test_time_sizes} as well: give an engine for each size.")
        self.recipe = recipe
        self.size = engine.graph.input_size[0]
        self._engines = (engine, *smaller)

    def first_view(self) -> Scorer:
        """Return a scorer of the same network that uses only the first of the recipe's views, at its full size.

        Returns:
            The scorer, which shares this one's engine.
        """
        recipe = self.recipe.replace(test_time_views=self.recipe.test_time_views[:1], test_time_sizes=())
        return Scorer(self._engines[0], recipe)

    @property
    def remark(self) -> str:
        """What the engine has to say of this thread's last score, "" where all went as it should."""
        return next(filter(None, (getattr(engine, "remark", "") for engine in self._engines)), "")

    def fit(self, pixels: np.ndarray) -> tuple[np.ndarray, Placement]:
        """Letterbox a radiograph as the recipe's training images were.

        Args:
            pixels: uint8 (H, W).

        Returns:
            uint8 (S, S), and the placement.
        """
        return fit(pixels, self.size, crop_to_field=self.recipe.crop_to_field)

    def score(self, squares: np.ndarray) -> dict[str, np.ndarray]:
        """Score letterboxed images.

        Args:
            squares: uint8 (n, S, S).

        Returns:
            The first part of what `score_views` returns.
        """
        return self.score_views(squares)[0]

    def score_views(self, squares: np.ndarray) -> tuple[dict[str, np.ndarray], list[dict[str, np.ndarray]]]:
        """Score letterboxed images, in every view and at every size that the recipe averages.

        Args:
            squares: uint8 (n, S, S), 0..255.

        Returns:
            What holds of each image, float32: `logit` and `global_logit` (n,), `embedding` (n, C), `appearance` (n, A),
            and, with a localiser, `cells` (n, S/8, S/8) logits; logits and cells are means over the views and sizes,
            the others the first view's. Then every view's own outputs, size by size, turned upright, maps (n, h, w, C)
            that explain it among them; those of a smaller size have fewer cells.

        Raises:
            EngineError: The images are not what the network reads.
        """
        views = [
            _upright(engine.run(_view(_reduced(squares, engine.graph.input_size[0]), view)), view)
            for engine in self._engines
            for view in self.recipe.test_time_views
        ]
        # Told in `appearance`, it is of no more use, and two thirds of what a session would keep of a film.
        middle, *_ = [view.pop(MIDDLE_MAP, None) for view in views]
        outputs = dict(views[0])
        outputs["appearance"] = outputs["embedding"] if middle is None else appearance(middle)
        if len(views) > 1:
            for name in set(_AVERAGED) & set(outputs):
                values = [_resized(o[name], outputs[name].shape) for o in views]
                outputs[name] = np.asarray(np.mean(values, axis=0, dtype=np.float32))
        return outputs, views

    def score_files(
        self,
        paths: Sequence[Path],
        names: Sequence[str] = ("logit",),
        *,
        batch: int = 32,
        progress: Callable[[int, int], None] | None = None,
    ) -> dict[str, np.ndarray]:
        """Score files, truncated ones included.

        Args:
            paths: The files.
            names: Outputs to return.
            batch: Images per batch.
            progress: Called with (done, total) after each batch.

        Returns:
            Arrays by name, in the order of `paths`.
        """
        parts: dict[str, list[np.ndarray]] = {name: [] for name in names}
        done = 0
        for squares in _squares_ahead(paths, self.fit, batch):
            self._collect(squares, parts)
            done += len(squares)
            if progress:
                progress(done, len(paths))
        return {name: np.concatenate(arrays) for name, arrays in parts.items()}

    def score_many(self, squares: np.ndarray, names: Sequence[str], *, batch: int = 32) -> dict[str, np.ndarray]:
        """Score any number of letterboxed images, batch by batch.

        Args:
            squares: uint8 (n, S, S), in memory or mapped.
            names: Outputs to return.
            batch: Images per batch.

        Returns:
            Arrays by name, in the order of `squares`.
        """
        parts: dict[str, list[np.ndarray]] = {name: [] for name in names}
        for start in range(0, len(squares), batch):
            self._collect(np.ascontiguousarray(squares[start : start + batch]), parts)
        return {name: np.concatenate(arrays) for name, arrays in parts.items()}

    def _collect(self, squares: np.ndarray, parts: Mapping[str, list[np.ndarray]]) -> None:
        """Score a batch, and append each output that has a list in `parts`."""
        outputs = self.score(squares)
        for name, arrays in parts.items():
            arrays.append(outputs[name])


def scoring_engines(
    graph: Graph, recipe: Recipe, make: Callable[[Graph, Recipe], AnyEngine]
) -> tuple[AnyEngine, list[AnyEngine]]:
    """Return the engines of a scorer: the network's own, and one for each of the recipe's smaller sizes.

    Args:
        graph: The network, at the recipe's image size.
        recipe: Its recipe.
        make: Called with the network and the recipe at each size; returns an engine.

    Returns:
        The engine at the image size, and those of `test_time_sizes`.
    """
    smaller = [
        make(graph.at_size(size), recipe.replace(image_size=size, test_time_sizes=()))
        for size in recipe.test_time_sizes
    ]
    return make(graph, recipe), smaller


def _reduced(squares: np.ndarray, size: int) -> np.ndarray:
    """Reduce images uint8 (n, S, S) to a side of `size` pixels, each pixel the mean of those it covers."""
    if squares.shape[1:] == (size, size):
        return squares
    return np.stack([cv2.resize(square, (size, size), interpolation=cv2.INTER_AREA) for square in squares])


def _resized(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Interpolate maps of cells (n, h, w) to another number of cells; anything else has the shape already."""
    if values.shape == shape:
        return values
    return np.stack([cv2.resize(np.ascontiguousarray(plane), shape[:0:-1]) for plane in values])


def _view(squares: np.ndarray, view: str) -> np.ndarray:
    return np.ascontiguousarray(squares[:, :, ::-1]) if view == "flip" else squares


def _upright(outputs: Mapping[str, np.ndarray], view: str) -> dict[str, np.ndarray]:
    upright = {}
    for name, values in outputs.items():
        if name in ("logit", "global_logit"):
            values = values.reshape(len(values))
        elif name == "cells":
            values = values.reshape(values.shape[:3])
        upright[name] = values[:, :, ::-1] if view == "flip" and values.ndim >= 3 else values
    return upright


def _squares_ahead(
    paths: Sequence[Path], place: Callable[[np.ndarray], tuple[np.ndarray, Placement]], batch: int
) -> Iterator[np.ndarray]:
    """Letterboxed batches, the next one decoded by a thread while the network works on this one."""

    def load(start: int) -> np.ndarray:
        chosen = paths[start : start + batch]
        return np.stack([place(read_radiograph(p, accept_cut_short=True).pixels)[0] for p in chosen])

    return prefetch(load, range(0, len(paths), batch))

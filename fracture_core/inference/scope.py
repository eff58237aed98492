"""What does an image show: a limb, another part of the body, no radiograph at all; and are its greys inverted?

A small network of its own answers, whatever network then looks for fractures: the first five stages of EfficientNet-
Lite2 at 96 pixels, and two dense layers on the mean and the maximum of each channel. It takes about a millisecond.
Every bundle shares it; `scope.json` and `scope.safetensors` beside this module hold it, and `studies.fit_scope` fits
it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from fracture_core.errors import FractureCoreError
from fracture_core.imaging.letterbox import halved, letterbox
from fracture_core.imaging.radiograph import Radiograph
from fracture_core.inference.engine import Engine, EngineError
from fracture_core.inference.plain_graph import PlainEngine
from fracture_core.network.graph import Graph

#: What the network tells apart; the first four are in scope.
CONTENTS = (
    *("hand", "leg", "hip", "shoulder"),
    *("chest", "spine", "head", "abdomen", "dental", "slice", "photo", "densitometry"),
)
IN_SCOPE = 4
INVERTED_WARNING = (
    "The image looked inverted (bone dark, air bright), so black and white were exchanged before it was read."
)
#: The network that ships.
FILE = Path(__file__).with_name("scope.json")


class ScopeError(FractureCoreError):
    """The network that tells what an image shows is missing or damaged."""


@dataclass(frozen=True)
class Shown:
    """What an image shows: one of CONTENTS, and two margins, in logits, that are decided at 0.

    `limb` below 0 means that it is no limb radiograph; `inverted` from 0 on means that its greys are inverted.
    """

    content: str
    limb: float
    inverted: float


class ScopeNetwork:
    """The network, ready to run; thread-safe."""

    def __init__(self, file: Path = FILE):
        described, arrays = _read(file)
        graph = Graph.from_json(described["network"])
        trunk = {key: array for key, array in arrays.items() if not key.startswith("head/")}
        graph.check_weights(trunk)
        self._hidden, self._output = (
            (arrays[f"head/{name}/kernel"], arrays[f"head/{name}/bias"]) for name in ("hidden", "output")
        )
        self._levels = float(described["limb_threshold"]), float(described["inverted_threshold"])
        self.record = described["record"]  # what it was fitted on, and what it does on images that were held out
        self.size = graph.input_size[0]
        try:
            self._engine: Engine | PlainEngine = Engine(graph, trunk, threads=1)
            self._engine.warm_up()
        except EngineError:
            self._engine = PlainEngine(graph, trunk)

    def of(self, pixels: np.ndarray) -> Shown:
        """Say what one image shows.

        Args:
            pixels: uint8 (H, W).

        Returns:
            What it shows.
        """
        return self.of_squares(letterbox(halved(pixels, 2 * self.size), self.size)[0][None])[0]

    def of_squares(self, squares: np.ndarray) -> list[Shown]:
        """Say what letterboxed images show.

        Args:
            squares: uint8 (n, size, size).

        Returns:
            What each shows.
        """
        scores = self.scores(squares)
        limb, other = (_log_sum_exp(part) for part in (scores[:, :IN_SCOPE], scores[:, IN_SCOPE : len(CONTENTS)]))
        contents = scores[:, : len(CONTENTS)].argmax(1)
        at_limb, at_inverted = self._levels
        return [
            Shown(CONTENTS[content], float(margin - at_limb), float(inverted - at_inverted))
            for content, margin, inverted in zip(contents, limb - other, scores[:, -1], strict=True)
        ]

    def scores(self, squares: np.ndarray) -> np.ndarray:
        """Run the network.

        Args:
            squares: uint8 or float32 (n, size, size), 0..255.

        Returns:
            Logits, float64 (n, 13): CONTENTS, then inverted.
        """
        maps = self._engine.run(squares)["map"].astype(np.float64)
        features = np.concatenate([maps.mean((1, 2)), maps.max((1, 2))], axis=1)
        hidden = np.maximum(features @ self._hidden[0] + self._hidden[1], 0)
        return hidden @ self._output[0] + self._output[1]


@cache
def scope_network() -> ScopeNetwork:
    """Return the network that ships, loaded once a process.

    Returns:
        The network.

    Raises:
        ScopeError: Its files are missing or damaged.
    """
    return ScopeNetwork()


def understood(radiograph: Radiograph, *, greys_as_stored: bool = False) -> tuple[Radiograph, Shown]:
    """Say what a radiograph shows, black and white exchanged where its greys are inverted.

    A DICOM file says itself which end is white, so that none is changed. Nor is what shows no limb, such as a page of
    text.

    Args:
        radiograph: The radiograph.
        greys_as_stored: Leave the greys as they are.

    Returns:
        The radiograph, with a warning if its greys were exchanged, and what it shows then.
    """
    shown = scope_network().of(radiograph.pixels)
    if greys_as_stored or shown.inverted < 0 or radiograph.header is not None or radiograph.blank:
        return radiograph, shown
    pixels = 255 - radiograph.pixels
    pixels.flags.writeable = False
    after = scope_network().of(pixels)
    if after.limb < 0:
        return radiograph, shown
    return replace(radiograph, pixels=pixels, warnings=(*radiograph.warnings, INVERTED_WARNING)), after


def _read(file: Path) -> tuple[Mapping, dict[str, np.ndarray]]:
    try:
        described = json.loads(file.read_text("utf-8"))
        arrays = load_file(file.with_suffix(".safetensors"))
        if lacking := {"network", "limb_threshold", "inverted_threshold", "record"} - set(described):
            raise ValueError(f"it lacks {min(lacking)}")
    except (OSError, ValueError, TypeError, SafetensorError) as error:
        raise ScopeError(
            f"{file.name}, which tells limb radiographs from other images, cannot be read; install the program again."
        ) from error
    return described, {key: array.astype(np.float32) for key, array in arrays.items()}


def _log_sum_exp(scores: np.ndarray) -> np.ndarray:
    most = scores.max(1, keepdims=True)
    return (most + np.log(np.exp(scores - most).sum(1, keepdims=True)))[:, 0]

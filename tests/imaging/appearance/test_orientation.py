"""Films on their side: told from upright ones, on the example radiographs that travel with the program."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fracture_core.imaging.adjustment import Adjustment
from fracture_core.imaging.appearance.orientation import SIDEWAYS_WARNING, features, middle, quarter_turns_to_upright
from fracture_core.imaging.letterbox import letterbox
from fracture_core.imaging.radiograph import read_radiograph
from fracture_core.inference.cautions import cautions
from tests.support.made_pictures import encoded

EXAMPLES = sorted((Path(__file__).parents[3] / "pages" / "examples").glob("*.jpg"))


def test_upright_examples_are_left_alone_and_most_turned_ones_are_noticed() -> None:
    upright = [read_radiograph(path, accept_cut_short=True).pixels for path in EXAMPLES]
    assert len(upright) >= 8
    assert [quarter_turns_to_upright(pixels) for pixels in upright] == [0] * len(upright)
    turned = [(np.ascontiguousarray(np.rot90(pixels, turns)), turns) for pixels in upright for turns in (1, 3)]
    found = [(quarter_turns_to_upright(pixels), turns) for pixels, turns in turned]
    noticed = [pair for pair in found if pair[0]]
    assert len(noticed) >= 0.4 * len(found)
    # A quarter counter-clockwise is undone by a quarter clockwise.
    assert sum(suggested == turns for suggested, turns in noticed) >= 0.8 * len(noticed)


def test_the_suggestion_sets_the_film_upright_and_then_stops() -> None:
    turned = [np.ascontiguousarray(np.rot90(read_radiograph(path, accept_cut_short=True).pixels)) for path in EXAMPLES]
    radiographs = [read_radiograph(encoded(pixels, "PNG")) for pixels in turned]
    suggested = [radiograph for radiograph in radiographs if radiograph.turns_to_upright]
    assert suggested
    for radiograph in suggested:
        assert SIDEWAYS_WARNING in list(cautions(radiograph, letterbox(radiograph.pixels, 224)[1], frozenset()))
        upright = Adjustment(quarter_turns=radiograph.turns_to_upright).apply(radiograph)
        assert upright.turns_to_upright == 0


@pytest.mark.parametrize("pixels", [np.zeros((300, 200), np.uint8), np.full((300, 200), 90, np.uint8)])
def test_a_blank_image_has_no_side_to_lie_on(pixels: np.ndarray) -> None:
    assert quarter_turns_to_upright(pixels) == 0


def test_what_shows_nothing_has_no_middle() -> None:
    assert middle(np.zeros((300, 200), np.uint8)) is None
    assert features(np.zeros((128, 128), np.uint8)).shape == (1024,)

"""Both themes can be read: text, captions and accents keep the contrast that WCAG 2.2 asks for, 4.5 to 1."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest

THEMES = sorted((Path(__file__).parents[2] / ".streamlit").glob("*.toml"))
#: Streamlit prints captions in the text's colour at this opacity.
_CAPTION = 0.6


def rgb(colour: str) -> np.ndarray:
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255


def luminance(colour: np.ndarray) -> float:
    """Relative luminance as WCAG 2.2 defines it."""
    linear = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one: np.ndarray, other: np.ndarray) -> float:
    dark, light = sorted([luminance(one), luminance(other)])
    return (light + 0.05) / (dark + 0.05)


def test_contrast_is_what_wcag_says_it_is():
    assert contrast(rgb("#000000"), rgb("#ffffff")) == pytest.approx(21)
    assert contrast(rgb("#777777"), rgb("#ffffff")) == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("path", [path for path in THEMES if path.stem != "config"], ids=lambda path: path.stem)
@pytest.mark.parametrize("ground", ["backgroundColor", "secondaryBackgroundColor"])
def test_text_captions_and_accents_stand_out(path, ground):
    theme = tomllib.loads(path.read_text("utf-8"))["theme"]
    paper, ink = rgb(theme[ground]), rgb(theme["textColor"])
    assert contrast(ink, paper) >= 7
    assert contrast(_CAPTION * ink + (1 - _CAPTION) * paper, paper) >= 4.5
    assert contrast(rgb(theme["primaryColor"]), paper) >= 4.5

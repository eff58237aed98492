"""The camera button of a chart saves what is seen, on the page's background."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageColor

from fracture_core.reporting.chart_theme import BLUE, CONFIG, INK, PAPER

WAIT = 120_000
_SCALE = CONFIG["toImageButtonOptions"]["scale"]
#: A page, what to wait for there, a chart on it, and how its file's name begins.
CHARTS = [
    ("model_card", "h1", ".st-key-chart_card_roc .js-plotly-plot", "card_roc"),
    ("threshold", ".live[aria-busy=false]", "[data-plot=histogram]", "histogram-"),
]


@pytest.fixture
def page(app_tab):
    """An empty page."""
    return app_tab


def coloured(pixels: np.ndarray, colour: str, within: int = 24) -> int:
    """Count the pixels that have nearly this colour."""
    return int((np.abs(pixels - np.array(ImageColor.getrgb(colour))).max(axis=2) <= within).sum())


@pytest.mark.parametrize(("path", "ready", "chart", "name"), CHARTS, ids=[path for path, *_ in CHARTS])
def test_the_camera_saves_a_png_of_what_is_seen(page, server, path, ready, chart, name):
    page.goto(f"{server.url}/{path}")
    page.locator(ready).first.wait_for(timeout=WAIT)
    plot = page.locator(chart).first
    plot.locator(".main-svg .legend").first.wait_for(state="attached", timeout=WAIT)
    plot.scroll_into_view_if_needed()
    size = plot.locator(".main-svg").first.bounding_box()
    plot.hover()
    with page.expect_download(timeout=WAIT) as saved:
        plot.locator("[data-attr=toImage], [data-title*=PNG], [data-title*=png]").first.click()
    assert saved.value.suggested_filename.startswith(name) and saved.value.suggested_filename.endswith(".png")
    with Image.open(saved.value.path()) as image:
        assert image.format == "PNG"
        assert image.size == pytest.approx((_SCALE * size["width"], _SCALE * size["height"]), abs=_SCALE)
        opaque = image.convert("RGBA").getchannel("A").getextrema()
        pixels = np.asarray(image.convert("RGB"), int)
    assert opaque == (255, 255)
    whole = pixels.shape[0] * pixels.shape[1]
    assert coloured(pixels, PAPER["dark"]) > whole / 4
    # A curve or bars, and the words beside them.
    assert coloured(pixels, BLUE, 60) > whole / 5000 and coloured(pixels, INK["dark"], 60) > whole / 5000

"""The model card in a real browser: what the first screen says, charts in place of tables, and films to open."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fracture_core.bundle.loading import load_bundle
from fracture_core.evaluation.predictions import split_predictions
from fracture_core.metrics.formatting import figure
from fracture_core.reporting.model_summary import INTENDED_USE, NOT_FOR, headline
from tests.browser.app import eventually

WAIT = 120_000
CHARTS = ("card_roc", "card_pr", "card_matrix", "card_reliability", "card_subgroups")


@pytest.fixture
def card(app_tab, server):
    app_tab.set_viewport_size({"width": 1440, "height": 900})
    app_tab.goto(f"{server.url}/model_card")
    app_tab.locator(".st-key-chart_card_roc .js-plotly-plot").first.wait_for(timeout=WAIT)
    return app_tab


def test_the_first_screen_has_use_limits_and_three_figures(card, vocal_models):
    bundle = load_bundle("small", vocal_models)
    figures = headline(split_predictions(bundle)["test"], bundle.points["single"].threshold)
    for sentence in (*INTENDED_USE, *NOT_FOR):
        box = card.get_by_text(sentence, exact=True).first.bounding_box()
        assert box["y"] + box["height"] <= 900
    shown = card.locator("[data-testid=stMetricValue]").all_inner_texts()[:3]
    assert shown == [figure(one.value) for one in figures.values()]
    last = card.locator("[data-testid=stMetricValue]").nth(2).bounding_box()
    assert last["y"] + last["height"] <= 900
    assert card.get_by_text("95 % CI").count() >= 3


def test_figures_are_charts_and_no_json_is_printed(card):
    for key in CHARTS:
        card.locator(f".st-key-chart_{key} .js-plotly-plot").first.wait_for(timeout=WAIT)
    assert not card.locator("[data-testid=stJson]").count()
    said = card.locator("[data-testid=stMain]").inner_text()
    assert "model-index" not in said and not re.search(r"\bTraceback\b", said)


def test_a_typical_film_opens(card):
    films = card.locator(".gallery button")
    films.first.wait_for(timeout=WAIT)
    assert 1 <= films.count() <= 6
    image_id = card.locator(".gallery .id span:first-child").first.inner_text()
    films.first.click()
    card.wait_for_url(re.compile(rf"/dataset\?.*image={image_id}"), timeout=WAIT)
    card.locator(".drawn .port").first.wait_for(timeout=WAIT)


def test_the_checklist_is_filled_in_and_the_card_has_front_matter(card):
    card.get_by_text("CLAIM 2024 checklist").click(timeout=WAIT)
    table = card.locator("[data-testid=stExpander]").filter(has_text="CLAIM 2024").locator("table")
    table.wait_for(timeout=WAIT)
    assert table.locator("tbody tr").count() == 44
    with card.expect_download(timeout=WAIT) as saved:
        card.get_by_role("button", name="The card as Markdown").click()
    text = Path(saved.value.path()).read_text("utf-8")
    assert text.startswith("---\nlicense: ") and "model-index:" in text.split("---\n")[1]


def test_it_fits_a_phone(card):
    card.set_viewport_size({"width": 390, "height": 844})
    eventually(card, lambda: card.evaluate("document.documentElement.scrollWidth") <= 390)

"""The map has every image once, in the colour of its value, and other films where they fall."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fracture_core.data.catalogue import PARTS, with_outcomes
from fracture_core.evaluation.feature_map import METHODS, FeatureMap
from fracture_core.reporting.chart_theme import PAPER, in_theme
from fracture_core.reporting.dataset_charts import COLOURINGS, map_chart

N = 40


@pytest.fixture
def found() -> FeatureMap:
    components = np.random.default_rng(0).normal(0, 1, (N, 6))
    places = {"PCA": components[:, :2], "t-SNE": components[:, 2:4]}
    ids = tuple(f"i{place}" for place in range(N))
    return FeatureMap(ids=ids, components=components, places=places, centre=np.zeros(6), axes=np.eye(6))


@pytest.fixture
def table(found) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    table = pd.DataFrame(index=list(found.ids))
    table["label"], table["probability"] = rng.integers(0, 2, N), rng.random(N)
    table["split"] = rng.choice(["train", "val", "test"], N)
    table[list(PARTS)] = rng.integers(0, 2, (N, len(PARTS)))
    table["width"], table["height"] = rng.choice([373, 2880], N), 454
    return with_outcomes(table, 0.3, 0.7)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("colouring", list(COLOURINGS))
def test_every_image_is_there_once(found, table, method, colouring):
    chart = map_chart(found, table, method, colouring, {})
    drawn = {
        image_id: (x, y)
        for trace in chart.data
        for image_id, x, y in zip(trace.customdata, trace.x, trace.y, strict=True)
    }
    assert sum(len(trace.x) for trace in chart.data) == len(drawn) == N
    for place, image_id in enumerate(found.ids):
        assert drawn[image_id] == pytest.approx(found.places[method][place], abs=1e-3)


def test_colours_say_what_the_table_says(found, table):
    by = {trace.name: set(trace.customdata) for trace in map_chart(found, table, "PCA", "Reference label", {}).data}
    assert by["fracture"] == set(table.index[table["label"] == 1])
    by = {trace.name: set(trace.customdata) for trace in map_chart(found, table, "PCA", "Model's answer", {}).data}
    assert by["wrong"] == set(table.index[table["outcome"] == "wrong"])
    by = {trace.name: set(trace.customdata) for trace in map_chart(found, table, "PCA", "Source (image size)", {}).data}
    assert by["373 x 454"] == set(table.index[table["width"] == 373]) and by["other"]


def test_another_film_is_drawn_where_it_falls(found, table):
    film = np.arange(6.0)
    star = map_chart(found, table, "PCA", "Split", {"a.jpg": film}).data[-1]
    assert star.name == "your films" and star.text == ("a.jpg",)
    assert (star.x[0], star.y[0]) == pytest.approx(found.place(film, "PCA"))


def test_a_films_name_stands_towards_the_middle_and_is_not_too_long(found, table):
    films = {"a film with a name as long as a sentence.jpg": np.arange(6.0), "<b>.jpg": np.zeros(6)}
    figure = in_theme(map_chart(found, table, "PCA", "Split", films), "light")
    left, right = found.places["PCA"][:, 0].min(), found.places["PCA"][:, 0].max()
    assert [note.text for note in figure.layout.annotations] == ["a film with a name as lon…", "&lt;b&gt;.jpg"]
    for note in figure.layout.annotations:
        away = {"left": note.x < (left + right) / 2, "right": note.x > (left + right) / 2, "center": True}
        assert away[note.xanchor] and note.bgcolor == PAPER["light"]
    many = {f"{n}.jpg": np.arange(6.0) for n in range(9)}
    assert not map_chart(found, table, "PCA", "Split", many).layout.annotations

"""The dataset page without a browser: each control does what the core says it should."""

from __future__ import annotations

import hashlib
import json
from functools import partial
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from fracture_core.bundle.loading import load_bundle
from fracture_core.data.audit import audit
from fracture_core.data.catalogue import PARTS, Filters, catalogue, select, with_outcomes
from fracture_core.data.dataset_statistics import pointing, pointing_table, survey
from fracture_core.data.defects import DEFECTS, summary
from fracture_core.data.download import download_job
from fracture_core.data.fracatlas import FracAtlas
from fracture_core.data.split import project_split
from fracture_core.data.thumbnails import ThumbnailStore
from fracture_core.evaluation.misclassified import FALSE_ALARMS, MISSES, mistakes
from pages.parts.dataset.download import ABOUT
from tests.data.test_download import Server
from tests.support.miniature import Entry, archive, build

PAGE = str(Path(__file__).parents[2] / "pages" / "dataset.py")
WAIT = 240


@pytest.fixture
def use(monkeypatch, tmp_path):
    """Point the page at a models folder and a dataset, with a cache of its own."""

    def use(models: Path, dataset: Path) -> AppTest:

        monkeypatch.setenv("FRACTURE_MODELS_DIR", str(models))
        monkeypatch.setenv("FRACATLAS_DIR", str(dataset))
        monkeypatch.setenv("FRACTURE_CACHE_DIR", str(tmp_path / "cache"))
        return AppTest.from_file(PAGE, default_timeout=WAIT)

    return use


@pytest.fixture
def app(use, small_models) -> AppTest:
    audit(FracAtlas(small_models.parent / "data"))  # in the cache, so that the page has it at once
    return use(small_models, small_models.parent / "data")


@pytest.fixture(scope="module")
def table(small_models):
    dataset = FracAtlas(small_models.parent / "data")
    findings = audit(dataset)
    bundle = load_bundle("small", small_models)
    made = catalogue(dataset, project_split(dataset, findings), findings, bundle.predictions())
    return with_outcomes(made, bundle.points["rule_out"].threshold, bundle.points["rule_in"].threshold)


def run(app: AppTest) -> AppTest:
    app.run()
    assert not app.exception
    return app


def shown(app: AppTest) -> int:
    """How many radiographs the grid says that it shows."""
    (said,) = [m.value for m in app.markdown if " radiographs" in m.value and m.value.startswith("**")]
    return int(said.split("**")[1].replace(",", ""))


def test_every_filter_asks_the_core(app, table):
    assert shown(run(app)) == len(table)
    asked = {
        "label": (["fractured"], {"labels": ["fractured"]}),
        "answer": (["wrong"], {"outcomes": ["wrong"]}),
        "part": ([PARTS[0]], {"parts": [PARTS[0]]}),
        "projection": (["lateral"], {"views": ["lateral"]}),
        "fractures": (["1", "2"], {"counts": ["1", "2"]}),
        "hardware": (["no hardware"], {"hardware": ["no hardware"]}),
        "split": (["test"], {"splits": ["test"]}),
        "defect": (["none found"], {"defects": ["none found"]}),
        "p_from": (["0.4"], {"probability": (0.4, 1.0)}),
    }
    for key, (choice, wanted) in asked.items():
        expected = select(table, Filters(**wanted))
        app.query_params[key] = choice
        assert shown(run(app)) == len(expected)
        assert bool(expected) != any("No radiographs match" in info.value for info in app.info)
        app.button("clear").click()
        assert shown(run(app)) == len(table)
        assert key not in app.query_params
    app.text_input("search").set_value("0000031")
    assert shown(run(app)) == 1
    assert app.query_params["id"] in ("0000031", ["0000031"])
    app.text_input("search").set_value("31, 5 IMG0000007")
    assert shown(run(app)) == 3
    app.slider("probability").set_value((0.2, 0.6))
    assert shown(run(app)) == len(select(table, Filters(search="31 5 7", probability=(0.2, 0.6))))
    app.query_params["p_from"] = "much"
    app.query_params["label"] = "nonsense"
    run(app)


def test_the_rail_counts_what_a_press_would_show(app, table):
    app.query_params["part"] = "hand"
    run(app)
    (proto,) = [one.proto for one in app.get("bidi_component") if one.proto.component_name == "dataset_rail"]
    groups = {group["key"]: group["choices"] for group in json.loads(proto.json)["groups"]}
    fields = {"label": "labels", "projection": "views", "split": "splits", "answer": "outcomes", "fractures": "counts"}
    for key, field in fields.items():
        for choice in groups[key]:
            asked = Filters(**{"parts": ["hand"], field: [choice["value"]]})
            assert choice["n"] == len(select(table, asked))
    assert [choice["label"] for choice in groups["part"]] == ["upper limb", "lower limb", "hip", "shoulder"]
    assert [choice["on"] for choice in groups["part"]] == [True, False, False, False]


def test_a_shared_address_gives_the_same_view(app, table):
    expected = select(table, Filters(labels=["not fractured"], splits=["train"]), "highest probability")
    shared = {"label": "not fractured", "split": "train", "size": "24", "order": "highest probability", "page": "2"}
    for key, value in shared.items():
        app.query_params[key] = value
    assert shown(run(app)) == len(expected)
    assert any("Images 25 to" in caption.value for caption in app.caption) == (len(expected) > 24)
    app.query_params["label"] = "nonsense"
    run(app)


def test_pages_turn_and_a_new_filter_begins_at_the_first(app):
    run(app)
    app.segmented_control("size").set_value(24)
    run(app)
    app.pagination("page").set_value(2)
    run(app)
    assert any(c.value.startswith("Images 25 to 48.") for c in app.caption)
    app.text_input("search").set_value("IMG")
    run(app)
    assert any(c.value.startswith("Images 1 to 24.") for c in app.caption)


def test_one_image_and_its_neighbours(app, table):
    app.query_params["image"] = "IMG0000000"
    run(app)
    said = app.table[0].value
    assert "fractured" in said.to_string()
    assert any("probability" in m.value for m in app.markdown)
    assert app.button("previous").disabled
    app.button("next").click()
    run(app)
    assert any(m.value.startswith(f"#### {table.index[1]}") for m in app.markdown)
    app.button("back").click()
    assert shown(run(app)) == len(table)


def test_an_unknown_image_is_said_to_be_unknown(app):
    app.query_params["image"] = "IMG<b>9</b>"
    run(app)
    assert "is not in FracAtlas" in app.warning[0].value


def test_every_section_draws_what_the_core_counts(app, table, small_models):
    dataset, bundle = FracAtlas(small_models.parent / "data"), load_bundle("small", small_models)
    app.query_params["show"] = "Data audit"
    run(app)
    findings = audit(dataset)
    for defect in DEFECTS:
        app.segmented_control("kind").set_value(defect.name)
        run(app)
        text = " ".join(m.value for m in app.markdown)
        assert summary(table, findings, defect.name) in text
        assert defect.training in text
        assert defect.done in text

    app.segmented_control("show").set_value("Misclassified")
    run(app)
    points = bundle.points
    for kind in (MISSES, FALSE_ALARMS):
        for split in ("test", "val"):
            app.segmented_control("mistake").set_value(kind)
            app.segmented_control("of").set_value(split)
            run(app)
            found = mistakes(table, kind, points["rule_out"], points["rule_in"], split=split)
            assert f"**{len(found.ids)}** of {found.of} " in " ".join(m.value for m in app.markdown)

    app.segmented_control("show").set_value("Localisation accuracy")
    run(app)
    expected = pointing(bundle.predictions(), survey(dataset).images, "test")
    assert len(app.dataframe) == len(expected)
    for drawn, rows in zip(app.dataframe, expected.values(), strict=True):
        assert drawn.value.equals(pointing_table(rows))

    app.segmented_control("show").set_value("Composition")
    run(app)
    parts = app.dataframe[0].value.set_index("Group")
    assert parts.at["upper limb", "Fractured"] == int(table["label"].sum())


def test_without_a_model_the_dataset_is_still_there(use, small_models, tmp_path, table):
    app = use(tmp_path / "no models", small_models.parent / "data")
    assert shown(run(app)) == len(table)
    app.query_params["image"] = "IMG0000001"
    run(app)
    assert any("No model is installed" in c.value for c in app.caption)
    for section in ("Misclassified", "Localisation accuracy"):
        app.segmented_control("show").set_value(section)
        run(app)
    assert "No model" in app.info[0].value


def test_where_the_dataset_is_missing_it_is_offered_and_fetched(use, small_models, tmp_path, monkeypatch, served):
    import pages.parts.dataset.download as offer

    monkeypatch.setattr(offer, "download_job", partial(download_job, **served))
    destination = tmp_path / "new" / "FracAtlas"
    app = run(use(small_models, destination))
    text = " ".join(m.value for m in app.markdown)
    assert ABOUT in text
    assert "CC BY 4.0" in text
    assert "338 MB" in app.button("download").label
    app.button("download").click()
    run(app)
    job = download_job(destination, **served)
    job.join(60)
    assert shown(run(app)) == 21


@pytest.fixture
def served(tmp_path):
    """A small FracAtlas on a local server, and what a download of it needs to know."""
    entries = [Entry(f"IMG{n:07}") for n in range(20)]
    entries.append(Entry("IMG9", ("Fractured",), 1, boxes=((9.0, 9.0, 9.0, 9.0),)))
    content = archive(build(tmp_path / "tree", entries), tmp_path / "FracAtlas.zip").read_bytes()
    server = Server(content)
    yield {"url": server.url, "size": len(content), "md5": hashlib.md5(content).hexdigest()}
    server.close()


def test_thumbnails_are_kept_where_the_cache_is(app, tmp_path):
    run(app)
    assert ThumbnailStore().file.is_relative_to(tmp_path)

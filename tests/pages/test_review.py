"""The Review page, and reviewing on Diagnose, without a browser: off by default, chosen, calibrated, saved."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import streamlit as st
from streamlit.runtime.pages_manager import PagesManager
from streamlit.testing.v1 import AppTest

from fracture_core.bundle.loading import load_bundle
from fracture_core.data.review.review_set import ReviewSet
from fracture_core.data.review.verdict import ReviewError
from fracture_core.paths import review_folder
from fracture_core.reporting.finding_text import DISCLAIMER
from fracture_core.settings import choose_review_folder, forget_review_folder
from pages.parts.review.folder import require_in_use
from tests.pages.test_diagnose import button, files, shown, text
from tests.support.miniature import picture

ROOT = Path(__file__).parents[2]


@pytest.fixture
def app(own_models, small_models, monkeypatch, tmp_path) -> AppTest:
    """The app on the small bundle, with settings of its own."""
    st.cache_resource.clear()
    st.cache_data.clear()
    monkeypatch.setenv("FRACTURE_MODELS_DIR", str(own_models))
    monkeypatch.setenv("FRACATLAS_DIR", str(small_models.parent / "data"))
    monkeypatch.setenv("FRACTURE_SETTINGS", str(tmp_path / "user" / "settings.json"))
    monkeypatch.setenv("FRACTURE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("FRACTURE_REVIEW_DIR", raising=False)
    # A server is told once where its pages are. AppTest forgets it before every run: each page would then run twice,
    # and the press of a form's button, which lasts for one run, would be lost.
    begin = PagesManager.__init__

    def begin_told(self, *args, **kwargs) -> None:
        begin(self, *args, **kwargs)
        PagesManager.uses_pages_directory = False

    monkeypatch.setattr(PagesManager, "__init__", begin_told)
    return AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=180)


def test_with_no_folder_nothing_of_it_shows_on_diagnose(app, small_models, tmp_path):
    app.run()
    app.file_uploader[0].set_value(files(small_models, 2)).run()
    assert not app.exception
    assert shown(app, "radiograph_viewer")["review"] is None
    assert not [one for one in app.toggle if one.label == "Most instructive first"]
    assert not [one for one in app.text_input if one.key == "review_reader"]
    assert not (tmp_path / "user").exists()


def test_the_folder_is_chosen_on_the_page_and_switched_off_again(app, tmp_path):
    app.switch_page("pages/review.py").run()
    assert "What will be written there" in text(app) and DISCLAIMER in text(app)
    app.text_input(key="review_folder_text").set_value("review")
    button(app, "Write verdicts there").click().run()
    assert "whole path" in app.error[0].value and review_folder() is None
    app.text_input(key="review_folder_text").set_value(str(tmp_path / "review"))
    button(app, "Write verdicts there").click().run()
    assert not app.exception and review_folder() == tmp_path / "review"
    assert (tmp_path / "review" / "README.txt").is_file()
    assert "Verdicts are kept in" in text(app)
    app.button(key="review_folder_off").click().run()
    assert review_folder() is None and "Reviewing is off" in text(app)
    assert (tmp_path / "review" / "README.txt").is_file()


def test_what_another_screen_chose_or_switched_off_holds(app, small_models, tmp_path):
    app.switch_page("pages/review.py").run()
    choose_review_folder(str(tmp_path / "theirs"))
    app.text_input(key="review_folder_text").set_value(str(tmp_path / "mine"))
    button(app, "Write verdicts there").click().run()
    assert not app.exception and review_folder() == tmp_path / "theirs" and not (tmp_path / "mine").exists()
    review = ReviewSet(tmp_path / "theirs")
    require_in_use(review)
    forget_review_folder()
    with pytest.raises(ReviewError, match="switched off"):
        require_in_use(review)
    choose_review_folder(str(tmp_path / "third"))
    with pytest.raises(ReviewError, match="another folder"):
        require_in_use(review)


def test_a_folder_that_cannot_be_written_to_is_not_kept(app, tmp_path):
    (tmp_path / "file").write_text("")
    app.switch_page("pages/review.py").run()
    app.text_input(key="review_folder_text").set_value(str(tmp_path / "file" / "below"))
    button(app, "Write verdicts there").click().run()
    assert not app.exception and app.error and review_folder() is None


def test_where_it_is_on_diagnose_takes_verdicts_and_orders_its_worklist(app, small_models, tmp_path, monkeypatch):
    monkeypatch.setenv("FRACTURE_REVIEW_DIR", str(tmp_path / "review"))
    app.run()
    app.file_uploader[0].set_value(files(small_models, 4)).run()
    assert shown(app, "radiograph_viewer")["review"]["reader"] == ""
    app.text_input(key="review_reader").set_value("AB").run()
    review = shown(app, "radiograph_viewer")["review"]
    assert (review["reader"], review["given"], review["round"]) == ("AB", "", 0) and len(review["film"]) == 64
    assert "0 of 4 read" in text(app)
    plain = [row["key"] for row in shown(app, "radiograph_worklist")["rows"]]
    next(one for one in app.toggle if one.label == "Most instructive first").set_value(True).run()
    ordered = [row["key"] for row in shown(app, "radiograph_worklist")["rows"]]
    assert not app.exception and sorted(ordered) == sorted(plain)
    # Another program's verdict by the same reader is seen at the next run.
    films = {row["key"]: row for row in shown(app, "radiograph_worklist")["rows"]}
    assert not any(row["reading"] for row in films.values())


def test_a_site_is_calibrated_and_saved_and_its_points_speak(app, own_models, small_models):
    folder = small_models.parent / "data"  # films that the small network assesses
    shutil.rmtree(own_models / "other")  # AppTest, unlike a browser, forgets the chosen model where the page changes
    app.switch_page("pages/review.py").run()
    app.segmented_control(key="review_section").set_value("Calibrate to your site").run()
    app.text_input(key="site_folder").set_value(str(folder)).run()
    app.button(key="site_start").click().run()
    for _ in range(60):
        if any(one.key == "site_alpha" for one in app.number_input):
            break
        app.run()
    assert not app.exception
    button(app, "Calibrate").click().run()
    assert not app.exception and not app.error
    said = text(app)
    assert "What can be promised" in "\n".join(one.value for one in app.subheader)
    assert said.count("romised") >= 2 and "films that took no part" in said
    app.text_input(key="site_name").set_value("Ward 7").run()
    app.button(key="site_save").click().run()
    assert not app.exception and "Saved as Ward 7" in "\n".join(one.value for one in app.success)
    assert app.selectbox(key="operating_point").value == "Site: Ward 7"
    assert "Calibrated to Ward 7" in text(app)
    point = load_bundle("small", own_models).chosen_points()[0]
    assert point.site is not None and 20 < point.site.films <= 60
    assert json.loads((own_models / "small" / "site_calibrations.json").read_text())[0]["digest"] == point.site.digest
    app.switch_page("pages/model_card.py").run()
    assert not app.exception and "Site calibrations" in "\n".join(one.value for one in app.subheader)


def test_the_dataset_page_opens_the_review_set_beside_fracatlas(app, tmp_path, monkeypatch):
    app.switch_page("pages/dataset.py").run()
    assert not [one for one in app.segmented_control if one.key == "dataset_source"]
    monkeypatch.setenv("FRACTURE_REVIEW_DIR", str(tmp_path / "review"))
    review = ReviewSet(tmp_path / "review")
    for k in range(5):
        review.add(picture(k), ("fracture", "no fracture")[k % 2], reader="AB", boxes=[(5, 5, 20, 20)] * (k % 2 == 0))
    review.add(picture(0), "no fracture", reader="CD")
    app.run()
    app.segmented_control(key="dataset_source").set_value("Review set").run()
    assert not app.exception and "5 of 5 films" in text(app) and "Cohen's kappa" in text(app)
    app.pills(key="review_against").set_value(["Readers disagree"]).run()
    assert "1 of 5 films" in text(app)
    app.session_state["review_open"] = review.verdicts()[0].image
    app.run()
    assert not app.exception and shown(app, "radiograph_viewer")["review"]["film"] == review.verdicts()[0].image
    assert "AB" in text(app) and "CD" in text(app)
    app.checkbox(key=f"sure {review.verdicts()[0].image}").set_value(True).run()
    review.add(picture(0), "cannot tell", reader="EF")  # on another screen
    button(app, "Delete").click().run()
    assert "came meanwhile" in app.error[0].value and len({v.image for v in review.verdicts()}) == 5
    button(app, "Delete").click().run()
    assert not app.exception and len({v.image for v in review.verdicts()}) == 4
    app.session_state["review_open"] = "0" * 64  # what another screen deleted
    app.run()
    assert not app.exception and "was deleted meanwhile" in app.warning[0].value
    assert len(list((tmp_path / "review" / "images").glob("*.png"))) == 4

"""The Review page's logic on real findings of the small bundle."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from fracture_core.data.review.review_set import ReviewSet
from fracture_core.imaging.radiograph import read_radiograph
from fracture_core.inference.predictor import load_predictor
from fracture_core.reporting.film_session import Film
from fracture_core.reporting.review_session import (
    AGAINST_MODEL,
    BY_ARRIVAL,
    BY_VALUE,
    DISAGREEMENT,
    WaitingFilm,
    chosen_films,
    keep_verdict,
    ordered,
    own_verdict,
    reviewed_picture,
)
from tests.support import dicom_files


@pytest.fixture
def films(small_models) -> list[WaitingFilm]:
    predictor = load_predictor("small", small_models)
    made = []
    for path in sorted((small_models.parent / "data" / "images").glob("*/*.jpg"))[:5]:
        data = path.read_bytes()
        film = Film(key=path.name, name=path.name, data=data)
        made.append(WaitingFilm.of(film, predictor.predict(read_radiograph(data, name=path.name))))
    return made


@pytest.fixture
def review(tmp_path) -> ReviewSet:
    return ReviewSet(tmp_path / "review")


def test_the_models_answer_at_that_time_is_kept(films, review):
    kept, said = keep_verdict(review, films[0], "fracture", reader="a", boxes=[(1, 2, 9, 9)])
    finding = films[0].finding
    assert kept.model["bundle"] == finding.bundle and kept.model["triage"] == finding.triage and said == ""
    assert kept.model["probability"] == pytest.approx(finding.probability, abs=1e-6)
    assert own_verdict(review, films[0].digest, "a") == kept and own_verdict(review, films[0].digest, "b") is None


def test_a_reader_is_told_that_another_one_said_something_else(films, review):
    keep_verdict(review, films[0], "fracture", reader="a")
    assert "a: fracture" in keep_verdict(review, films[0], "no fracture", reader="b")[1]
    assert keep_verdict(review, films[0], "fracture", reader="a")[1].count("b: no fracture") == 1
    assert [film.disagreement for film in chosen_films(review, [DISAGREEMENT])] == [True]


def test_patients_of_dicom_files_are_hashed(films, review):
    pixels = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
    data = dicom_files.file_bytes(dicom_files.dataset(pixels, PatientID="4711", PatientName="Doe^Jo"))
    waiting = WaitingFilm(film=Film(key="d", name="d.dcm", data=data), finding=films[0].finding, digest=films[0].digest)
    kept, _ = keep_verdict(review, waiting, "fracture", reader="a")
    assert kept.patient == review.patient_hash("4711") != ""


def test_films_are_filtered_and_the_newest_comes_first(films, review):
    for number, waiting in enumerate(films[:4]):
        keep_verdict(review, waiting, ("fracture", "no fracture")[number % 2], reader="ab"[number // 2])
    assert [film.image for film in chosen_films(review, [])] == [one.digest for one in films[3::-1]]
    assert {film.label for film in chosen_films(review, ["Fracture"])} == {1}
    assert len(chosen_films(review, ["Fracture", "No fracture"], "a")) == 2
    assert all(film.model_disagrees for film in chosen_films(review, [AGAINST_MODEL]))


def test_orders_hold_every_film_once(films):
    assert ordered(films, BY_ARRIVAL, (0.1, 0.5)) == films
    assert sorted(one.digest for one in ordered(films, BY_VALUE, (0.1, 0.5))) == sorted(one.digest for one in films)


def test_the_picture_shows_the_boxes(films, review):
    keep_verdict(review, films[0], "fracture", reader="a", boxes=[(10, 10, 40, 40)])
    with_box = reviewed_picture(review, chosen_films(review, [])[0])
    picture = np.asarray(Image.open(io.BytesIO(with_box)).convert("RGB"), int)
    assert picture.shape == (160, 160, 3) and (picture[..., 2] - picture[..., 0] > 60).any()
    review.path(films[0].digest).unlink()
    assert reviewed_picture(review, chosen_films(review, [])[0]) == b""

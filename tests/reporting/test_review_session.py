"""The Review page's logic on real findings of the small bundle."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from fracture_core.data.review.export import reviewed_films
from fracture_core.data.review.review_set import ReviewSet
from fracture_core.data.review.verdict import ReviewError, image_digest
from fracture_core.imaging.radiograph import read_radiograph
from fracture_core.inference.predictor import Finding, load_predictor
from fracture_core.inference.scope import CONTENTS
from fracture_core.reporting.film_session import Film
from fracture_core.reporting.review_session import (
    instructive_order,
    keep_verdict,
    read_by,
    reviewed_image,
    revise_verdict,
)
from fracture_core.reporting.worklist import Entry
from tests.support import dicom_files


@pytest.fixture(scope="module")
def films(small_models) -> list[tuple[Film, Finding]]:
    predictor = load_predictor("small", small_models)
    made = []
    for path in sorted((small_models.parent / "data" / "images").glob("*/*.jpg"))[:5]:
        data = path.read_bytes()
        film = Film(key=path.name, name=path.name, data=data)
        made.append((film, predictor.predict(read_radiograph(data, name=path.name))))
    return made


def digest(read: tuple[Film, Finding]) -> str:
    return image_digest(read[1].radiograph.pixels)


@pytest.fixture
def review(tmp_path) -> ReviewSet:
    return ReviewSet(tmp_path / "review")


def test_the_models_answer_at_that_time_is_kept(films, review):
    kept, said = keep_verdict(review, *films[0], "fracture", reader="a", boxes=[(1, 2, 9, 9)])
    finding = films[0][1]
    assert kept.model["bundle"] == finding.bundle and kept.model["triage"] == finding.triage and said == ""
    assert kept.model["probability"] == pytest.approx(finding.probability, abs=1e-6)
    assert review.of(digest(films[0])) == [kept]


def test_a_reader_is_told_that_another_one_said_something_else(films, review):
    keep_verdict(review, *films[0], "fracture", reader="a")
    said = keep_verdict(review, *films[0], "no fracture", reader="b")[1]
    assert "both verdicts are kept" in said and "no fracture, differs from a: fracture" in said
    assert "differs from b: no fracture" in keep_verdict(review, *films[0], "fracture", reader="a")[1]
    assert "agrees with a: fracture" in keep_verdict(review, *films[0], "fracture", reader="b")[1]
    keep_verdict(review, *films[1], "fracture", reader="a")
    assert "earlier verdict is kept too" in keep_verdict(review, *films[1], "cannot tell", reader="a")[1]
    keep_verdict(review, *films[0], "no fracture", reader="b")
    assert [film.disagreement for film in reviewed_films(review.verdicts())] == [True, False]


def test_patients_of_dicom_files_are_hashed(films, review):
    pixels = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
    data = dicom_files.file_bytes(dicom_files.dataset(pixels, PatientID="4711", PatientName="Doe^Jo"))
    kept, _ = keep_verdict(review, Film(key="d", name="d.dcm", data=data), films[0][1], "fracture", reader="a")
    assert kept.patient == review.patient_hash("4711") != ""


def test_a_verdict_is_revised_and_the_earlier_one_kept(films, review):
    first, _ = keep_verdict(review, *films[0], "fracture", reader="a", boxes=[(1, 2, 9, 9)])
    (film,) = reviewed_films(review.verdicts())
    second, said = revise_verdict(review, film, "fracture", reader="a", boxes=[(3, 4, 8, 8)], comment="smaller")
    assert second.image == first.image and second.model == first.model and "earlier verdict is kept" in said
    assert review.of(first.image) == [first, second]
    assert reviewed_films(review.verdicts())[0].boxes == ((3, 4, 8, 8),)
    review.path(first.image).unlink()
    with pytest.raises(ReviewError, match="cannot be read"):
        revise_verdict(review, film, "fracture", reader="a")


def test_films_with_a_verdict_and_files_without_an_image_come_last(films, review):
    entries = {film.key: Entry.of(finding) for film, finding in films}
    entries["broken"] = Entry("broken", error="It cannot be read.")
    keep_verdict(review, *films[2], "fracture", reader="a")
    read = read_by(review, entries, "a")
    assert list(read) == [films[2][0].key] and read_by(review, entries, "b") == {}
    order = instructive_order(entries, (0.1, 0.5), read)
    assert sorted(order) == sorted(entries) and order[-2:] == [films[2][0].key, "broken"]


def test_body_parts_are_mixed_whatever_the_files_say_of_them(films):
    """The small bundle's answers are all alike, so only the body parts tell the films apart."""
    finding = films[0][1]
    assert finding.content in CONTENTS
    assert Entry.of(finding).body_part == finding.content  # a JPEG has no header that would say it
    entries = {f"hand {k}": replace(Entry.of(replace(finding, content="hand")), probability=0.3) for k in range(6)}
    entries["leg"] = replace(Entry.of(replace(finding, content="leg")), probability=0.2)
    assert instructive_order(entries, (0.1, 0.5)).index("leg") <= 2


def test_the_header_comes_before_what_the_network_sees(films):
    pixels = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
    data = dicom_files.file_bytes(dicom_files.dataset(pixels, BodyPartExamined="HAND"))
    finding = replace(films[0][1], radiograph=read_radiograph(data), content="leg")
    assert Entry.of(finding).body_part == "hand"


def test_the_picture_shows_the_boxes(films, review):
    keep_verdict(review, *films[0], "fracture", reader="a", boxes=[(10, 10, 40, 40)])
    with_box = reviewed_image(review, reviewed_films(review.verdicts())[0])
    picture = np.asarray(Image.open(io.BytesIO(with_box)).convert("RGB"), int)
    assert picture.shape == (160, 160, 3) and (picture[..., 2] - picture[..., 0] > 60).any()
    review.path(digest(films[0])).unlink()
    assert reviewed_image(review, reviewed_films(review.verdicts())[0]) == b""
    review.path(digest(films[0])).write_bytes(b"no image")
    assert reviewed_image(review, reviewed_films(review.verdicts())[0]) == b""


def test_boxes_lie_on_the_small_image_as_on_the_film(review):
    """Of a film lying on its side, too: the square has bars then."""
    film = np.full((100, 400), 90, np.uint8)
    review.add(film, "fracture", reader="a", boxes=[(200, 20, 100, 60)])
    small = reviewed_image(review, reviewed_films(review.verdicts())[0])
    picture = np.asarray(Image.open(io.BytesIO(small)).convert("RGB"), int)
    rows, columns = np.nonzero(picture[..., 2] - picture[..., 0] > 40)  # JPEG blurs the colour of thin lines
    assert (columns.min(), columns.max()) == pytest.approx((80, 120), abs=2)  # 200 and 300, at 160 for 400
    assert (rows.min(), rows.max()) == pytest.approx((68, 92), abs=2)  # 60 above the film, then 20 and 80

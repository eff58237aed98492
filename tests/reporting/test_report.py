"""The page to keep says what the finding says, and nothing of the file's name unless asked to."""

from __future__ import annotations

import csv
import dataclasses
import io
from datetime import UTC, datetime

import numpy as np
import pytest
from PIL import Image
from pypdf import PdfReader

from fracture_core.formatting import format_percent
from fracture_core.imaging.dicom.identifiers import dicom_identifiers
from fracture_core.imaging.radiograph import read_radiograph
from fracture_core.inference.assessment import UNFAMILIAR, not_read
from fracture_core.inference.predictor import Predictor, load_predictor
from fracture_core.reporting.finding_text import DISCLAIMER, capitalised, explain_finding
from fracture_core.reporting.report import csv_line, file_stem, report_pdf, report_png
from tests.support import dicom_files as dicom
from tests.support.miniature import picture

WHEN = datetime(2031, 5, 6, 7, 8, tzinfo=UTC)


@pytest.fixture(scope="module")
def reader(small_models) -> Predictor:
    return load_predictor("small", small_models)


@pytest.fixture(scope="module")
def finding(reader, small_models):
    path = sorted((small_models.parent / "data" / "images" / "Fractured").iterdir())[0]
    read = reader.predict(read_radiograph(path))
    return dataclasses.replace(read, unfamiliarity=0.5, warnings=("The picture is tiny & <b>odd</b>.",))


def text_of(pdf: bytes) -> str:
    pages = PdfReader(io.BytesIO(pdf)).pages
    assert len(pages) == 1
    return " ".join(pages[0].extract_text().split())


def test_the_page_says_everything_that_matters(finding, reader):
    text = text_of(report_pdf(finding, reader.bundle, when=WHEN))
    words = explain_finding(finding, reader.bundle)
    for said in (
        DISCLAIMER,
        words.headline,
        format_percent(finding.probability),
        words.like_this,
        finding.radiograph.name,
        finding.radiograph.sha256,
        reader.bundle.version,
        "6 May 2031, 07:08",
        "The picture is tiny & <b>odd</b>.",
    ):
        assert " ".join(said.split()) in text
    assert f"{finding.rule_in.sensitivity:.2f}" in words.detail or f"{finding.rule_in.specificity:.2f}" in words.detail
    assert len(PdfReader(io.BytesIO(report_pdf(finding, reader.bundle))).pages[0].images) == 2


def test_without_the_name_only_the_hash_tells_the_file(finding, reader):
    secret = dataclasses.replace(finding.radiograph, name="Müller, Annegret 1960.jpg")
    named = dataclasses.replace(finding, radiograph=secret)
    assert "Annegret" in text_of(report_pdf(named, reader.bundle))
    hidden = report_pdf(named, reader.bundle, named=False)
    assert "Annegret" not in text_of(hidden)
    assert b"Annegret" not in hidden
    assert "Annegret" not in csv_line(named, named=False)
    assert file_stem(named, named=False) == f"fracture-report-{secret.sha256[:12]}"
    assert file_stem(named) == "fracture-report-Müller--Annegret-1960"


def test_a_patients_identifiers_stand_in_it_only_where_they_are_handed_over(reader):
    header = {"PatientName": "Doe^Jane", "PatientBirthDate": "19600102", "InstitutionName": "St <b>Elsewhere</b>"}
    data = dicom.file_bytes(dicom.dataset(picture(7), **header, PatientID="MRN-0042"))
    read = reader.predict(read_radiograph(data, name="r.dcm"))
    shown = text_of(report_pdf(read, reader.bundle, patient=dicom_identifiers(data)))
    for words in ("Patient's Name Doe, Jane", "Patient ID MRN-0042", "2 January 1960", "St <b>Elsewhere</b>"):
        assert words in shown
    hidden = report_pdf(read, reader.bundle)
    for word in ("Doe", "MRN-0042", "1960", "Elsewhere"):
        assert word not in text_of(hidden) + csv_line(read)
        assert word not in str(PdfReader(io.BytesIO(hidden)).metadata)


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "...", "a" * 300 + ".jpg", "骨折\x00\n.png", "<para>&"])
def test_any_name_makes_a_page_and_a_harmless_file_name(finding, reader, name):
    odd = dataclasses.replace(finding, radiograph=dataclasses.replace(finding.radiograph, name=name))
    assert finding.radiograph.sha256 in text_of(report_pdf(odd, reader.bundle))
    stem = file_stem(odd)
    assert "/" not in stem
    assert ".." not in stem.removeprefix("fracture-report-")[:2]
    assert len(stem) < 120


def test_a_picture_unlike_the_training_data_gets_no_finding(finding, reader):
    strange = dataclasses.replace(finding, unfamiliarity=1.7)
    text = text_of(report_pdf(strange, reader.bundle))
    assert capitalised(not_read(UNFAMILIAR)) in text and UNFAMILIAR in text and "tiny" not in text
    assert format_percent(finding.probability) not in text.partition("Operating points")[0]
    assert len(PdfReader(io.BytesIO(report_pdf(strange, reader.bundle))).pages[0].images) == 1


@pytest.mark.parametrize("shape", [(3000, 400), (400, 3000), (64, 64)])
def test_pictures_of_any_shape_fit_on_the_one_page(reader, finding, shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    read = reader.predict(dataclasses.replace(finding.radiograph, pixels=pixels))
    text_of(report_pdf(dataclasses.replace(read, warnings=("A long warning. " * 12,) * 6), reader.bundle))


def test_png_is_the_page(finding, reader):
    page = Image.open(io.BytesIO(report_png(finding, reader.bundle)))
    assert page.mode == "RGB"
    assert page.size == (1191, 1684)
    assert 0.02 < (np.asarray(page).min(-1) < 128).mean() < 0.9


def test_csv_line_is_one_line_with_the_finding(finding, reader):
    (row,) = csv.DictReader(io.StringIO(csv_line(finding)))
    assert row["finding"] == finding.triage
    assert row["sha256"] == finding.radiograph.sha256
    assert float(row["probability"]) == pytest.approx(finding.probability, abs=1e-6)

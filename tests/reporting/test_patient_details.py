"""Names and dates of a DICOM header as a report prints them."""

from __future__ import annotations

import pytest
from pydicom.valuerep import PersonName

from fracture_core.reporting.patient_details import format_date, format_person, format_time, patient_lines


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("Doe^Jane", "Doe, Jane"),
        ("Adams^John Robert Quincy^^Rev.^B.A. M.Div.", "Adams, John Robert Quincy (Rev., B.A. M.Div.)"),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "Yamada, Tarou / 山田, 太郎 / やまだ, たろう"),
        ("Morrison-Jones^Susan^^^Ph.D., Chief", "Morrison-Jones, Susan (Ph.D., Chief)"),
        ("^Prince", "Prince"),
        ("", ""),
    ],
)
def test_person_names(name, written):
    assert format_person(name) == written


def test_the_parts_are_those_that_pydicom_finds():
    name = PersonName("Adams^John^Quincy^Rev.^B.A.")
    assert format_person(str(name)) == (
        f"{name.family_name}, {name.given_name} {name.middle_name} ({name.name_prefix}, {name.name_suffix})"
    )


def test_dates_and_times():
    assert format_date("19600102") == "2 January 1960"
    assert format_date("not a date") == "not a date"
    assert format_date("20260230") == "20260230"
    assert format_time("142530.5") == "14:25"
    assert format_time("99") == "99"


def test_the_patient_comes_first():
    lines = patient_lines({"InstitutionName": "St Elsewhere", "PatientSex": "F", "PatientName": "Doe^Jane"})
    assert lines == [
        ("Patient's Name", "Doe, Jane"),
        ("Patient's Sex", "female"),
        ("Institution Name", "St Elsewhere"),
    ]

"""The table of many radiographs, and what it becomes as CSV."""

from __future__ import annotations

import csv
import io

import pytest

from fracture_core.imaging.radiograph import read_radiograph
from fracture_core.inference.assessment import UNFAMILIAR, not_read
from fracture_core.inference.predictor import Failure, load_predictor
from fracture_core.metrics.operating_points import OperatingPoint
from fracture_core.reporting.finding_text import UNOPENED
from fracture_core.reporting.worklist import COLUMNS, Entry, to_csv, worklist

OUT = OperatingPoint("rule_out", 0.2, "", "val", 0.95, 0.5)
IN = OperatingPoint("rule_in", 0.6, "", "val", 0.6, 0.95)


def read(name: str, probability: float, **more) -> Entry:
    return Entry(name, probability, 0.5, sha256="ab", bundle="small 1", **more)


def test_what_nobody_has_read_comes_first_then_the_most_suspicious():
    entries = [
        read("low", 0.1),
        Entry("broken", error="It cannot be read."),
        read("holiday", 0.99, reason=UNFAMILIAR),
        read("high", 0.6),
        read("middle", 0.2),
    ]
    table = worklist(entries, OUT, IN)
    assert table["file"].tolist() == ["broken", "holiday", "high", "middle", "low"]
    assert table.index.tolist() == [1, 2, 3, 4, 0]
    expected = [UNOPENED, not_read(UNFAMILIAR), "fracture likely", "indeterminate", "fracture unlikely"]
    assert table["finding"].tolist() == expected
    assert table["probability"].isna().tolist() == [True, True, False, False, False]


def test_a_file_that_can_be_read_in_part_is_not_called_unopened():
    entry = Entry("short", error="The bottom half is missing.", truncated=True)
    assert entry.finding(OUT, IN) == "not read: part of the image is missing or wrong"


def test_csv_reads_back_and_starts_no_formula():
    entries = [read('=HYPERLINK("x")', 0.7, warnings=("Cut short, a third is missing.",)), read('b,\n"c', 0.1)]
    rows = list(csv.DictReader(io.StringIO(to_csv(worklist(entries, OUT, IN)))))
    assert tuple(rows[0]) == COLUMNS
    assert rows[0]["file"] == '\'=HYPERLINK("x")'
    assert float(rows[0]["probability"]) == pytest.approx(0.7)
    assert rows[0]["warnings"] == "Cut short, a third is missing."
    assert rows[1]["file"] == 'b,\n"c'


def test_nothing_at_all_is_a_table_with_no_rows():
    assert worklist([], OUT, IN).empty
    assert to_csv(worklist([], OUT, IN)).strip() == ",".join(COLUMNS)


def test_an_entry_keeps_what_the_reader_said(small_models):
    reader = load_predictor("small", small_models)
    path = next((small_models.parent / "data" / "images" / "Fractured").iterdir())
    finding = reader.predict(read_radiograph(path))
    entry = Entry.of(finding)
    assert (entry.name, entry.sha256) == (path.name, finding.radiograph.sha256)
    assert (entry.probability, entry.logit) == (finding.probability, finding.logit)
    assert entry.finding(finding.rule_out, finding.rule_in) == finding.triage
    assert Entry.of(Failure("x", "It is no picture.")).error == "It is no picture."

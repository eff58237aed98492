"""Only what was added is read again, whoever added it, and a file that was replaced is read anew."""

from __future__ import annotations

import numpy as np
import pytest

from fracture_core.data.review.log import VerdictLog
from fracture_core.data.review.review_set import FILE, ReviewSet

FILM = np.arange(48, dtype=np.uint8).reshape(6, 8)


@pytest.fixture
def review(tmp_path) -> ReviewSet:
    return ReviewSet(tmp_path / "review")


def test_what_others_add_is_seen_and_nothing_twice(review):
    watched, other = ReviewSet(review.folder), ReviewSet(review.folder)
    for k in range(4):
        other.add(FILM + k, "fracture", reader=str(k))
        assert [v.reader for v in watched.verdicts()] == [str(n) for n in range(k + 1)]
    assert [v.reader for v in watched.of(watched.verdicts()[2].image)] == ["2"]


def test_only_what_was_added_is_read(review, monkeypatch):
    for k in range(30):
        review.add(FILM + k, "fracture", reader=str(k))
    log = VerdictLog(review.folder / FILE)
    assert len(log.verdicts()) == 30
    taken = []
    monkeypatch.setattr(log, "_take", taken.append)
    review.add(FILM + 30, "fracture", reader="30")
    log.verdicts()
    assert len(taken) == 1


def test_half_a_line_is_waited_for(review):
    review.add(FILM, "fracture", reader="a")
    whole = (review.folder / FILE).read_bytes()
    second = whole.replace(b'"a"', b'"b"')
    log = VerdictLog(review.folder / FILE)
    with (review.folder / FILE).open("ab") as file:
        file.write(second[:40])
        file.flush()
        assert [v.reader for v in log.verdicts()] == ["a"]
        file.write(second[40:])
    assert [v.reader for v in log.verdicts()] == ["a", "b"]


def test_a_replaced_file_is_read_anew(review):
    watched = ReviewSet(review.folder)
    made = [review.add(FILM + k, "fracture", reader=str(k)) for k in range(5)]
    assert len(watched.verdicts()) == 5
    for gone in (made[0], made[1]):
        review.delete(gone.image)
    for k in range(7):
        review.add(FILM + 10 + k, "no fracture", reader=f"after {k}")
    assert [v.reader for v in watched.verdicts()] == ["2", "3", "4", *(f"after {k}" for k in range(7))]
    assert watched.of(made[0].image) == []
    (review.folder / FILE).unlink()
    assert watched.verdicts() == []

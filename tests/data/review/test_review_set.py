"""Verdicts survive crashes and company, and hold no identifier."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fracture_core.data.review.catalogue import ReviewCatalogue
from fracture_core.data.review.export import export_review
from fracture_core.data.review.review_set import FILE, ReviewSet, is_review_folder
from fracture_core.data.review.verdict import ReviewError, image_digest
from fracture_core.evaluation.monitoring.agreement import monthly_agreement
from fracture_core.imaging.radiograph import read_radiograph

ROOT = Path(__file__).parents[3]
FILM = np.arange(60 * 40, dtype=np.uint8).reshape(60, 40)


@pytest.fixture
def review(tmp_path) -> ReviewSet:
    return ReviewSet(tmp_path / "review")


def test_a_verdict_is_read_back_as_it_was_given(review):
    model = {"bundle": "small 0a1b", "probability": 0.25, "logit": -1.1, "triage": "uncertain"}
    given = review.add(FILM, "fracture", reader="ward7", boxes=[(1, 2, 10, 12.5)], comment=" distal ", model=model)
    assert ReviewSet(review.folder).verdicts() == [given]
    assert given.boxes == ((1, 2, 10, 12.5),) and given.comment == "distal" and given.model == model
    assert (given.height, given.width) == FILM.shape
    assert (read_radiograph(review.path(given.image)).pixels == FILM).all()
    assert is_review_folder(review.folder) and not is_review_folder(review.folder.parent)


def test_the_png_holds_pixels_and_nothing_else(review):
    data = review.path(review.add(FILM, "fracture", reader="a").image).read_bytes()
    chunks, at = [], 8
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        chunks.append(kind)
        at += 12 + length
    assert set(chunks) == {b"IHDR", b"IDAT", b"IEND"}


def test_no_identifier_is_written_and_one_patient_is_one_hash(review, tmp_path):
    first = review.add(FILM, "fracture", reader="a", patient="MRN 00420815 XYZ")
    second = review.add(FILM + 1, "no fracture", reader="a", patient=" MRN  00420815  XYZ ")
    other = review.add(FILM + 2, "no fracture", reader="a", patient="MRN 00420816 XYZ")
    assert first.patient == second.patient != other.patient and review.add(FILM, "fracture", reader="a").patient == ""
    everything = b"".join(path.read_bytes() for path in review.folder.rglob("*") if path.is_file())
    assert b"00420815" not in everything  # long: fewer digits turn up in compressed pixels and hashes by chance
    assert ReviewSet(tmp_path / "another").patient_hash("MRN 00420815 XYZ") != first.patient
    assert (review.folder / "secret.key").stat().st_mode & 0o077 == 0


def test_a_second_verdict_stands_beside_the_first(review):
    review.add(FILM, "fracture", reader="a")
    review.add(FILM, "no fracture", reader="b")
    assert [(v.reader, v.verdict) for v in review.of(image_digest(FILM))] == [("a", "fracture"), ("b", "no fracture")]
    assert len(list((review.folder / "images").glob("*.png"))) == 1


def test_boxes_are_cut_to_the_film_and_nonsense_is_refused(review):
    assert review.add(FILM, "fracture", reader="a", boxes=[(-5, 50, 20, 100)]).boxes == ((0, 50, 15, 10),)
    for boxes in ([(0, 0, 0.2, 5)], [(100, 0, 5, 5)], [(0, 0, float("nan"), 5)], [(1, 2, 3)], [("x", 0, 1, 1)]):
        with pytest.raises(ReviewError, match="box"):
            review.add(FILM, "fracture", reader="a", boxes=boxes)
    with pytest.raises(ReviewError, match="one of"):
        review.add(FILM, "maybe", reader="a")
    with pytest.raises(ReviewError, match="pixels"):
        review.add(FILM.astype(float), "fracture", reader="a")
    assert len(review.verdicts()) == 1


def test_a_film_is_deleted_for_good(review):
    kept = review.add(FILM, "fracture", reader="a")
    gone = review.add(FILM + 1, "fracture", reader="a")
    review.delete(gone.image)
    assert review.verdicts() == [kept]
    assert not review.path(gone.image).exists() and gone.image not in (review.folder / FILE).read_text()
    for name in ("../secret", "secret.key", ""):
        with pytest.raises(ReviewError):
            review.delete(name)


@pytest.mark.skipif(os.name != "posix", reason="permissions as POSIX has them")
def test_a_deletion_leaves_the_verdicts_to_their_owner(review):
    review.add(FILM, "fracture", reader="a")
    gone = review.add(FILM + 1, "fracture", reader="a", comment="private")
    review.delete(gone.image)
    assert (review.folder / FILE).stat().st_mode & 0o777 == 0o600


def test_a_verdict_that_nobody_saw_is_not_deleted_with_the_film(review):
    first = review.add(FILM, "fracture", reader="a")
    later = review.add(FILM, "no fracture", reader="b")
    with pytest.raises(ReviewError, match="came meanwhile"):
        review.delete(first.image, seen=1)
    assert review.verdicts() == [first, later] and review.path(first.image).exists()
    review.delete(first.image, seen=2)
    review.delete(first.image, seen=2)  # pressed twice
    assert review.verdicts() == []


def test_readers_at_once_lose_nothing(review):
    def read(reader: str) -> None:
        mine = ReviewSet(review.folder)
        for k in range(20):
            mine.add(FILM + k, "fracture", reader=reader)

    readers = [threading.Thread(target=read, args=(name,)) for name in "abc"]
    for thread in readers:
        thread.start()
    for thread in readers:
        thread.join()
    assert sorted(v.reader for v in review.verdicts()) == ["a"] * 20 + ["b"] * 20 + ["c"] * 20


def test_lines_that_make_no_sense_are_passed_over(review):
    good = review.add(FILM, "fracture", reader="a")
    with (review.folder / FILE).open("ab") as file:
        file.write(b'[1]\nnull\n{"image": 3}\n\xff\xfe\n' + b"[" * 100_000 + b"\n")
        file.write(b'{"image": "' + b"0" * 64 + b'", "verdict": "fracture", "bo')
    again = review.add(FILM + 1, "no fracture", reader="a")
    assert review.verdicts() == [good, again]


@pytest.mark.parametrize(
    "wrong",
    [{"model": [1]}, {"model": "x"}, {"when": 5}, {"reader": ["a"]}, {"reader": None}, {"comment": 3}, {"width": "64"},
     {"boxes": [[1, 2, 3, 4]], "height": 0}, {"boxes": [[1, 2, 3, float("nan")]]}, {"comment": "\ud800x"},
     {"patient": {}}, {"verdict": ["fracture"]}],
)  # fmt: skip
def test_a_field_of_a_wrong_type_costs_its_line_alone(review, wrong, tmp_path):
    good = review.add(FILM, "fracture", reader="a", model={"bundle": "m 1", "triage": "fracture likely"})
    line = json.loads((review.folder / FILE).read_text()) | wrong
    with (review.folder / FILE).open("a") as file:
        file.write(json.dumps(line) + "\n")
    assert review.verdicts() == [good] and monthly_agreement(review.verdicts(), "m 1")["agreed"].tolist() == [1]
    assert ReviewCatalogue(review).images == [good.image]
    assert export_review(review, tmp_path / "out", "csv").films == 1


@pytest.mark.parametrize("left", [0, 1, 40, -1])
def test_a_film_of_which_a_part_is_left_is_written_again(review, left):
    file = review.path(review.add(FILM, "fracture", reader="a").image)
    whole = file.read_bytes()
    file.write_bytes(whole[:left])
    review.add(FILM, "fracture", reader="b")
    assert file.read_bytes() == whole


def test_a_film_that_is_there_is_not_written_again(review):
    file = review.path(review.add(FILM, "fracture", reader="a").image)
    os.utime(file, (1, 1))
    review.add(FILM, "fracture", reader="b")
    assert file.stat().st_mtime == 1


@pytest.mark.parametrize("when", ["2026-11-05T10:00:00", "", "yesterday"])
def test_a_verdict_without_a_time_of_ours_is_kept(review, when):
    review.add(FILM, "fracture", reader="a", model={"bundle": "m 1", "triage": "fracture likely"})
    line = json.loads((review.folder / FILE).read_text())
    for n, model in enumerate((line["model"], None)):
        (review.folder / FILE).write_text(json.dumps(line | {"when": when, "model": model}) + "\n")
        (kept,) = review.verdicts()
        assert kept.verdict == "fracture" and kept.when == when
        counted = monthly_agreement([kept], "m 1")["reviewed"].sum()
        assert counted == (when.startswith("2026") and not n)
        assert len(ReviewCatalogue(review).images) == 1


def test_a_folder_that_cannot_be_used_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ReviewError, match="cannot be used"):
        ReviewSet(tmp_path / "file")


#: For each folder named to it, a process of its own that writes until it is killed: forked from one that has imported
#: what a writer needs, which takes far longer than a verdict.
WRITERS = """
import os, sys
import numpy as np
from fracture_core.data.review.review_set import ReviewSet
for line in sys.stdin:
    if child := os.fork():
        os.waitpid(child, 0)
        print("killed", flush=True)
        continue
    print(os.getpid(), flush=True)
    review = ReviewSet(line.rstrip("\\n"))
    for k in range(10**6):
        film = np.full((64, 64), k % 251, np.uint8)
        film[0, :4] = np.frombuffer(np.uint32(k).tobytes(), np.uint8)
        review.add(film, "fracture", reader=str(k))
        os.write(1, b"%d\\n" % k)  # in one piece: the kill must not fall between a number and its end
"""


@pytest.fixture
def writers() -> Iterator[subprocess.Popen]:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
    process = subprocess.Popen([sys.executable, "-c", WRITERS], cwd=ROOT, start_new_session=True, **pipes)
    yield process
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks and kills")
@pytest.mark.parametrize("kills", [pytest.param(5), pytest.param(50, marks=pytest.mark.slow)])
def test_a_killed_writer_loses_the_verdict_in_hand_at_most(tmp_path, writers, kills):
    rng = np.random.default_rng(kills)
    for k in range(kills):
        folder = tmp_path / str(k)
        writers.stdin.write(f"{folder}\n")
        writer = int(writers.stdout.readline())
        # A number of verdicts, not of seconds: the machine may be slow. The kill falls anywhere in the next one or two.
        line, began = writers.stdout.readline(), time.monotonic()
        verdicts = int(rng.integers(1, 30))
        for _ in range(verdicts):
            line = writers.stdout.readline()
        time.sleep(rng.uniform(0, 2) * (time.monotonic() - began) / verdicts)
        os.kill(writer, signal.SIGKILL)
        said = [int(line), *map(int, iter(writers.stdout.readline, "killed\n"))]
        review = ReviewSet(folder)
        kept = [int(v.reader) for v in review.verdicts()]
        assert kept == list(range(len(kept))) and len(kept) in (said[-1] + 1, said[-1] + 2)
        assert all(image_digest(read_radiograph(review.path(v.image)).pixels) == v.image for v in review.verdicts())
        review.add(FILM, "fracture", reader="after")
        assert len(review.verdicts()) == len(kept) + 1
        assert all(json.loads(row) for row in (folder / FILE).read_text().splitlines() if row.strip().endswith("}"))

"""The hostile corpus, every case of it: a Radiograph or a sentence, in time and within 500 MB."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fracture_core.imaging.radiograph import UnreadableRadiograph, read_radiograph
from tests.hostile import corpus as hostile_corpus
from tests.hostile.corpus import corpus

CASES = list(corpus())

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="measures each case in a forked process"),
]


def test_the_corpus_is_large_and_its_names_are_unique() -> None:
    assert len(CASES) >= 300
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.timeout(900)
def test_every_case_ends_in_a_radiograph_or_a_sentence_in_time() -> None:
    """In an interpreter of its own: a fork of one that has TensorFlow loaded would be charged for its memory."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.hostile.corpus"],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        timeout=800,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]


def test_sound_files_are_read_whole() -> None:
    for name, make in hostile_corpus.hostile_files.SOUND.items():
        radiograph = read_radiograph(make())
        assert radiograph.pixels.shape == (200, 150) and radiograph.missing == 0, name


def _crash() -> bytes:
    os.kill(os.getpid(), signal.SIGKILL)


def test_the_runner_sees_what_it_should(tmp_path, monkeypatch) -> None:
    """A crash, an escaped exception, a slow and a large reading each count as broken."""
    case = next(iter(corpus()))

    def reading(work: object) -> hostile_corpus.Outcome:
        monkeypatch.setattr(hostile_corpus, "read_radiograph", lambda *_, **__: work())
        return hostile_corpus.examine([case], tmp_path)[0]

    assert reading(_crash).words == "ended by SIGKILL"
    escaped = reading(lambda: 1 // 0)
    assert escaped.end == "failure" and "ZeroDivisionError" in escaped.words and not escaped.clean

    def slow() -> None:
        sum(range(80_000_000))
        raise UnreadableRadiograph("Slow.")

    monkeypatch.setattr(hostile_corpus, "MAX_SECONDS", 0.2)
    monkeypatch.setattr(hostile_corpus, "MAX_READINGS", 0)
    assert not reading(slow).clean

    def large() -> None:
        bytearray(b"x" * 700_000_000)
        raise UnreadableRadiograph("Large.")

    monkeypatch.setattr(hostile_corpus, "MAX_SECONDS", 60)
    assert not reading(large).clean

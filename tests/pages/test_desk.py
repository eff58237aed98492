"""What is said while a film is assessed, and when."""

from __future__ import annotations

import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest

from pages.parts.diagnose import desk
from tests.browser.app import ROOT


@pytest.fixture
def words():
    """What the desk said, and a desk that says it."""
    said: list[str] = []
    return said, SimpleNamespace(slot=SimpleNamespace(html=said.append))


def test_a_film_that_takes_a_moment_is_announced(words):
    said, drawn = words
    asked = threading.Event()

    def draw():
        asked.set()
        return drawn

    assert desk.assess(lambda: asked.wait(60) and "finding", draw) == "finding"
    assert len(said) == 1 and "Assessing" in said[0]


def test_a_film_that_is_assessed_at_once_is_not(words, monkeypatch):
    monkeypatch.setattr(desk, "PATIENCE", 60)
    assert desk.assess(lambda: "finding", lambda: pytest.fail("drawn for nothing")) == "finding"


def test_what_went_wrong_comes_back(monkeypatch):
    monkeypatch.setattr(desk, "PATIENCE", 60)

    def read():
        raise TimeoutError("the file's own")

    with pytest.raises(TimeoutError, match="the file's own"):
        desk.assess(read, lambda: pytest.fail("drawn for nothing"))


def test_the_page_is_there_before_what_diagnosing_does_not_need():
    code = (
        "import sys, pages.parts.diagnose.page\n"
        "print({name.partition('.')[0] for name in sys.modules} & {'tensorflow', 'pandas', 'sklearn', 'pydicom'})"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"

"""Many visitors on one server: each gets their own answer, sees their place in the line, and may leave it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.crowd import Truth, step
from fracture_core.inference.predictor import load_predictor
from tests.browser.app import Server
from tests.support.web_session import WebSession

pytestmark = pytest.mark.slow

_PLACE = re.compile(r"Busy with other radiographs\. You are number (\d+) in the queue\.")


@pytest.fixture(scope="module")
def server(small_models, tmp_path_factory) -> Iterator[Server]:
    """The app on the small bundle, without a dataset."""
    folder = tmp_path_factory.mktemp("crowd")
    environment = {"FRACTURE_MODELS_DIR": str(small_models), "FRACATLAS_DIR": str(folder)}
    running = Server(folder / "log", **environment)
    running.wait()
    yield running
    running.stop()
    assert "Traceback" not in running.log.read_text()


@pytest.fixture(scope="module")
def slow(tmp_path_factory) -> list[Path]:
    """Ten radiographs so large that reading one takes far longer than it takes to be told one's place."""
    folder = tmp_path_factory.mktemp("slow")
    for seed in range(10):
        noise = np.random.default_rng(seed).integers(0, 256, (1800, 1500), np.uint8)
        cv2.imwrite(str(folder / f"large{seed}.png"), noise, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    return sorted(folder.iterdir())


def test_every_visitor_gets_the_answer_to_their_own_radiograph(server, small_models):
    files = sorted((small_models.parent / "data" / "images").rglob("*.jpg"))
    outcome = step(server, 6, 2, files, Truth(load_predictor("small", small_models)), 90)
    assert outcome.errors == [] and outcome.wrong == [] and outcome.turned_away == 0
    assert len(outcome.waits) == 12


def test_another_visitors_answer_would_be_noticed(server, small_models):
    truth = Truth(load_predictor("small", small_models))
    mine, other = sorted((small_models.parent / "data" / "images").rglob("*.jpg"))[:2]
    visitor = WebSession(server.url)
    visitor.upload(mine.name, mine.read_bytes())
    visitor.until(lambda: visitor.finished)
    assert truth.fault(visitor, mine) == ""
    assert truth.fault(visitor, other) == f"{other.name}: shows {mine.name}"
    visitor.close()


def test_whoever_waits_sees_their_place_and_whoever_leaves_gives_it_back(server, slow):
    visitors = [WebSession(server.url, 120) for _ in slow]
    with ThreadPoolExecutor(len(slow)) as pool:
        list(pool.map(lambda v, p: v.upload(p.name, p.read_bytes()), visitors, slow))
        for visitor in visitors[::3]:
            visitor.close()
        staying = [v for number, v in enumerate(visitors) if number % 3]
        list(pool.map(lambda v: v.until(lambda: v.finished), staying))
    assert all(v.answer and not v.traceback for v in staying)
    places = [[int(found[1]) for said in v.said if (found := _PLACE.search(said))] for v in staying]
    assert any(places)
    for seen in places:
        assert seen == sorted(set(seen), reverse=True)  # nobody ever moves back
    assert all(not _PLACE.search(alert) for v in staying for alert in v.alerts)  # and at the end it is gone
    for visitor in staying:
        visitor.close()
    late = WebSession(server.url, 60)
    late.upload("late.png", slow[0].read_bytes())
    late.until(lambda: late.finished)
    assert late.answer and not any(_PLACE.search(said) for said in late.said)
    late.close()

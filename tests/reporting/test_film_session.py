"""The films of a session: read once, kept within bounds, and gone when they are cleared."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from fracture_core.imaging.adjustment import Adjustment
from fracture_core.inference.predictor import Failure, Finding, Predictor, load_predictor
from fracture_core.metrics.operating_points import OperatingPoint
from fracture_core.reporting.film_session import FilmSession


class Counting:
    """A predictor that counts how often it is asked."""

    def __init__(self, predictor: Predictor):
        self._predictor, self.bundle, self.names = predictor, predictor.bundle, []

    def predict(self, radiograph, **options) -> Finding:
        self.names.append(radiograph.name)
        return self._predictor.predict(radiograph, **options)


@pytest.fixture
def predictor(small_models) -> Counting:
    return Counting(load_predictor("small", small_models))


@pytest.fixture(scope="module")
def files(small_models) -> list[tuple[str, bytes]]:
    paths = sorted((small_models.parent / "data" / "images").glob("*/*.jpg"))[:4]
    return [(path.name, path.read_bytes()) for path in paths]


def results(films: FilmSession, predictor) -> list[Finding | Failure]:
    points = predictor.bundle.points
    return [films.result(film.key, predictor, points["rule_out"], points["rule_in"]) for film in films.films]


def test_the_network_runs_once_a_film_whatever_the_operating_point(predictor, files):
    films = FilmSession()
    for name, data in files:
        films.add(name, data)
    assert films.unread(predictor.bundle.version) == [film.key for film in films.films]
    first = results(films, predictor)
    other = OperatingPoint("other", 0.3, "", "val", 0.9, 0.6)
    again = [films.result(film.key, predictor, other, other) for film in films.films]
    assert predictor.names == [name for name, _ in files]
    assert films.unread(predictor.bundle.version) == []
    assert [one.probability for one in again] == [one.probability for one in first]
    assert {one.rule_in for one in again} == {other}


def test_the_same_file_is_there_once_and_paths_are_dropped(files):
    films = FilmSession()
    name, data = files[0]
    assert films.add(name, data) == films.add(f"../secret/{name}", data)
    assert films.add("other.jpg", data) in films
    assert [film.name for film in films.films] == [name, "other.jpg"]


def test_findings_beyond_the_bound_are_dropped_and_the_worklist_stays(predictor, files):
    films = FilmSession(most_kept=1)
    keys = [films.add(name, data) for name, data in files]
    results(films, predictor)
    version = predictor.bundle.version
    assert [films.ready(key, version) for key in keys] == [False, False, False, True]
    assert list(films.entries(version)) == keys
    results(films, predictor)
    assert len(predictor.names) == 8


def test_a_turned_film_is_read_anew_and_can_be_turned_back(predictor, files):
    films = FilmSession()
    key = films.add(*files[0])
    (upright,) = results(films, predictor)
    films.set_options(key, adjustments=(Adjustment(quarter_turns=1),))
    assert films.unread(predictor.bundle.version) == [key]
    (turned,) = results(films, predictor)
    assert (turned.radiograph.pixels == np.rot90(upright.radiograph.pixels, -1)).all()
    films.set_options(key, adjustments=())
    assert results(films, predictor)[0].probability == upright.probability


def test_a_truncated_file_says_so_and_is_read_when_that_is_accepted(predictor, tmp_path):
    path = tmp_path / "whole.jpg"
    rows = np.add.outer(np.arange(400), np.arange(300)) % 251
    Image.fromarray(rows.astype(np.uint8)).save(path, "JPEG", quality=95)
    films = FilmSession()
    short = films.add("short.jpg", path.read_bytes()[: path.stat().st_size // 2])
    other = films.add("letter.txt", b"Dear colleague")
    truncated, letter = results(films, predictor)
    assert isinstance(truncated, Failure) and truncated.truncated
    assert isinstance(letter, Failure) and not letter.truncated
    assert films.entries(predictor.bundle.version)[short].truncated
    films.set_options(short, accept_cut_short=True)
    assert isinstance(results(films, predictor)[0], Finding)
    assert films.film(other).name == "letter.txt"


def test_cleared_films_leave_nothing(predictor, files):
    films = FilmSession()
    keys = [films.add(name, data) for name, data in files]
    results(films, predictor)
    films.readings[keys[0]] = "Fracture"
    assert films.entries(predictor.bundle.version)[keys[0]].reader_finding == "Fracture"
    films.remove(keys)
    assert not films and not films.readings and not films.entries(predictor.bundle.version)
    assert not films._findings and not films._entries


class Held:
    """A predictor that answers when it is allowed to, as a slow one does."""

    def __init__(self, counting: Counting):
        self._counting, self.bundle = counting, counting.bundle
        self.asked, self.allowed = threading.Event(), threading.Event()

    def predict(self, radiograph, **options) -> Finding:
        self.asked.set()
        assert self.allowed.wait(60)
        return self._counting.predict(radiograph, **options)


def assessed_while(films: FilmSession, predictor, act) -> Finding:
    """The answer of an assessment during which `act` is called."""
    held = Held(predictor)
    with ThreadPoolExecutor(1) as pool:
        (film,) = films.films
        points = predictor.bundle.points
        answer = pool.submit(films.result, film.key, held, points["rule_out"], points["rule_in"])
        assert held.asked.wait(60)
        act(film.key)
        held.allowed.set()
        return answer.result()


def test_an_answer_is_kept_for_what_was_assessed_alone(predictor, files):
    films, version = FilmSession(), predictor.bundle.version
    key = films.add(*files[0])
    turned = (Adjustment(quarter_turns=1),)
    upright = assessed_while(films, predictor, lambda key: films.set_options(key, adjustments=turned))
    assert films.unread(version) == [key] and not films.ready(key, version)
    (sideways,) = results(films, predictor)
    assert sideways.radiograph.pixels.shape == upright.radiograph.pixels.shape[::-1]


def test_of_a_film_removed_while_it_is_assessed_nothing_is_kept(predictor, files):
    films, version = FilmSession(), predictor.bundle.version
    key = films.add(*files[0])
    assessed_while(films, predictor, lambda key: films.remove([key]))
    films.set_options(key, window=1)  # a press that was on its way
    assert not films and key not in films
    films.add(*files[0])
    assert films.unread(version) == [key] and not films.ready(key, version)


def test_a_film_that_is_asked_for_twice_at_once_is_assessed_once(predictor, files):
    films = FilmSession()
    films.add(*files[0])
    with ThreadPoolExecutor(1) as pool:
        second = []
        first = assessed_while(films, predictor, lambda _: second.append(pool.submit(results, films, predictor)))
        (again,) = second[0].result()
    assert predictor.names == [files[0][0]] and again.probability == first.probability

"""The queue for the engine: its order, its bound, and that no place is ever lost."""

from __future__ import annotations

import itertools
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait

import pytest

from fracture_core.concurrency import QueueFullError, RequestQueue


class GoneError(Exception):
    """What a watcher raises whose session was closed."""


def until(true) -> None:
    """Return once `true()` is; fail after a minute."""
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.002)


class Session:
    """A thread with one reading: it waits, holds its turn until `finish` is set, and leaves."""

    def __init__(self, line: RequestQueue, watch=None):
        self.positions: list[int] = []
        self.inside, self.finish, self.gone = threading.Event(), threading.Event(), threading.Event()
        self.ended: Future[None] = Future()
        self._watch = watch
        threading.Thread(target=self._read, args=(line,), daemon=True).start()

    def _read(self, line: RequestQueue) -> None:
        try:
            with line.turn(self._look):
                self.inside.set()
                assert self.finish.wait(60)
            self.ended.set_result(None)
        except Exception as error:
            self.ended.set_exception(error)

    def _look(self, position: int) -> None:
        self.positions.append(position)
        if self.gone.is_set():
            raise GoneError


def queue_up(line: RequestQueue, n: int) -> list[Session]:
    """Sessions that came one after the other: the first `at_once` inside, the rest waiting in order."""
    sessions = []
    for number in range(n):
        sessions.append(Session(line))
        until(lambda number=number: sessions[-1].inside.is_set() or line.waiting == number + 1 - line.at_once)
    return sessions


def test_an_idle_engine_is_entered_at_once_and_nobody_is_told_to_wait():
    line, told = RequestQueue(), []
    for _ in range(1000):
        with line.turn(told.append):
            assert line.waiting == 0
    assert told == []


def test_first_come_first_served_and_told_so():
    line = RequestQueue(places=8, at_once=2)
    sessions = queue_up(line, 6)
    assert [s.inside.is_set() for s in sessions] == [True, True, False, False, False, False]
    until(lambda: all(s.positions for s in sessions[2:]))
    assert [s.positions[-1] for s in sessions[2:]] == [1, 2, 3, 4]
    for leaver, next_in in zip(sessions, sessions[2:], strict=False):
        assert not next_in.inside.is_set()
        leaver.finish.set()
        assert next_in.inside.wait(60)
    until(lambda: sessions[5].inside.is_set())
    assert sessions[5].positions[0] == 4
    assert sessions[5].positions == sorted(sessions[5].positions, reverse=True)
    for session in sessions[4:]:
        session.finish.set()
        session.ended.result(60)


def test_past_its_bound_a_newcomer_is_turned_away_with_a_sentence_and_takes_no_place():
    line = RequestQueue(places=2, at_once=1)
    sessions = queue_up(line, 3)
    for _ in range(3):
        with pytest.raises(QueueFullError, match=r"busy.* Try again in a minute\.$"), line.turn():
            pytest.fail("there was no place")
    assert line.waiting == 2
    for session in sessions:
        session.finish.set()
        session.ended.result(60)
    with line.turn():
        assert line.waiting == 0


def test_whoever_leaves_gives_the_place_back():
    line = RequestQueue(places=3, at_once=1)
    first, second, third, fourth = queue_up(line, 4)
    third.gone.set()
    with pytest.raises(GoneError):
        third.ended.result(60)
    assert line.waiting == 2 and not third.inside.is_set()
    until(lambda: fourth.positions and fourth.positions[-1] == 2)
    fifth = Session(line)
    until(lambda: line.waiting == 3)
    for session in (first, second, fourth, fifth):
        assert session.inside.wait(60)
        session.finish.set()
        session.ended.result(60)


def test_a_reading_that_fails_passes_its_turn_on():
    line = RequestQueue(places=1, at_once=1)
    with pytest.raises(ZeroDivisionError), line.turn():
        waiting = Session(line)
        until(lambda: line.waiting == 1)
        raise ZeroDivisionError
    assert waiting.inside.wait(60)
    waiting.finish.set()
    waiting.ended.result(60)


def test_one_file_is_not_kept_behind_another_sessions_folder():
    line, order = RequestQueue(at_once=1), []
    hold = Session(line)
    until(hold.inside.is_set)

    def read(who: str, files: int) -> None:
        for number in range(files):
            with line.turn():
                order.append(f"{who}{number}")
                time.sleep(0.02)  # as reading does, it lets the others run

    with ThreadPoolExecutor(2) as pool:
        folder = pool.submit(read, "folder", 20)
        until(lambda: line.waiting == 1)
        one = pool.submit(read, "one", 1)
        until(lambda: line.waiting == 2)
        hold.finish.set()
        wait([folder, one])
    assert order[:2] == ["folder0", "one0"] and len(order) == 21


def test_a_crowd_that_comes_and_goes_never_loses_a_turn_or_exceeds_the_bound():
    line, lock = RequestQueue(places=6, at_once=3), threading.Lock()
    inside, most, counts = 0, 0, {"read": 0, "full": 0, "gone": 0}
    number = itertools.count()

    def leave(position: int) -> None:
        raise GoneError

    def come() -> None:
        nonlocal inside, most
        mine = next(number)
        try:
            with line.turn(leave if mine % 2 else None):
                with lock:
                    inside += 1
                    most = max(most, inside)
                time.sleep(0.5 if mine < 3 else 0.001)
                with lock:
                    inside -= 1
                    counts["read"] += 1
        except QueueFullError:
            with lock:
                counts["full"] += 1
            time.sleep(0.01)
        except GoneError:
            with lock:
                counts["gone"] += 1

    with ThreadPoolExecutor(16) as pool:
        for done in [pool.submit(come) for _ in range(400)]:
            done.result(60)
    assert sum(counts.values()) == 400 and all(counts.values())
    assert most == 3 and inside == 0 and line.waiting == 0 and line._inside == 0

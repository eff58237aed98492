"""Prefetching: one piece ahead and no more, errors in their turn. Background tasks: watched, stopped, begun again."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from fracture_core.concurrency import BackgroundTask, prefetch
from fracture_core.errors import FractureCoreError


@pytest.mark.parametrize("keys", [range(0), range(1), range(5)])
def test_every_piece_comes_once_and_in_order(keys: range) -> None:
    assert list(prefetch(lambda key: key * key, keys)) == [key * key for key in keys]


def test_exactly_the_next_piece_is_made_while_one_is_in_use() -> None:
    begun = [threading.Event() for _ in range(4)]

    def make(key: int) -> int:
        begun[key].set()
        return key

    pieces = prefetch(make, range(4))
    assert next(pieces) == 0
    assert begun[1].wait(60)  # nobody has asked for it yet
    assert not begun[2].wait(0.05)
    assert next(pieces) == 1
    assert begun[2].wait(60)


def test_what_cannot_be_made_is_told_after_what_could() -> None:
    pieces = prefetch(lambda key: 1 / (2 - key), [0, 1, 2])
    assert [next(pieces), next(pieces)] == [0.5, 1.0]
    with pytest.raises(ZeroDivisionError):
        next(pieces)


def test_who_leaves_early_leaves_no_thread() -> None:
    before = threading.active_count()
    pieces = prefetch(str, range(100))
    next(pieces)
    pieces.close()
    assert threading.active_count() == before


def test_work_is_done_once_and_its_result_kept():
    calls = []

    def run(step, stop):
        calls.append(threading.get_ident())
        step(1, 2)
        return "result"

    work = BackgroundTask(run)
    assert work.progress.state == "idle"
    assert work.result is None
    work.start()
    assert work.join(60).state == "done"
    work.start()
    work.join(60)
    assert work.result == "result"
    assert work.progress.share == 0.5
    assert len(calls) == 1
    assert calls[0] != threading.get_ident()


def test_work_stops_at_its_next_step_and_begins_again():
    go, runs = threading.Event(), []

    def run(step, stop):
        runs.append(1)
        step(3, 10)
        go.wait(60)
        step(4, 10)

    work = BackgroundTask(run)
    work.start()
    while work.progress.done < 3:
        pass
    assert work.progress.busy
    work.start()  # it runs already
    work.cancel()
    assert work.progress.state == "stopping"
    go.set()
    assert work.join(60).state == "stopped"
    work.start()
    assert work.join(60).state == "done"
    assert len(runs) == 2


def test_work_that_returns_nothing_when_stopped_was_stopped_and_begins_again():
    answers = iter([lambda stop: None if stop.wait(60) else "too late", lambda stop: "whole"])
    work = BackgroundTask(lambda step, stop: next(answers)(stop))
    work.start()
    work.cancel()
    assert work.join(60).state == "stopped" and work.result is None
    work.start()
    assert work.join(60).state == "done" and work.result == "whole"


@pytest.mark.parametrize(
    ("error", "said"), [(FractureCoreError("No room."), "No room."), (KeyError("x"), "failed unexpectedly")]
)
def test_a_failure_is_a_sentence(error, said):
    def run(step, stop):
        raise error

    work = BackgroundTask(run)
    work.start()
    assert work.join(60).state == "failed"
    assert said in work.progress.error


def test_a_task_that_the_end_of_the_app_cuts_off_is_no_failure_in_the_log():
    code = """
import threading
from concurrent.futures import ThreadPoolExecutor
from fracture_core.concurrency import BackgroundTask

pool = ThreadPoolExecutor(1)
ended = threading.Event()

def run(step, stop):
    threading.main_thread().join()
    ended.set()
    while True:
        pool.submit(int).result()  # refused as soon as the interpreter shuts down

task = BackgroundTask(run)
task.start()
# As a thread that the interpreter waits for, so that the task is heard before the process is gone.
threading.Thread(target=lambda: (ended.wait(), task.join()), daemon=False).start()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == "" and done.stdout == ""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux limits a process to processors")
def test_processors_that_the_process_may_not_use_do_not_count():
    code = (
        "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]);"
        "from fracture_core.concurrency import processors; print(processors())"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "1\n"

"""Work in the background: watched, stopped, begun again; and the download as such work."""

from __future__ import annotations

import hashlib
import threading

import pytest

from fracture_core.concurrency import BackgroundTask
from fracture_core.data import download as module
from fracture_core.data.download import download_job, kept_bytes
from fracture_core.data.fracatlas import FracAtlas
from fracture_core.errors import FractureCoreError
from pages.parts.dataset.download import download_status_text, offer
from tests.data.test_download import Server
from tests.support.miniature import Entry, archive, build


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
    assert work.join(10).state == "done"
    work.start()
    work.join(10)
    assert work.result == "result"
    assert work.progress.share == 0.5
    assert len(calls) == 1
    assert calls[0] != threading.get_ident()


def test_work_stops_at_its_next_step_and_begins_again():
    go, runs = threading.Event(), []

    def run(step, stop):
        runs.append(1)
        step(3, 10)
        go.wait(10)
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
    assert work.join(10).state == "stopped"
    work.start()
    assert work.join(10).state == "done"
    assert len(runs) == 2


@pytest.mark.parametrize(
    ("error", "said"), [(FractureCoreError("No room."), "No room."), (KeyError("x"), "failed unexpectedly")]
)
def test_a_failure_is_a_sentence(error, said):
    def run(step, stop):
        raise error

    work = BackgroundTask(run)
    work.start()
    assert work.join(10).state == "failed"
    assert said in work.progress.error


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_CHUNK", 4096)
    monkeypatch.setattr(module, "_PAUSE", 0.0)
    box = (10.0, 20.0, 30.0, 12.0)
    entries = [Entry(f"IMG{n:07}") for n in range(20)] + [Entry("IMG9", ("Fractured",), 1, boxes=(box,))]
    content = archive(build(tmp_path / "tree", entries), tmp_path / "FracAtlas.zip").read_bytes()
    server = Server(content)
    yield {"url": server.url, "size": len(content), "md5": hashlib.md5(content).hexdigest()}
    server.close()


def test_a_cancelled_download_goes_on_where_it_stopped(source, tmp_path, monkeypatch):
    destination = tmp_path / "here" / "FracAtlas"
    assert offer(destination).startswith("Download FracAtlas (338 MB)")
    job = download_job(destination, **source)
    assert download_job(destination, **source) is job
    # Cancelled from another thread as soon as a third has come, whatever the machine's speed.
    enough, checked = threading.Event(), threading.Event()

    inner = module._stop_if

    def stop_if(cancelled):
        if job.progress.done > source["size"] / 3 and not checked.is_set():
            enough.set()
            checked.wait(10)
        inner(cancelled)

    monkeypatch.setattr(module, "_stop_if", stop_if)
    job.start()
    assert enough.wait(30)
    job.cancel()
    checked.set()
    assert job.join(30).state == "stopped"
    kept = kept_bytes(destination, source["md5"])
    assert source["size"] / 3 < kept < source["size"]
    assert not destination.exists()
    again = download_job(destination, **source)
    assert again is job
    again.start()
    assert again.join(60).state == "done"
    assert len(FracAtlas(destination)) == 21
    assert kept_bytes(destination, source["md5"]) == 0
    assert "Verifying and extracting" in download_status_text(again.progress)
    assert download_job(destination, **source) is not job


def test_a_failed_download_says_why_and_can_be_tried_again(source, tmp_path):
    destination = tmp_path / "there" / "FracAtlas"
    job = download_job(destination, **(source | {"md5": "0" * 32}))
    job.start()
    assert job.join(60).state == "failed"
    assert "damaged" in job.progress.error
    assert not destination.exists()

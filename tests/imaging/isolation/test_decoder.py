"""Files decoded in a process of their own: the same answers, and a decoder that dies costs one file."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from fracture_core.imaging.isolation.decoder import DecoderPool, decode_isolated
from fracture_core.imaging.isolation.process import NO_DECODER, STOPPED
from fracture_core.imaging.limits import MAX_BYTES, UnreadableRadiograph
from fracture_core.imaging.radiograph import Radiograph, read_radiograph
from tests.hostile.files import SOUND
from tests.support import dicom_files as dicom
from tests.support.made_pictures import assert_contract, encoded, phantom

ROOT = Path(__file__).parents[3]
OPTIONS = {"accept_cut_short": False, "frame": 0, "window": 0}
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")


@pytest.fixture
def pool():
    made = DecoderPool(2)
    yield made
    made.close()


def assert_same(one: Radiograph, other: Radiograph) -> None:
    assert_contract(one)
    assert np.array_equal(one.pixels, other.pixels)
    for field in fields(Radiograph):
        if field.name != "pixels":
            assert getattr(one, field.name) == getattr(other, field.name), field.name


def eventually(condition, seconds: float = 60) -> bool:
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


@pytest.mark.parametrize("kind", SOUND)
def test_it_gives_what_reading_in_this_process_gives(kind):
    data = SOUND[kind]()
    assert_same(decode_isolated(data, name="dir/Wrist é.x"), read_radiograph(data, name="dir/Wrist é.x"))


@pytest.mark.parametrize("kind", SOUND)
def test_it_refuses_with_the_same_words(kind):
    whole = SOUND[kind]()
    for data in (whole[: len(whole) // 2], whole[:20], b"", b"Dear doctor"):
        for accept in (False, True):
            ends = []
            for read in (decode_isolated, read_radiograph):
                try:
                    ends.append(read(data, accept_cut_short=accept))
                except UnreadableRadiograph as error:
                    ends.append((str(error), vars(error)))
            if isinstance(ends[0], Radiograph):
                assert_same(*ends)
            else:
                assert ends[0] == ends[1]


def test_it_chooses_frames_and_windows():
    frames = np.stack([phantom(), phantom()[:, ::-1]]).astype(np.uint16) * 16
    window = {"BitsStored": 12, "WindowCenter": [1000, 2048], "WindowWidth": [900, 4096]}
    data = dicom.file_bytes(dicom.dataset(frames, NumberOfFrames=2, **window))
    for frame, window in ((0, 0), (1, 0), (0, 1), (1, 1)):
        both = (read(data, frame=frame, window=window) for read in (decode_isolated, read_radiograph))
        assert_same(*both)
    with pytest.raises(UnreadableRadiograph, match="frame 3"):
        decode_isolated(data, frame=2)


def test_a_file_beyond_the_limit_is_not_even_sent(pool):
    with pytest.raises(UnreadableRadiograph, match="at most"):
        decode_isolated(bytes(MAX_BYTES + 1))


def _phantoms(count: int) -> list[tuple[bytes, np.ndarray]]:
    """Give files that differ in size and content, and the pixels of each."""
    pictures = [np.roll(phantom(100 + 7 * n, 90 + 5 * n), n, axis=1) for n in range(count)]
    return [(encoded(picture, "PNG"), picture) for picture in pictures]


def _under_fire(pool: DecoderPool, deaths: int) -> tuple[int, int]:
    """Decode in four threads while workers are killed at random; give (answers, sentences)."""
    files = _phantoms(12)
    done = threading.Event()
    counts = [0, 0]
    lock = threading.Lock()

    def session(seed: int) -> None:
        order = random.Random(seed)
        while not done.is_set():
            data, expected = order.choice(files)
            try:
                answered = np.array_equal(pool.decode(data, "x", OPTIONS).pixels, expected)
                assert answered, "another file's pixels"
            except UnreadableRadiograph as error:
                assert str(error) in (STOPPED, NO_DECODER)
                answered = False
            with lock:
                counts[not answered] += 1

    with ThreadPoolExecutor(4) as threads:
        sessions = [threads.submit(session, seed) for seed in range(4)]
        killer = random.Random(0)
        killed: set[int] = set()
        try:
            while len(killed) < deaths and not any(one.done() for one in sessions):
                time.sleep(killer.random() * 0.4)
                alive = [pid for pid in pool.process_ids if pid not in killed]
                if alive:
                    killed.add(pid := killer.choice(alive))
                    os.kill(pid, signal.SIGKILL)
            before = counts[0]
            # Afterwards all is as before: the dead are replaced.
            assert eventually(lambda: counts[0] > before + 20 or any(one.done() for one in sessions))
        finally:
            done.set()
        for one in sessions:
            one.result()
    return counts[0], counts[1]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_killed_decoder_costs_one_file_and_gives_no_wrong_image(pool):
    answers, sentences = _under_fire(pool, 8)
    assert answers > 20
    assert sentences <= 8


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_hundred_killed_decoders_give_no_wrong_image(pool):
    answers, sentences = _under_fire(pool, 100)
    assert answers > 20
    assert sentences <= 100


@pytest.mark.skipif(not hasattr(os, "waitid"), reason="waits for a process without burying it")
def test_a_decoder_that_died_in_idleness_costs_nothing(pool):
    data, expected = _phantoms(1)[0]
    pool.decode(data, "x", OPTIONS)
    [first] = pool.process_ids
    os.kill(first, signal.SIGTERM)
    os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)
    for _ in range(3):
        assert np.array_equal(pool.decode(data, "x", OPTIONS).pixels, expected)
    [second] = pool.process_ids
    assert second != first


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs SIGSTOP")
def test_a_decoder_that_hangs_is_replaced():
    pool = DecoderPool(1, timeout_s=2)
    data, expected = _phantoms(1)[0]
    pool.decode(data, "x", OPTIONS)
    os.kill(pool.process_ids[0], signal.SIGSTOP)
    with pytest.raises(UnreadableRadiograph, match="too long"):
        pool.decode(data, "x", OPTIONS)
    pool.close()
    pool = DecoderPool(1)
    assert np.array_equal(pool.decode(data, "x", OPTIONS).pixels, expected)
    pool.close()


def test_an_interrupted_reading_leaves_no_answer_for_the_next_file(pool, monkeypatch):
    """As when a server stops a session's thread: the pending answer must not become the next file's."""
    from fracture_core.imaging.isolation import process

    (first, _), (second, expected) = _phantoms(2)
    pool.decode(first, "x", OPTIONS)

    def interrupted(stream):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(process, "receive", interrupted)
        pool.decode(first, "x", OPTIONS)
    assert np.array_equal(pool.decode(second, "x", OPTIONS).pixels, expected)


@linux
def test_a_decoder_inherits_no_secret_and_no_file(pool, monkeypatch, tmp_path):
    monkeypatch.setenv("DATABASE_PASSWORD", "hunter2")
    secret = tmp_path / "secret"
    secret.write_text("x")
    with secret.open() as file:
        os.set_inheritable(file.fileno(), True)
        pool.decode(_phantoms(1)[0][0], "x", OPTIONS)
        [pid] = pool.process_ids
        assert b"hunter2" not in Path(f"/proc/{pid}/environ").read_bytes()
        opened = {str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()}
        assert all(name.startswith(("pipe:", "/dev/null", "/memfd:radiograph")) for name in opened), opened


@linux
def test_a_decoder_has_limits():
    """Memory, files and processor time, measured where they bind: in a process that sets them on itself."""
    program = """
import os, resource, sys
from fracture_core.imaging.isolation.worker import MAX_CPU_S, MAX_MEMORY_BYTES, _limit_cpu, _limit_resources
_limit_resources()
_limit_cpu()
try:
    bytearray(MAX_MEMORY_BYTES + 1)
except MemoryError:
    print("memory")
try:
    with open(sys.argv[1], "wb") as file:
        file.write(b"a patient")
except OSError:
    print("files")
assert 0 < resource.getrlimit(resource.RLIMIT_CPU)[0] <= MAX_CPU_S + 30
assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)
heavy = {"tensorflow", "keras", "torch", "openvino", "pandas", "streamlit", "sklearn", "scipy", "plotly"}
print(sorted(heavy & set(sys.modules)))
"""
    command = [sys.executable, "-c", program, "/tmp/must-not-be-written"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.stdout.split() == ["memory", "files", "[]"], done.stderr


@linux
def test_nothing_is_left_when_the_server_is_killed():
    """No process, no shared memory with a name, no file."""
    program = """
import sys, time
from fracture_core.imaging.isolation import decoder
decoder.decode_isolated(sys.stdin.buffer.read())
print(*decoder._pool.process_ids, flush=True)
time.sleep(600)
"""
    shared = set(Path("/dev/shm").iterdir())
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as server:
        server.stdin.write(_phantoms(1)[0][0])
        server.stdin.close()
        workers = [int(pid) for pid in server.stdout.readline().split()]
        assert len(workers) == 1
        server.kill()

    def gone() -> bool:
        return not any(Path(f"/proc/{pid}/cmdline").exists() for pid in workers)

    assert eventually(gone)
    new = {path for path in set(Path("/dev/shm").iterdir()) - shared if "radiograph" in path.name}
    assert not new


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_has_workers_of_its_own():
    program = """
import os, sys
from fracture_core.imaging.isolation import decoder
data = sys.stdin.buffer.read()
decoder.decode_isolated(data)
parents = decoder._pool.process_ids
child = os.fork()
decoder.decode_isolated(data)
if child == 0:
    os._exit(0 if set(decoder._pool.process_ids).isdisjoint(parents) else 3)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert decoder._pool.process_ids == parents
"""
    done = subprocess.run([sys.executable, "-c", program], input=_phantoms(1)[0][0], cwd=ROOT, timeout=120)
    assert done.returncode == 0

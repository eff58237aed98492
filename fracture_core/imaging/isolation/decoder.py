"""Decode files of strangers in a process that holds nothing else, so that a fault in a decoder costs one file.

Decoders of image formats are C code. A memory fault in one of them would end the server, or show it what other sessions
keep there. `decode_isolated` hands the file to a worker process, which has no secrets, no files and bounded memory and
time, and takes the pixels back through memory that both share and that has no name. A worker that dies is replaced.
"""

from __future__ import annotations

import atexit
import hashlib
import logging
import os
import threading
import time
from collections.abc import Mapping
from contextlib import suppress

from fracture_core.concurrency import processors
from fracture_core.imaging.isolation.messages import BrokenMessageError, radiograph_from, refusal_from
from fracture_core.imaging.isolation.process import STOPPED, DecoderDiedError, DecoderProcess
from fracture_core.imaging.limits import MAX_BYTES, UnreadableRadiograph
from fracture_core.imaging.radiograph import Radiograph, display_name

_log = logging.getLogger(__name__)

#: Longest wait for one file, in seconds by the clock; the worker's own limit is in seconds of processor time.
_TIMEOUT_S = 120
#: A worker is replaced after so many files, whatever its decoders may have leaked by then.
_MOST_FILES = 2000
#: A worker that does not live to its first file is tried again so often; no file had a part in its end.
_MOST_STARTS = 5


def decode_isolated(
    data: bytes, *, name: str | None = None, accept_cut_short: bool = False, frame: int = 0, window: int = 0
) -> Radiograph:
    """Read a radiograph from a file's bytes in a worker process; otherwise like `read_radiograph`.

    Thread-safe. The first call starts a worker, which takes about a second; `start_decoder` does so beforehand.

    Args:
        data: The file.
        name: Its name, for display.
        accept_cut_short: Read a truncated file as far as it goes.
        frame: Which frame of a DICOM file, from 0.
        window: Which of its windows, from 0.

    Returns:
        The radiograph.

    Raises:
        UnreadableRadiograph: The file cannot be read, or the worker died or ran out of time or memory.
    """
    options = {"accept_cut_short": accept_cut_short, "frame": frame, "window": window}
    if len(data) > MAX_BYTES:
        raise UnreadableRadiograph(
            f"The file has {len(data) / 2**20:,.0f} MB; at most {MAX_BYTES // 2**20} MB can be read here."
        )
    return _pool.decode(data, display_name(name), options)


def start_decoder() -> None:
    """Start a worker in the background, so that the first file does not wait for it."""
    threading.Thread(target=_pool.start, name="decoder-start", daemon=True).start()


class DecoderPool:
    """Workers, started as they are needed and lent to one thread each.

    Args:
        most: How many there may be at once; threads beyond that wait.
        timeout_s: Longest time for one file, in seconds of the clock.
    """

    def __init__(self, most: int, timeout_s: float = _TIMEOUT_S) -> None:
        self._most = most
        self._timeout_s = timeout_s
        self._changed = threading.Condition()
        self._idle: list[DecoderProcess] = []
        self._at_work: set[DecoderProcess] = set()
        self._starting = 0
        self._watch: threading.Thread | None = None

    @property
    def process_ids(self) -> list[int]:
        """The processes of the workers that are idle or at work at this moment."""
        with self._changed:
            return [worker.process_id for worker in (*self._idle, *self._at_work)]

    def decode(self, data: bytes, name: str, options: Mapping[str, object]) -> Radiograph:
        """Decode with a free worker.

        Args:
            data: The file.
            name: Its name, for display.
            options: Options of `read_radiograph`.

        Returns:
            The radiograph.

        Raises:
            UnreadableRadiograph: The file cannot be read, or the worker failed.
        """
        try:
            worker = self._borrow()
        except DecoderDiedError as error:
            raise UnreadableRadiograph(str(error), lasting=False) from error
        keep = False
        try:
            answer, pixels = worker.read(data, options, self._timeout_s)
            if pixels is None:
                refusal = refusal_from(answer)
                keep = True
                raise refusal
            sha256 = hashlib.sha256(data).hexdigest()
            radiograph = radiograph_from(answer, pixels, name=name, sha256=sha256, length=len(data))
            keep = True
            return radiograph
        except (DecoderDiedError, BrokenMessageError, RecursionError) as error:
            _log.warning("A decoder process died over a file of %d bytes and is replaced.", len(data))
            why = str(error) if isinstance(error, DecoderDiedError) else STOPPED
            raise UnreadableRadiograph(why, lasting=False) from error
        finally:
            # Whatever else ends the reading leaves an answer on its way that belongs to nobody.
            self._give_back(worker, keep=keep and worker.reusable and worker.files < _MOST_FILES)

    def start(self) -> None:
        """Start a worker where there is none."""
        with suppress(DecoderDiedError):
            self._give_back(self._borrow(), keep=True)

    def close(self) -> None:
        """End the workers that are idle; those at work end when their file is done, or with this process."""
        with self._changed:
            idle, self._idle = self._idle, []
            self._most = 0
        for worker in idle:
            worker.end()

    def _borrow(self) -> DecoderProcess:
        """Wait for an idle worker, or start one; raise DecoderDiedError if none can be started."""
        starts = 0
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._idle or self._count() < self._most)
                worker = self._idle.pop() if self._idle else None
                if worker is not None:
                    self._at_work.add(worker)
                else:
                    self._starting += 1
            if worker is not None and worker.alive:
                return worker
            if worker is None:
                try:
                    return self._started()
                except DecoderDiedError:
                    starts += 1
                    if starts == _MOST_STARTS:
                        raise
                    continue
            # It died between two files, so none of ours is to blame.
            self._give_back(worker, keep=False)

    def _count(self) -> int:
        return len(self._idle) + len(self._at_work) + self._starting

    def _started(self) -> DecoderProcess:
        worker = None
        try:
            worker = DecoderProcess()
        finally:
            with self._changed:
                self._starting -= 1
                if worker is None:
                    self._changed.notify()
                else:
                    self._at_work.add(worker)
        with self._changed:
            if self._watch is None:
                self._watch = threading.Thread(target=self._watch_time, name="decoder-watch", daemon=True)
                self._watch.start()
        try:
            worker.wait_until_ready()
        except BaseException:
            self._give_back(worker, keep=False)
            raise
        return worker

    def _give_back(self, worker: DecoderProcess, *, keep: bool) -> None:
        with self._changed:
            self._at_work.discard(worker)
            keep = keep and self._most > 0
            if keep:
                self._idle.append(worker)
            self._changed.notify()
        if not keep:
            worker.end()

    def _watch_time(self) -> None:
        """Look several times a second for a worker that takes too long."""
        while self._most:
            time.sleep(0.5)
            with self._changed:
                at_work = tuple(self._at_work)
            for worker in at_work:
                worker.check_time()


def _new_pool() -> DecoderPool:
    return DecoderPool(min(2, processors()))


def _forget() -> None:
    """Leave a forked child without workers: they are its parent's."""
    global _pool
    _pool = _new_pool()


_pool = _new_pool()
atexit.register(lambda: _pool.close())
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)

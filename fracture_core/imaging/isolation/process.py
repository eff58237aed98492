"""One decoder process, as the server sees it."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

import fracture_core
from fracture_core.imaging.isolation.messages import BrokenMessageError, Message, receive, send, shape_in
from fracture_core.imaging.limits import MAX_PIXELS

_START_TIMEOUT_S = 180
#: What a pipe holds before its writer has to wait, in bytes: the most that Linux grants everyone.
_PIPE_BYTES = 1 << 20
#: All that a worker is told of the server's environment; passwords and keys stand in the rest.
_ENVIRONMENT = (
    *("PATH", "LANG", "LC_ALL", "LC_CTYPE", "SYSTEMROOT", "WINDIR", "TEMP", "TMP", "TMPDIR", "PYTHONHOME"),
    *("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "OMP_NUM_THREADS"),
)

STOPPED = "The decoder stopped while it read this file, which may be damaged. Try again, or export it as PNG or JPEG."
_TOO_SLOW = "Reading this file takes too long. Please export it again, for example as PNG or JPEG."
NO_DECODER = "No decoder can be started on the server at the moment, so no file can be read. Try again in a minute."


class DecoderDiedError(Exception):
    """The worker ended, or had to be ended, before it answered; the message is for the user."""


class DecoderProcess:
    """One decoder process. Not thread-safe: the pool lends it to one thread at a time."""

    def __init__(self) -> None:
        self.files = 0
        #: False once the last file's pixels could not be cleared from the shared memory: end this process then.
        self.reusable = True
        self._timed_out = False
        self._deadline = math.inf
        # Memory without a name is the system's to free, however both processes end.
        self._shared = _shared_memory()
        command = [sys.executable, "-P", "-m", "fracture_core.imaging.isolation.worker"]
        try:
            if self._shared is not None:
                command.append(str(self._shared))
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=_environment(),
                pass_fds=() if self._shared is None else (self._shared,),
                start_new_session=True,
            )
        except OSError as error:
            self._close_shared()
            raise DecoderDiedError(NO_DECODER) from error
        self._requests, self._answers = cast(BinaryIO, self._process.stdin), cast(BinaryIO, self._process.stdout)
        _enlarge(self._requests)

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    @property
    def process_id(self) -> int:
        """The system's number of the process."""
        return self._process.pid

    def wait_until_ready(self) -> None:
        """Wait until the process has imported its decoders.

        Raises:
            DecoderDiedError: It cannot.
        """
        try:
            ready = self._exchange(None, b"", _START_TIMEOUT_S) == {"ready": True}
        except DecoderDiedError:
            ready = False
        if not ready:
            raise DecoderDiedError(NO_DECODER)

    def read(self, data: bytes, options: Mapping[str, object], timeout_s: float) -> tuple[Message, np.ndarray | None]:
        """Decode a file in the worker.

        Args:
            data: The file.
            options: Options of `read_radiograph`.
            timeout_s: Longest wait in seconds.

        Returns:
            The answer and the pixels, uint8 (H, W), read-only; None if the file is rejected.

        Raises:
            DecoderDiedError: There is no valid answer.
        """
        self.files += 1
        request = {"number": self.files, "length": len(data), "options": dict(options)}
        answer = self._exchange(request, data, timeout_s)
        try:
            if answer.get("number") != self.files:
                raise BrokenMessageError("an answer to another file")
            return answer, None if "error" in answer else self._pixels(shape_in(answer))
        except BrokenMessageError as error:
            raise DecoderDiedError(STOPPED) from error

    def check_time(self) -> None:
        """Kill the process if it is at a file for too long; called by another thread than the reading one."""
        if time.monotonic() > self._deadline:
            self._timed_out = True
            self._process.kill()

    def end(self) -> None:
        """Kill the process and free what belongs to it."""
        with suppress(OSError):
            self._process.kill()
        for pipe in (self._requests, self._answers):
            with suppress(OSError):
                pipe.close()
        self._process.wait()
        self._close_shared()

    def _exchange(self, request: Message | None, data: bytes, seconds: float) -> Message:
        self._deadline = time.monotonic() + seconds
        try:
            if request is not None:
                send(self._requests, request, data)
            answer = receive(self._answers)
        except (OSError, ValueError, BrokenMessageError) as error:
            raise DecoderDiedError(_TOO_SLOW if self._timed_out else STOPPED) from error
        finally:
            self._deadline = math.inf
        if answer is None:
            raise DecoderDiedError(_TOO_SLOW if self._timed_out or self._out_of_cpu() else STOPPED)
        return answer

    def _pixels(self, shape: tuple[int, int]) -> np.ndarray:
        length = shape[0] * shape[1]
        if self._shared is None:
            data = self._answers.read(length)
        else:
            # Copied, not mapped: what the worker does to its memory from now on changes nothing here.
            data = os.pread(self._shared, length, 0)
            # The next file shall not find this one's pixels there.
            try:
                os.ftruncate(self._shared, 0)
                os.ftruncate(self._shared, MAX_PIXELS)
            except OSError:  # a limit on the size of files, which memory without a name counts as
                self.reusable = False
        if len(data) < length:
            raise BrokenMessageError("too few pixels")
        return np.frombuffer(data, np.uint8).reshape(shape)

    def _out_of_cpu(self) -> bool:
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(5) == -getattr(signal, "SIGXCPU", 0)
        return False

    def _close_shared(self) -> None:
        if self._shared is not None:
            os.close(self._shared)
            self._shared = None


def _enlarge(pipe: BinaryIO) -> None:
    """Let a pipe hold most files whole, so that the two processes do not take turns over each."""
    with suppress(ImportError, AttributeError, OSError):
        import fcntl

        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


def _shared_memory() -> int | None:
    """Return a descriptor of memory for the pixels of one radiograph; None where pixels must go through the pipe."""
    if not hasattr(os, "memfd_create"):
        return None
    shared = os.memfd_create("radiograph")
    try:
        os.ftruncate(shared, MAX_PIXELS)
    except OSError:  # a limit on the size of files, which memory without a name counts as
        os.close(shared)
        return None
    return shared


def _environment() -> dict[str, str]:
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    # The folders that this process imports from, the project's first; and one thread where threads save nothing.
    folders = [str(Path(fracture_core.__file__).parents[1]), *filter(None, sys.path)]
    return {
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(folders),
        "PYTHONDONTWRITEBYTECODE": "1",
    } | environment

"""The decoder process: reads files from its standard input, one after the other, and answers on its standard output.

Started by `fracture_core.imaging.isolation.decoder`; ends when its standard input does, and so when the server dies.
"""

from __future__ import annotations

import math
import mmap
import os
import signal
import sys
import time
from contextlib import suppress
from importlib import import_module
from typing import BinaryIO

from fracture_core.imaging.isolation.messages import answer_of, receive, refusal_of, send
from fracture_core.imaging.limits import MAX_PIXELS, UnreadableRadiograph
from fracture_core.imaging.radiograph import radiograph_of

#: Bytes of data that the process may hold; the largest file that is read needs a third of it.
MAX_MEMORY_BYTES = 1536 * 2**20
#: Seconds of one processor that a file may take; the slowest that is read takes two.
MAX_CPU_S = 30
_MOST_OPEN_FILES = 64
#: Imported before the first file comes, so that it need not wait for its reader.
_READERS = ("jpeg", "raster.reader", "tiff.reader", "bare_codestreams")


def main() -> None:
    """Answer until the server closes the pipe; `argv[1]` is the shared memory's descriptor, where there is one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    shared = int(sys.argv[1]) if len(sys.argv) > 1 else None
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    # What a library prints must not get between the answers.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    for name in _READERS:
        import_module(f"fracture_core.imaging.{name}")
    _limit_resources()
    send(answers, {"ready": True})
    while (request := receive(requests)) is not None:
        data = requests.read(request["length"])
        _limit_cpu()
        _answer(request, data, answers, shared)
        del data


def _answer(request: dict, data: bytes, answers: BinaryIO, shared: int | None) -> None:
    try:
        # The server hashes the file and names it; what came from here would not be believed.
        radiograph = radiograph_of(data, None, "", **request["options"])
        if radiograph.pixels.size > MAX_PIXELS:
            raise UnreadableRadiograph("The image is too large to be read here. Please export it at a smaller size.")
    except UnreadableRadiograph as error:
        send(answers, refusal_of(error) | {"number": request["number"]})
    except MemoryError:
        sentence = "Reading the file takes more memory than one file may have. Please export it at a smaller size."
        send(answers, {"error": sentence, "attributes": {}, "number": request["number"]})
    else:
        answer = answer_of(radiograph) | {"number": request["number"]}
        pixels = radiograph.pixels.data.cast("B")
        if shared is None:
            send(answers, answer, pixels)
            return
        with mmap.mmap(shared, len(pixels)) as memory:
            memory[:] = pixels
        send(answers, answer)


def _limit_resources() -> None:
    """Bound memory, and forbid files and core dumps, which would put a patient's image on a disk."""
    try:
        import resource
    except ImportError:  # Windows has no such limits
        return
    limits = {"RLIMIT_DATA": MAX_MEMORY_BYTES, "RLIMIT_FSIZE": 0, "RLIMIT_CORE": 0, "RLIMIT_NOFILE": _MOST_OPEN_FILES}
    for name, most in limits.items():
        # A system that knows no such limit, or holds the process to a lower one already.
        with suppress(AttributeError, ValueError, OSError):
            resource.setrlimit(getattr(resource, name), (most, most))


def _limit_cpu() -> None:
    """Let the next file have MAX_CPU_S; the system ends the process where it takes more."""
    with suppress(ImportError, ValueError, OSError):
        import resource

        until = math.ceil(time.process_time() + MAX_CPU_S)
        resource.setrlimit(resource.RLIMIT_CPU, (until, resource.getrlimit(resource.RLIMIT_CPU)[1]))


if __name__ == "__main__":
    main()

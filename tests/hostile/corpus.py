"""A corpus of hostile files, and the command that counts how each of them ends.

    python -m tests.hostile.corpus

Cases are made in one child process and read from disk in another, whose processor time and peak memory are measured.
A case must end in a Radiograph or in a sentence, within 2 s and 500 MB. Where the computer is slow just now, 20 times
what Pillow takes for a large PNG will do.
"""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from PIL import Image

import fracture_core.imaging.dicom.reader  # noqa: F401 (imported before the children are made, as it is in a server)
from fracture_core.imaging.radiograph import MAX_NAME, UnreadableRadiograph, read_radiograph
from tests.hostile import bombs as hostile_bombs
from tests.hostile import containers as hostile_containers
from tests.hostile import dicom as hostile_dicom
from tests.hostile import disguises as hostile_disguises
from tests.hostile import files as hostile_files
from tests.support.made_pictures import encoded

MAX_SECONDS = 2.0
#: The same in readings of a PNG of 20 megapixels by Pillow, which take a tenth of a second on a usual computer.
MAX_READINGS = 20
MAX_MEGABYTES = 500
#: Cases that one child process makes or reads; starting one takes longer than a small file.
_TOGETHER = 8
#: The patient of every DICOM file here, whose name no sentence may hold.
PATIENT = "DOE^JANE"
#: Wall-clock time after which a case counts as hanging, on however busy a machine.
HANGS = 60


@dataclass(frozen=True)
class Case:
    """A hostile file, made only when it is needed; `filename` is what its sender calls it.

    `honest` files stand beside the hostile ones: they must be read, or the limits would be too tight.
    """

    name: str
    make: Callable[[], bytes]
    filename: str | None = None
    honest: bool = False


@dataclass(frozen=True)
class Outcome:
    """How a case ended: `end` is "radiograph", "sentence" or "failure", `words` say more.

    `seconds` are of processor time for one reading, `megabytes` the peak of the whole process, the libraries included;
    `allowed` is how many seconds it might have taken.
    """

    case: str
    end: str
    words: str
    seconds: float
    megabytes: float
    allowed: float

    @property
    def clean(self) -> bool:
        """Whether the promise was kept."""
        return self.end != "failure" and self.seconds <= self.allowed and self.megabytes <= MAX_MEGABYTES


def corpus() -> Iterator[Case]:
    """Give every case, under a name of its own."""
    named = chain(
        hostile_files.truncations(),
        hostile_files.bit_flips(),
        hostile_files.lying_headers(),
        hostile_files.broken_tiffs(),
        hostile_files.unusual_pictures(),
        hostile_bombs.bombs(),
        hostile_dicom.broken_dicoms(),
        hostile_disguises.disguises(),
        hostile_containers.forged_containers(),
    )
    honest = chain(hostile_files.SOUND.items(), hostile_bombs.largest())
    yield from (Case(name, make, honest=True) for name, make in honest)
    yield from (Case(name, make) for name, make in named)
    for number, filename in enumerate(hostile_disguises.FILENAMES):
        yield Case(f"file name {number}", hostile_files.SOUND["png"], filename)


def examine(cases: Sequence[Case], folder: Path) -> list[Outcome]:
    """Make cases in one child process and read them in another, or each in a child of its own.

    A child's peak memory is at least that of each of its cases: where all end well in one, so does each alone.
    """
    paths = [folder / f"case {number}" for number in range(len(cases))]

    def make() -> str:
        for case, path in zip(cases, paths, strict=True):
            path.write_bytes(case.make())
        return ""

    failed, told, _ = _in_child(make)
    if failed:
        raise RuntimeError(f"One of {[case.name for case in cases]} cannot be made: {told}")
    made = list(zip(cases, paths, strict=True))
    outcomes = [] if any(case.honest for case in cases) else _together(made)
    if not outcomes or not all(outcome.clean for outcome in outcomes):
        outcomes = [_outcome(case, path) for case, path in made]
    for path in paths:
        path.unlink()
    return outcomes


def _together(made: Sequence[tuple[Case, Path]]) -> list[Outcome]:
    """Read cases one after the other in one child; give none if it fails."""
    status, told, megabytes = _in_child(lambda: json.dumps([_read(path, case.filename) for case, path in made]))
    if status or not told:
        return []
    ends = (json.loads(one) for one in json.loads(told))
    return [Outcome(case.name, *end, megabytes, MAX_SECONDS) for (case, _), end in zip(made, ends, strict=True)]


def _outcome(case: Case, path: Path) -> Outcome:
    status, told, megabytes = _in_child(lambda: _read(path, case.filename))
    failure = ("failure", told or f"ended by {_ending(status)}", 0.0)
    end, words, seconds = json.loads(told) if not status and told else failure
    if case.honest and end == "sentence":
        end, words = "failure", f"refused: {words}"
    return Outcome(
        case.name, end, words, seconds, megabytes, allowed_seconds() if seconds > MAX_SECONDS else MAX_SECONDS
    )


def allowed_seconds() -> float:
    """Return how long a reading may take on this computer just now, in seconds of processor time."""
    data = encoded(hostile_bombs.large(4_000, 5_000), "PNG")
    started = time.process_time()
    with Image.open(io.BytesIO(data)) as image:
        image.load()
    return max(MAX_SECONDS, MAX_READINGS * (time.process_time() - started))


def _ending(status: int) -> str:
    return signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else f"status {status}"


def _read(path: Path, filename: str | None) -> str:
    """Read one file, both ways, and hold what comes back to the contract; give [end, words, seconds] as JSON."""
    ends, seconds = [], 0.0
    for accept in (False, True):
        started = time.process_time()
        try:
            radiograph = read_radiograph(path, name=filename, accept_cut_short=accept)
        except UnreadableRadiograph as error:
            words = str(error)
            assert words.endswith(".") and words.isprintable() and len(words) < 400, words[:400]
            assert PATIENT not in words.upper(), words
            ends.append(("sentence", words))
            seconds = max(seconds, time.process_time() - started)
            continue
        seconds = max(seconds, time.process_time() - started)
        pixels = radiograph.pixels
        assert pixels.dtype.name == "uint8" and pixels.ndim == 2 and min(pixels.shape) >= 16
        assert pixels.flags.c_contiguous and not pixels.flags.writeable
        assert radiograph.name.isprintable() and len(radiograph.name) <= MAX_NAME and "/" not in radiograph.name
        assert all(warning.endswith(".") and warning.isprintable() for warning in radiograph.warnings)
        ends.append(("radiograph", " ".join(radiograph.warnings)))
        break
    return json.dumps([*ends[-1], seconds])


def _in_child(work: Callable[[], str]) -> tuple[int, str, float]:
    """Run `work` in a forked child: its exit status, what it returned or raised, peak MB."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        status = 1
        try:
            signal.alarm(HANGS)
            said = work()
            status = 0
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(writer, said.encode("utf-8", "backslashreplace")[:60_000])
        os._exit(status)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        said = pipe.read().decode("utf-8", "replace")
    _, status, usage = os.wait4(child, 0)
    return status, said, usage.ru_maxrss / 1024


def run(cases: Iterable[Case]) -> list[Outcome]:
    """Examine cases one after the other, a few of them at a time."""
    waiting = iter(cases)
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory() as folder:
        # Never all of them at once: some hold what they are made of, and children are charged for it.
        while group := list(islice(waiting, _TOGETHER)):
            outcomes += examine(group, Path(folder))
    return outcomes


def main() -> int:
    """Examine the whole corpus and print what became of it; 1 where a promise was broken."""
    started = time.monotonic()
    outcomes = run(corpus())
    ends = Counter(outcome.end for outcome in outcomes)
    slowest, largest = max(outcomes, key=lambda o: o.seconds), max(outcomes, key=lambda o: o.megabytes)
    if "--all" in sys.argv:
        for o in outcomes:
            print(f"{o.end:10} {o.seconds:6.2f} s {o.megabytes:4.0f} MB  {o.case}: {o.words}")
    print(f"{len(outcomes)} hostile files in {time.monotonic() - started:.0f} s")
    print(f"  {ends['radiograph']:4} read as a radiograph")
    print(f"  {ends['sentence']:4} refused with a sentence")
    print(f"  {ends['failure']:4} failures")
    print(f"  slowest {slowest.seconds:.2f} s ({slowest.case}), largest {largest.megabytes:.0f} MB ({largest.case})")
    broken = [outcome for outcome in outcomes if not outcome.clean]
    for outcome in broken:
        print(f"BROKEN {outcome}")
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())

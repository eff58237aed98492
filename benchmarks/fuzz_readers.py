"""Fuzz the readers of radiograph files with atheris, guided by coverage of this package's Python and pydicom's.

    python -m benchmarks.fuzz_readers [seconds]

Needs `pip install atheris`. Starts from one sound file of each kind, changes its bytes and reads it. A file that ends
in anything but a Radiograph or an UnreadableRadiograph, or takes over 2 s of processor time or 1.5 GB, is written to
the current folder as crash-..., and the run stops; what broke then belongs into the corpus of tests/hostile_*.py.
"""

from __future__ import annotations

import contextlib
import resource
import sys
import tempfile
import time
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["fracture_core", "pydicom", "PIL.TiffImagePlugin", "PIL.PngImagePlugin"]):
    import fracture_core.imaging.dicom.identifiers
    from fracture_core.imaging.radiograph import UnreadableRadiograph, read_radiograph

from fracture_core.cli.exit_status import exit_status
from tests.hostile.files import SOUND

MAX_SECONDS = 2.0


def read_once(data: bytes) -> None:
    """Read bytes as the app would; raise if a promise is broken."""
    started = time.process_time()
    try:
        radiograph = read_radiograph(data, name="fuzz", accept_cut_short=True)
        assert radiograph.pixels.ndim == 2 and radiograph.pixels.dtype.name == "uint8"
    except UnreadableRadiograph as error:
        assert str(error).endswith(".") and str(error).isprintable()
    with contextlib.suppress(UnreadableRadiograph):
        fracture_core.imaging.dicom.identifiers.dicom_identifiers(data)
    if time.process_time() - started > MAX_SECONDS:
        raise TimeoutError(f"{time.process_time() - started:.1f} s for {len(data)} bytes")


def main() -> None:
    """Fuzz for a number of seconds (600 by default)."""
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 600
    with tempfile.TemporaryDirectory() as folder:
        for name, make in SOUND.items():
            (Path(folder) / name).write_bytes(make())
        options = [f"-max_total_time={seconds}", "-max_len=60000", "-rss_limit_mb=1500", "-timeout=60", folder]
        atheris.Setup([sys.argv[0], *options], read_once)
        atheris.Fuzz()


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    raise SystemExit(exit_status(main))

"""What decoding in a process of its own costs a file, on radiographs of FracAtlas.

    python -m benchmarks.decoder_worker [--files 300]

Reads each file in this process and in the decoder process, in turns, and prints medians and 95th percentiles of the
clock and of the processor (both processes together), what isolation adds to each and by how much it multiplies it,
and what starting a decoder takes.
The clock is worth reading on an idle machine only: elsewhere it measures who else waits for the processor. Both ways
give the same pixels, or the program says so and fails.
"""

from __future__ import annotations

import argparse
import time
from functools import partial
from pathlib import Path

import numpy as np

from fracture_core.cli.exit_status import exit_status
from fracture_core.data.fracatlas import FracAtlas
from fracture_core.imaging.isolation.decoder import DecoderPool
from fracture_core.imaging.radiograph import Radiograph, read_radiograph


def measure(pool: DecoderPool, files: list[bytes]) -> np.ndarray:
    """Return milliseconds, float64 (n, 2, 2): clock and processor; in this process, and isolated."""

    def isolated(data: bytes) -> Radiograph:
        return pool.decode(data, "radiograph", {"accept_cut_short": True})

    table = []
    for data in files:
        row, read = [], []
        for reader in (partial(read_radiograph, accept_cut_short=True), isolated):
            processor, start = processor_time(pool), time.perf_counter()
            read.append(reader(data))
            row.append((time.perf_counter() - start, processor_time(pool) - processor))
        if not same(*read):
            raise SystemExit("The two give different pixels.")
        table.append(np.transpose(row))
    return 1000 * np.array(table)


def processor_time(pool: DecoderPool) -> float:
    """Return the seconds of processor time that this process and the decoders have used (Linux counts nanoseconds)."""
    threads = [thread for pid in pool.process_ids for thread in Path(f"/proc/{pid}/task").iterdir()]
    spent = (int((thread / "schedstat").read_text().split()[0]) for thread in threads)
    return time.process_time() + sum(spent) / 1e9


def same(first: Radiograph, other: Radiograph) -> bool:
    return np.array_equal(first.pixels, other.pixels) and first.warnings == other.warnings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=300)
    arguments = parser.parse_args()
    dataset = FracAtlas()
    ids = list(dataset.table.index)
    chosen = [ids[place] for place in np.linspace(0, len(ids) - 1, min(arguments.files, len(ids))).astype(int)]
    files = [dataset.path(image_id).read_bytes() for image_id in chosen]
    pool = DecoderPool(1)
    start = time.perf_counter()
    pool.decode(files[0], "radiograph", {"accept_cut_short": True})
    print(f"first file, with the start of the decoder: {1000 * (time.perf_counter() - start):.0f} ms")
    measure(pool, files[:10])
    table = measure(pool, files)
    for column, what in enumerate(("clock", "processor")):
        here, isolated = table[:, column, 0], table[:, column, 1]
        print(f"{what}, {len(files)} files, ms (median, 95th percentile)")
        for label, values in (("in this process", here), ("isolated", isolated), ("extra", isolated - here)):
            print(f"  {label:16}{np.median(values):7.2f}{np.percentile(values, 95):9.2f}")
        ratio = isolated / here
        print(f"  {'ratio':16}{np.median(ratio):7.2f}{np.percentile(ratio, 95):9.2f}")
    pool.close()


if __name__ == "__main__":
    raise SystemExit(exit_status(main))

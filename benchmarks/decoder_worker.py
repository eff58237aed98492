"""What decoding in a process of its own costs a file, on radiographs of FracAtlas.

    python -m benchmarks.decoder_worker [--files 300]

Reads each file in this process and in the decoder process, in turns, and prints the medians, their difference and
ratio, and what starting a decoder takes. Both give the same pixels, or the program says so and fails.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from fracture_core.data.fracatlas import FracAtlas
from fracture_core.imaging.isolation.decoder import decode_isolated
from fracture_core.imaging.radiograph import Radiograph, read_radiograph


def measure(files: list[bytes]) -> np.ndarray:
    """Return seconds, float64 (n, 2): in this process, and isolated. Raises SystemExit where the pixels differ."""
    seconds = []
    for data in files:
        row, read = [], []
        for reader in (read_radiograph, decode_isolated):
            start = time.perf_counter()
            read.append(reader(data, accept_cut_short=True))
            row.append(time.perf_counter() - start)
        if not same(*read):
            raise SystemExit("The two give different pixels.")
        seconds.append(row)
    return np.array(seconds)


def same(one: Radiograph, other: Radiograph) -> bool:
    return np.array_equal(one.pixels, other.pixels) and one.warnings == other.warnings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=300)
    arguments = parser.parse_args()
    dataset = FracAtlas()
    ids = list(dataset.table.index)
    chosen = [ids[place] for place in np.linspace(0, len(ids) - 1, min(arguments.files, len(ids))).astype(int)]
    files = [dataset.path(image_id).read_bytes() for image_id in chosen]
    start = time.perf_counter()
    decode_isolated(files[0], accept_cut_short=True)
    print(f"first file, with the start of the decoder: {1000 * (time.perf_counter() - start):.0f} ms")
    measure(files[:10])
    seconds = 1000 * measure(files)
    here, isolated = np.median(seconds, axis=0)
    extra = seconds[:, 1] - seconds[:, 0]
    print(f"{len(files)} files of FracAtlas, median: {here:.1f} ms in this process, {isolated:.1f} ms isolated")
    print(f"extra: median {np.median(extra):.1f} ms, 95th percentile {np.percentile(extra, 95):.1f} ms")
    print(f"ratio: {isolated / here:.2f}")


if __name__ == "__main__":
    main()

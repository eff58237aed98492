"""Does the model say so where an image is nothing it was made for, and does it keep to radiographs where it should?

    python -m benchmarks.out_of_scope [--bundle NAME] [--limit N] [--list]

Prints the share of FracAtlas's test images that get no answer though they should (bar: at most 2 %), and the share of
images from elsewhere that rightly get none, kind by kind: photographs that scikit-learn ships and crops of them,
pages of text, drawings, noise, blank images, and the chest radiographs in FRACTURE_DICOM_DIR. Everything goes
through the same door as an upload. `--limit` takes the first test images only, `--list` names what slipped through.
"""

from __future__ import annotations

import argparse
import io
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from sklearn.datasets import load_sample_images

from fracture_core.bundle.loading import DEFAULT_BUNDLE
from fracture_core.cli.exit_status import exit_status
from fracture_core.data.fracatlas import FracAtlas
from fracture_core.errors import FractureCoreError
from fracture_core.inference.predictor import Failure, Predictor, load_predictor
from fracture_core.metrics.intervals import wilson

Named = tuple[str, bytes]
_WORDS = ["the", "patient", "fell", "on", "an", "outstretched", "hand", "with", "pain", "over", "distal", "radius"]


def png(image: Image.Image | np.ndarray) -> bytes:
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, "PNG")
    return buffer.getvalue()


def photographs() -> Iterator[Named]:
    """Return the photographs that scikit-learn ships: complete, upright and in quarters."""
    images = load_sample_images()
    for path, pixels in zip(images.filenames, images.images, strict=True):
        name, (height, width) = Path(path).stem, pixels.shape[:2]
        yield name, png(pixels)
        yield f"{name}, turned", png(np.ascontiguousarray(np.rot90(pixels)))
        for top in (0, height // 2):
            for left in (0, width // 2):
                quarter = pixels[top : top + height // 2, left : left + width // 2]
                yield f"{name}, from {left}, {top}", png(np.ascontiguousarray(quarter))


def pages_of_text() -> Iterator[Named]:
    """Pages in three sizes of letters, black on white, white on black and grey on grey."""
    rng = np.random.default_rng(0)
    for size in (12, 18, 30):
        for ink, paper in ((0, 255), (255, 0), (40, 190)):
            page = Image.new("L", (620, 877), paper)
            draw, font = ImageDraw.Draw(page), ImageFont.load_default(size)
            for y in range(30, 840, round(1.5 * size)):
                draw.text((30, y), " ".join(rng.choice(_WORDS, 60 * 10 // size)), ink, font)
            yield f"letters of {size}, {ink} on {paper}", png(page)


def drawings() -> Iterator[Named]:
    """Return a ramp, a chessboard, rings, a plot and coloured tiles."""
    y, x = np.mgrid[0:480, 0:400]
    yield "ramp", png((x * 255 / 399).astype(np.uint8))
    yield "chessboard", png(((x // 40 + y // 40) % 2 * 255).astype(np.uint8))
    yield "rings", png((np.hypot(x - 200, y - 240) % 32 * 8).clip(0, 255).astype(np.uint8))
    plot = Image.new("L", (640, 480), 255)
    curve = [(40 + i, 240 - 150 * np.sin(i / 60) * np.exp(-i / 400)) for i in range(560)]
    draw = ImageDraw.Draw(plot)
    draw.line([(40, 20), (40, 440), (620, 440)], 0, 2)
    draw.line(curve, 60, 3)
    yield "plot", png(plot)
    tiles = np.random.default_rng(1).integers(0, 256, (6, 5, 3), np.uint8)
    yield "coloured tiles", png(np.kron(tiles, np.ones((80, 80, 1), np.uint8)))


def noise() -> Iterator[Named]:
    rng = np.random.default_rng(2)
    for height, width in ((224, 224), (454, 373), (1200, 900)):
        yield f"even, {width} x {height}", png(rng.integers(0, 256, (height, width), np.uint8))
        yield f"normal, {width} x {height}", png(rng.normal(120, 40, (height, width)).clip(0, 255).astype(np.uint8))
        coarse = Image.fromarray(rng.integers(0, 256, (height // 30, width // 30), np.uint8))
        yield f"cloudy, {width} x {height}", png(coarse.resize((width, height), Image.Resampling.BICUBIC))


def blank() -> Iterator[Named]:
    for grey in (0, 64, 128, 255):
        yield f"grey {grey}", png(np.full((454, 373), grey, np.uint8))


def chests() -> Iterator[Named]:
    """Yield the chest of FRACTURE_DICOM_DIR, in its compressions: of NEMA's three RG1, not a hip and a lower leg."""
    folder = os.environ.get("FRACTURE_DICOM_DIR")
    for path in sorted(Path(folder).glob("RG1*.dcm")) if folder else ():
        yield path.name, path.read_bytes()


def unanswered(reader: Predictor, sources: Iterable[Named]) -> tuple[list[str], list[str]]:
    """(names of what got no answer, names of what got one); a file that cannot be read is left out, and said."""
    without, answered = [], []
    for result in reader.predict_many(sources, accept_cut_short=True):
        if isinstance(result, Failure):
            print(f"not read: {result.name}: {result.error}")
        else:
            (answered if result.assessed else without).append(f"{result.radiograph.name} ({result.unfamiliarity:.2f})")
    return without, answered


def share(n: int, of: int) -> str:
    return f"{n:4d} of {of:4d} = {wilson(n, of)}" if of else "none to try"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", default=DEFAULT_BUNDLE)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--list", action="store_true", help="name what was judged wrongly")
    arguments = parser.parse_args()
    reader = load_predictor(arguments.bundle)
    print(f"{reader.bundle.version}; shares with 95 % intervals")
    for kind in (photographs, pages_of_text, drawings, noise, blank, chests):
        caught, missed = unanswered(reader, kind())
        print(f"caught, {kind.__name__.replace('_', ' '):16s} {share(len(caught), len(caught) + len(missed))}")
        if arguments.list:
            print("".join(f"    answered: {name}\n" for name in missed), end="")
    try:
        dataset = FracAtlas()
    except FractureCoreError as error:
        print(error)
        return
    ids = reader.bundle.predictions().query("split == 'test'")["image_id"].tolist()[: arguments.limit]
    refused, _ = unanswered(reader, ((dataset.path(i).name, dataset.path(i).read_bytes()) for i in ids))
    print(f"wrongly refused, FracAtlas test {share(len(refused), len(ids))}   (bar 2 %)")
    if arguments.list:
        print("".join(f"    refused: {name}\n" for name in refused), end="")


if __name__ == "__main__":
    raise SystemExit(exit_status(main))

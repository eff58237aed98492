"""FracAtlas in small: the published layout with a handful of drawn images, for machines without the dataset."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

COLUMNS = "image_id,hand,leg,hip,shoulder,mixed,hardware,multiscan,fractured,fracture_count,frontal,lateral,oblique"


@dataclass
class Entry:
    """One image: the folders it lies in, what dataset.csv says, what is outlined, how it is stored."""

    image_id: str
    folders: tuple[str, ...] = ("Non_fractured",)
    fractured: int = 0
    count: int | None = None
    boxes: tuple[tuple[float, float, float, float], ...] = ()
    annotated_size: tuple[int, int] | None = None
    picture: np.ndarray | None = None
    exif: int = 1
    in_csv: bool = True
    data: bytes | None = field(default=None, repr=False)


def picture(seed: int, height: int = 120, width: int = 96) -> np.ndarray:
    """An image with structure at every scale, uint8 (height, width); another seed, another image."""
    generator = np.random.default_rng(seed)
    total = np.zeros((height, width))
    for cells in (3, 6, 12, 24, 48):
        noise = Image.fromarray(generator.normal(size=(cells, cells)).astype(np.float32))
        total += np.asarray(noise.resize((width, height), Image.Resampling.BICUBIC)) / cells**0.6
    total = (total - total.min()) / np.ptp(total)
    return (total * 200 + 20).astype(np.uint8)


def build(root: Path, entries: list[Entry]) -> Path:
    """Write a miniature at `root`, laid out as the published archive; returns it."""
    coco = {"images": [], "annotations": [], "categories": [{"id": 0, "name": "fractured"}]}
    rows = [COLUMNS]
    for number, entry in enumerate(entries):
        pixels = entry.picture if entry.picture is not None else picture(number)
        for folder in entry.folders:
            file = root / "images" / folder / f"{entry.image_id}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            if entry.data is not None:
                file.write_bytes(entry.data)
                continue
            exif = Image.Exif()
            exif[0x0112] = entry.exif
            Image.fromarray(pixels).save(file, quality=90, **({"exif": exif} if entry.exif != 1 else {}))
        for folder in ("Fractured", "Non_fractured"):
            (root / "images" / folder).mkdir(parents=True, exist_ok=True)
        count = entry.count if entry.count is not None else len(entry.boxes)
        if entry.in_csv:
            rows.append(f"{entry.image_id}.jpg,1,0,0,0,0,0,0,{entry.fractured},{count},1,0,0")
        _annotate(coco, number, entry, pixels.shape[::-1])
    (root / "dataset.csv").write_text("\n".join(rows) + "\n")
    folder = root / "Annotations" / "COCO JSON"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "COCO_fracture_masks.json").write_text(json.dumps(coco))
    return root


def _annotate(coco: dict, number: int, entry: Entry, stored: tuple[int, int]) -> None:
    if not entry.boxes:
        return
    width, height = entry.annotated_size or stored
    image = {"id": number, "width": width, "height": height, "file_name": f"{entry.image_id}.jpg"}
    coco["images"].append(image)
    for x, y, w, h in entry.boxes:
        outline = [x, y, x + w, y, x + w, y + h, x, y + h]
        annotation = {"id": len(coco["annotations"]), "image_id": number, "category_id": 0, "iscrowd": 0}
        coco["annotations"].append(annotation | {"bbox": [x, y, w, h], "segmentation": [outline]})


def archive(root: Path, file: Path) -> Path:
    """Zip the miniature as the publisher does, under one top folder."""
    with zipfile.ZipFile(file, "w") as zipped:
        for path in sorted(root.rglob("*")):
            if path.is_file():
                zipped.write(path, Path("FracAtlas") / path.relative_to(root))
    return file

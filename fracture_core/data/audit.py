"""Find defects in the dataset: truncated files, conflicting labels, duplicate images, EXIF rotations."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from fracture_core.data.duplicates import DuplicatePair, decode_any, decode_grey, find_duplicates, group
from fracture_core.data.fracatlas import DatasetError, FracAtlas
from fracture_core.data.user_dataset import OwnDataset
from fracture_core.files import file_stamp, write_text
from fracture_core.formatting import format_percent
from fracture_core.imaging.exif import ORIENTATION_TEXT
from fracture_core.imaging.radiograph import UnreadableRadiograph, read_radiograph
from fracture_core.paths import cache_folder

_BLOCK = 8  # pixels of a JPEG block's side


def repeated_block_share(pixels: np.ndarray) -> float:
    """Return the share of an image, from the bottom, that is one block repeated.

    A band of eight rows repeats if pixels eight apart are much more alike than pixels four apart; bands without any
    texture (plain background, the grey of a truncated file) do not count.

    Args:
        pixels: Grey, uint8 (H, W).

    Returns:
        0..1.
    """
    if pixels.shape[1] < 4 * _BLOCK:
        return 0.0
    end = len(pixels)
    while end >= _BLOCK and _repeats(pixels[end - _BLOCK : end].astype(np.float32)):
        end -= _BLOCK
    return 1 - end / len(pixels)


def _repeats(band: np.ndarray) -> bool:
    period = np.abs(band[:, _BLOCK:] - band[:, :-_BLOCK]).mean()
    half = np.abs(band[:, _BLOCK // 2 :] - band[:, : -_BLOCK // 2]).mean()
    return bool(half > 1 and period < 0.25 * half)


_VERSION = 1  # of the findings' meaning; a new one retires every cached audit


@dataclass(frozen=True)
class ExifTurn:
    """An image that EXIF says to turn before it is shown.

    orientation: EXIF's 2..8. boxes: how many fractures are outlined on it. drawn: the frame they were drawn in,
    "upright", "stored" or "undecided" ("" without boxes); see FracAtlas.annotation_frame. spoiled: in words, for
    which reader the boxes miss the fracture; "" without boxes.
    """

    image_id: str
    orientation: int
    boxes: int
    drawn: str
    spoiled: str


@dataclass(frozen=True)
class Audit:
    """Every defect found in a dataset, by image id.

    missing: the share (0..1) of the image that each truncated file lacks. overwritten: the share, from below,
    of files that are whole but end in one block over and over (fracture_core.data.audit). conflicts: id -> what
    csv, folder and outlines say, and which decided. duplicate_groups and opposite_labels: sets of ids with one
    image; the latter are those whose labels differ.
    """

    images: int
    missing: dict[str, float]
    overwritten: dict[str, float]
    duplicate_pairs: tuple[DuplicatePair, ...]
    opposite_labels: tuple[tuple[str, ...], ...]
    conflicts: dict[str, str]
    exif_turns: tuple[ExifTurn, ...]

    @property
    def cut_short(self) -> tuple[str, ...]:
        """Ids of truncated files."""
        return tuple(self.missing)

    @property
    def exif_rotated(self) -> tuple[str, ...]:
        """Ids of the images that EXIF turns."""
        return tuple(turn.image_id for turn in self.exif_turns)

    @cached_property
    def duplicate_groups(self) -> tuple[tuple[str, ...], ...]:
        """Groups of ids that show the same image, exactly or nearly."""
        return group(self.duplicate_pairs)

    @cached_property
    def _group_of(self) -> dict[str, tuple[str, ...]]:
        return {image_id: members for members in self.duplicate_groups for image_id in members}

    def duplicates_of(self, image_id: str) -> tuple[str, ...]:
        """Return the other ids that show the same image.

        Args:
            image_id: The image.

        Returns:
            Ids; empty for most.
        """
        return tuple(other for other in self._group_of.get(image_id, ()) if other != image_id)

    def to_json(self) -> str:
        """Return one JSON object: cut_short, duplicate_groups, opposite_labels, conflicts, exif_rotated, and details.

        Returns:
            The text.
        """
        findings = {
            "images": self.images,
            "cut_short": self.cut_short,
            "duplicate_groups": self.duplicate_groups,
            "opposite_labels": self.opposite_labels,
            "conflicts": self.conflicts,
            "exif_rotated": self.exif_rotated,
            "overwritten": tuple(self.overwritten),
            "details": {
                "missing": self.missing,
                "overwritten": self.overwritten,
                "duplicate_pairs": [asdict(pair) for pair in self.duplicate_pairs],
                "exif_turns": [asdict(turn) for turn in self.exif_turns],
            },
        }
        return json.dumps(findings, indent=2)

    @classmethod
    def from_json(cls, text: str) -> Audit:
        """Read what `to_json` returned.

        Args:
            text: The text.

        Returns:
            The audit.
        """
        findings = json.loads(text)
        details = findings["details"]
        return cls(
            images=findings["images"],
            missing=details["missing"],
            overwritten=details["overwritten"],
            duplicate_pairs=tuple(DuplicatePair(**pair) for pair in details["duplicate_pairs"]),
            opposite_labels=tuple(tuple(members) for members in findings["opposite_labels"]),
            conflicts=findings["conflicts"],
            exif_turns=tuple(ExifTurn(**turn) for turn in details["exif_turns"]),
        )

    def summary_text(self) -> str:
        """Return the findings in words, for a terminal.

        Returns:
            The text.
        """
        exact = sum(pair.kind == "exact" for pair in self.duplicate_pairs)
        copies = sum(len(members) for members in self.duplicate_groups)
        lines = [f"{self.images} images audited."]
        lines += ["", f"Truncated: {len(self.missing)}. The bottom of the image is missing, shown as plain grey."]
        lines += [f"  {i}  {format_percent(share)} missing" for i, share in self.missing.items()]
        lines += ["", f"Overwritten: {len(self.overwritten)}. The image ends in a repeated block."]
        lines += [f"  {i}  {format_percent(share)} lost" for i, share in self.overwritten.items()]
        lines += ["", f"Duplicate images: {len(self.duplicate_groups)} groups, {copies} files"]
        lines[-1] += f" ({exact} pairs identical, {len(self.duplicate_pairs) - exact} nearly identical)."
        lines += ["  " + " ".join(members) for members in self.duplicate_groups]
        lines += ["", f"Duplicates with opposite labels: {len(self.opposite_labels)} groups."]
        lines += ["  " + " ".join(members) for members in self.opposite_labels]
        lines += ["", f"Conflicting sources: {len(self.conflicts)}."]
        lines += [f"  {i}  {words}" for i, words in self.conflicts.items()]
        lines += ["", f"Rotated by EXIF: {len(self.exif_turns)}."]
        lines += [f"  {t.image_id}  {ORIENTATION_TEXT[t.orientation]}. {t.spoiled}".rstrip() for t in self.exif_turns]
        return "\n".join(lines)


def audit(
    dataset: FracAtlas | OwnDataset,
    *,
    cache_dir: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Audit:
    """Audit the whole dataset, or return the findings of an earlier audit of the same files.

    The first audit takes under a minute on two cores; findings are keyed by each file's name, size and time.

    Args:
        dataset: The dataset.
        cache_dir: Where findings are kept; by default the user's cache folder.
        progress: Called with (done, total) files, each counted twice: once for damage, once for duplicates.

    Returns:
        The findings.
    """
    key = findings_key(dataset)
    file = (cache_dir or cache_folder()) / "audit" / f"{key}.json"
    try:
        return Audit.from_json(file.read_text("utf-8"))
    except (OSError, ValueError, KeyError, TypeError):
        pass  # never looked, or a file that something else damaged: look
    findings = _look(dataset, progress)
    write_text(file, findings.to_json())
    return findings


def _look(dataset: FracAtlas | OwnDataset, progress: Callable[[int, int], None] | None) -> Audit:
    paths = {image_id: dataset.path(image_id) for image_id in dataset.table.index}
    total = 2 * len(paths)
    missing, overwritten = {}, {}
    with ThreadPoolExecutor() as pool:
        damages = zip(paths, pool.map(_damage, paths.values()), strict=True)
        for done, (image_id, (lacks, lost)) in enumerate(damages, 1):
            if lacks > 0:
                missing[image_id] = round(lacks, 4)
            elif lost > 0:
                overwritten[image_id] = round(lost, 4)
            if progress and done % 50 == 0:
                progress(done, total)
    later = (lambda done, of: progress(of + done, 2 * of)) if progress else None
    decode = decode_grey if isinstance(dataset, FracAtlas) else decode_any
    pairs = find_duplicates(paths, missing | overwritten, later, decode)
    labels = dataset.table["label"]
    return Audit(
        images=len(paths),
        missing=dict(sorted(missing.items())),
        overwritten=dict(sorted(overwritten.items())),
        duplicate_pairs=pairs,
        opposite_labels=tuple(members for members in group(pairs) if labels[list(members)].nunique() > 1),
        conflicts=dict(words.split(": ", 1) for words in dataset.conflicts),
        exif_turns=_exif_turns(dataset) if isinstance(dataset, FracAtlas) else (),
    )


def _damage(path: Path) -> tuple[float, float]:
    """(share that the file lacks, share that was overwritten); the latter is not looked for where EXIF turns."""
    try:
        image = read_radiograph(path, accept_cut_short=True)
    except UnreadableRadiograph as error:
        raise DatasetError(f"{path.name} is not a readable image: download the dataset again.") from error
    return image.missing, 0.0 if image.missing else repeated_block_share(image.pixels)


def _exif_turns(dataset: FracAtlas) -> tuple[ExifTurn, ...]:
    return tuple(_exif_turn(dataset, i, o) for i, o in sorted(dataset.exif_turned.items()))


def _exif_turn(dataset: FracAtlas, image_id: str, orientation: int) -> ExifTurn:
    boxes = len(dataset.boxes(image_id))
    if not boxes:
        return ExifTurn(image_id, orientation, 0, "", "")
    drawn = dataset.annotation_frame(image_id)
    spoiled = {
        "upright": "Boxes were drawn on the upright image: they miss if EXIF is ignored.",
        "stored": "Boxes were drawn on the stored pixels: they miss if EXIF is applied; rotated here.",
        "undecided": "The sizes do not say how the boxes were drawn; taken as upright.",
    }[drawn]
    return ExifTurn(image_id, orientation, boxes, drawn, spoiled)


def findings_key(dataset: FracAtlas | OwnDataset) -> str:
    """Return a digest of all that findings rest on: each image's and source's name, size and time, and our version.

    Args:
        dataset: The dataset.

    Returns:
        24 hex digits.
    """
    digest = hashlib.sha256(f"{_VERSION} {dataset.root.resolve()}".encode())
    for path in [*dataset.sources, *(dataset.path(image_id) for image_id in dataset.table.index)]:
        digest.update(f"\n{path.name} {path.parent.name} {file_stamp(path)}".encode())
    return digest.hexdigest()[:24]

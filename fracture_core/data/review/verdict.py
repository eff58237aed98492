"""A reader's verdict on a film: what it contains, how it is checked, and how it is written and read as JSON."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from fracture_core.errors import FractureCoreError

FRACTURE, NO_FRACTURE, CANNOT_TELL = VERDICTS = ("fracture", "no fracture", "cannot tell")
_MOST_BOXES = 100


class ReviewError(FractureCoreError):
    """A verdict that cannot be kept or read, and why."""


@dataclass(frozen=True)
class Verdict:
    """One reader's verdict on one film.

    Attributes:
        image: SHA-256 of the film's pixels, hex; its file is images/<image>.png.
        verdict: One of VERDICTS.
        boxes: Fractures as (x, y, width, height) in the film's pixels.
        comment: A word of the reader's own.
        reader: Who said it.
        when: ISO 8601 in UTC.
        patient: A keyed hash, or "" if the patient is not known.
        height: Of the film, in pixels.
        width: Of the film, in pixels.
        body_part: As the file says it, or "".
        model: What the model had answered: `bundle`, `probability` (0..1 or None), `logit` and `triage`.
    """

    image: str
    verdict: str
    boxes: tuple[tuple[float, float, float, float], ...] = ()
    comment: str = ""
    reader: str = ""
    when: str = ""
    patient: str = ""
    height: int = 0
    width: int = 0
    body_part: str = ""
    model: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, line: str) -> Verdict:
        """Parse a line of verdicts.jsonl.

        Args:
            line: One JSON object; unknown keys are ignored.

        Returns:
            The verdict.

        Raises:
            ValueError: The line is not a verdict.
        """
        data = json.loads(line)
        entries = {known.name: data[known.name] for known in fields(cls) if known.name in data}
        entries["boxes"] = tuple(tuple(float(v) for v in box) for box in entries.get("boxes", ()))
        entries["model"] = entries.get("model") or {}
        verdict = cls(**entries)
        texts = (verdict.comment, verdict.reader, verdict.when, verdict.patient, verdict.body_part)
        if not all(isinstance(text, str) for text in texts) or not isinstance(verdict.model, dict):
            raise ValueError("not a verdict")
        "".join(texts).encode()  # a lone surrogate is a ValueError: nobody could write it again
        if not all(math.isfinite(v) for box in verdict.boxes for v in box):
            raise ValueError("not a verdict")
        if any(not isinstance(side, int) or side < bool(verdict.boxes) for side in (verdict.height, verdict.width)):
            raise ValueError("not a verdict")
        if verdict.verdict not in VERDICTS or not is_digest(verdict.image) or any(len(b) != 4 for b in verdict.boxes):
            raise ValueError("not a verdict")
        return verdict


def image_digest(pixels: np.ndarray) -> str:
    """Return the SHA-256 of an image's pixels and shape: the same whatever file they came from.

    Args:
        pixels: uint8 (H, W).

    Returns:
        64 hexadecimal digits.
    """
    digest = hashlib.sha256(f"{pixels.shape}".encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


def is_digest(text: object) -> bool:
    """Return whether something is a digest as `image_digest` returns it.

    Args:
        text: Anything.

    Returns:
        Whether it is 64 hexadecimal digits in lower case.
    """
    return isinstance(text, str) and len(text) == 64 and set(text) <= set("0123456789abcdef")


def boxes_within(
    boxes: Sequence[Sequence[float]], height: int, width: int
) -> tuple[tuple[float, float, float, float], ...]:
    """Crop boxes to a film.

    Args:
        boxes: (x, y, width, height) each, in pixels.
        height: Of the film, in pixels.
        width: Of the film, in pixels.

    Returns:
        The boxes on the film, rounded to a hundredth of a pixel.

    Raises:
        ReviewError: There are too many, or one is not four numbers or less than a pixel of it is on the film.
    """
    if len(boxes) > _MOST_BOXES:
        raise ReviewError(f"A film takes at most {_MOST_BOXES} boxes.")
    try:
        corners = np.array([list(map(float, box)) for box in boxes], float).reshape(len(boxes), 4)
    except (TypeError, ValueError) as error:
        raise ReviewError("A box is four numbers: x, y, width and height.") from error
    corners[:, 2:] += corners[:, :2]
    corners[:, ::2] = corners[:, ::2].clip(0, width)
    corners[:, 1::2] = corners[:, 1::2].clip(0, height)
    corners[:, 2:] -= corners[:, :2]
    if not (np.isfinite(corners).all() and (corners[:, 2:] >= 1).all()):
        raise ReviewError("A box must lie on the film and be at least a pixel wide and high.")
    return tuple((x, y, w, h) for x, y, w, h in corners.round(2).tolist())

"""Prepare reading and review: films that wait for a verdict, verdicts, and reviewed films."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from fracture_core.data.duplicates import decode_grey
from fracture_core.data.review.export import ReviewedFilm
from fracture_core.data.review.review_set import ReviewSet
from fracture_core.data.review.verdict import ReviewError, Verdict
from fracture_core.data.thumbnails import to_jpeg
from fracture_core.evaluation.review_order import Candidate, review_order
from fracture_core.explain.overlay import outlined, thumbnail
from fracture_core.imaging.radiograph import UnreadableRadiograph, read_radiograph
from fracture_core.inference.predictor import Finding
from fracture_core.reporting.film_session import Film
from fracture_core.reporting.worklist import Entry

#: How films are ordered.
PLAIN, BY_VALUE = ORDERS = ("Most suspicious first", "Most instructive first")


def read_by(review: ReviewSet, entries: Mapping[str, Entry], reader: str) -> dict[str, Verdict]:
    """Return a reader's latest verdict on each of the session's films that has one.

    Args:
        review: The review set.
        entries: The worklist's entries by key.
        reader: The reader.

    Returns:
        Verdicts by key.
    """
    verdicts = review.latest(reader.strip(), [entry.pixels for entry in entries.values() if entry.pixels])
    return {key: verdicts[entry.pixels] for key, entry in entries.items() if entry.pixels in verdicts}


def instructive_order(
    entries: Mapping[str, Entry], thresholds: Sequence[float], read: Collection[str] = ()
) -> list[str]:
    """Order a worklist by what a verdict would teach most: films without one first, files without an image last.

    Args:
        entries: The worklist's entries by key, in the plain order.
        thresholds: The operating points' thresholds, on the entries' scale of probability.
        read: Keys of the films that have a verdict already; they keep the plain order.

    Returns:
        The keys.
    """
    waiting = [
        Candidate(key, entry.probability if entry.assessed else None, entry.novelty, entry.body_part)
        for key, entry in entries.items()
        if entry.pixels and key not in read
    ]
    first = review_order(waiting, thresholds)
    later = sorted((key for key in entries if key not in set(first)), key=lambda key: not entries[key].pixels)
    return [*first, *later]


def keep_verdict(
    review: ReviewSet,
    film: Film,
    finding: Finding,
    verdict: str,
    *,
    reader: str,
    boxes: Sequence[Sequence[float]] = (),
    comment: str = "",
) -> tuple[Verdict, str]:
    """Keep a verdict on a film of the session, with the model's answer at this moment.

    Args:
        review: The review set.
        film: The film.
        finding: What the model found on it.
        verdict: One of VERDICTS.
        reader: The reader.
        boxes: Fractures as (x, y, width, height) in pixels.
        comment: A word of the reader's own.

    Returns:
        The verdict as kept, and a sentence on the verdicts that it stands beside, else "".

    Raises:
        ReviewError: It cannot be kept.
    """
    model: dict[str, object] = {"bundle": finding.bundle, "triage": finding.triage, "logit": round(finding.logit, 6)}
    model["probability"] = round(finding.probability, 6) if finding.assessed else None
    recorded = review.add(
        finding.radiograph.pixels,
        verdict,
        reader=reader,
        boxes=boxes,
        comment=comment,
        patient=_patient(film.data),
        body_part=getattr(finding.radiograph.header, "body_part", None) or "",
        model=model,
    )
    return recorded, _beside(review.of(recorded.image), recorded)


def _beside(verdicts: Sequence[Verdict], recorded: Verdict) -> str:
    """Say which verdicts on the same film the newest one stands beside; "" if there are none."""
    others = {v.reader: v.verdict for v in verdicts if v.reader != recorded.reader}
    if others:
        readings = "; ".join(f"{name or 'another reader'}: {verdict}" for name, verdict in others.items())
        agreed = "agrees with" if set(others.values()) == {recorded.verdict} else "differs from"
        return f"Second reading: both verdicts are kept. Yours, {recorded.verdict}, {agreed} {readings}."
    if sum(v.reader == recorded.reader for v in verdicts) > 1:
        return f"Changed to {recorded.verdict}; the earlier verdict is kept too."
    return ""


def revise_verdict(
    review: ReviewSet,
    film: ReviewedFilm,
    verdict: str,
    *,
    reader: str,
    boxes: Sequence[Sequence[float]] = (),
    comment: str = "",
) -> tuple[Verdict, str]:
    """Add a verdict to a film of the review set; earlier ones are kept.

    Args:
        review: The review set.
        film: The film.
        verdict: One of VERDICTS.
        reader: The reader.
        boxes: Fractures as (x, y, width, height) in pixels.
        comment: A word of the reader's own.

    Returns:
        The verdict as kept, and a sentence on the verdicts that it stands beside, else "".

    Raises:
        ReviewError: The film's file is missing or damaged, or the verdict cannot be kept.
    """
    try:
        pixels = read_radiograph(review.path(film.image)).pixels
    except UnreadableRadiograph as error:
        raise ReviewError(f"The film cannot be read from the review folder. {error}") from error
    newest = film.newest
    recorded = review.add(
        pixels,
        verdict,
        reader=reader,
        boxes=boxes,
        comment=comment,
        body_part=newest.body_part,
        model=newest.model,
    )
    return recorded, _beside(review.of(recorded.image), recorded)


def reviewed_image(review: ReviewSet, film: ReviewedFilm, side: int = 160) -> bytes:
    """Draw a film with its boxes.

    Args:
        review: The review set.
        film: The film.
        side: Longer side, in pixels.

    Returns:
        A JPEG; b"" if the film's file is missing or damaged.
    """
    try:
        pixels = decode_grey(review.path(film.image).read_bytes(), side)
    except (OSError, SyntaxError, ValueError):  # what Pillow says of files that are missing, damaged or no image
        return b""
    # Drawn on the small image: on a large detector's, everything else would be waiting for it.
    scale = side / max(pixels.shape)
    left, top = ((side - round(n * scale)) // 2 for n in pixels.shape[::-1])
    boxes = np.array(film.boxes, np.float32).reshape(-1, 4) * scale + (left, top, 0, 0)
    return to_jpeg(outlined(np.dstack([thumbnail(pixels, side)] * 3), boxes) if len(boxes) else thumbnail(pixels, side))


def _patient(data: bytes) -> str:
    """Return what tells patients apart in a DICOM file: the patient's number and its issuer; "" for other files."""
    from fracture_core.imaging.dicom.identifiers import dicom_identifiers  # it brings pydicom

    try:
        stated = dicom_identifiers(data)
    except UnreadableRadiograph:
        return ""
    return " ".join(filter(None, (stated.get("PatientID", ""), stated.get("IssuerOfPatientID", ""))))

"""Prepare reading and review: films that wait for a verdict, verdicts, and reviewed films."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from fracture_core.data.review.export import ReviewedFilm, reviewed_films
from fracture_core.data.review.review_set import ReviewSet
from fracture_core.data.review.verdict import VERDICTS, Verdict
from fracture_core.data.thumbnails import to_jpeg
from fracture_core.evaluation.review_order import Candidate, review_order
from fracture_core.explain.overlay import overlay, thumbnail
from fracture_core.imaging.dicom.identifiers import dicom_identifiers
from fracture_core.imaging.radiograph import UnreadableRadiograph, read_radiograph
from fracture_core.inference.predictor import Finding
from fracture_core.reporting.film_session import Film
from fracture_core.reporting.worklist import Entry

#: How films are ordered.
PLAIN, BY_VALUE = ORDERS = ("Most suspicious first", "Most instructive first")
#: What the filters of the browser offer beside the verdicts.
DISAGREEMENT, AGAINST_MODEL = "Readers disagree", "Differs from the model"
FILTERS = (*(verdict.capitalize() for verdict in VERDICTS), DISAGREEMENT, AGAINST_MODEL)


def read_by(review: ReviewSet, entries: Mapping[str, Entry], reader: str) -> dict[str, Verdict]:
    """Return a reader's latest verdict on each of the session's films that has one.

    Args:
        review: The review set.
        entries: The worklist's entries by key.
        reader: The reader.

    Returns:
        Verdicts by key.
    """
    found = {key: own_verdict(review, entry.pixels, reader) for key, entry in entries.items() if entry.pixels}
    return {key: verdict for key, verdict in found.items() if verdict is not None}


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
    kept = review.add(
        finding.radiograph.pixels,
        verdict,
        reader=reader,
        boxes=boxes,
        comment=comment,
        patient=_patient(film.data),
        body_part=getattr(finding.radiograph.header, "body_part", None) or "",
        model=model,
    )
    return kept, _beside(review.of(kept.image), kept)


def _beside(verdicts: Sequence[Verdict], kept: Verdict) -> str:
    """Say which verdicts on the same film the newest one stands beside; "" if there are none."""
    others = {v.reader: v.verdict for v in verdicts if v.reader != kept.reader}
    if others:
        said = "; ".join(f"{name or 'another reader'}: {verdict}" for name, verdict in others.items())
        agreed = "agrees with" if set(others.values()) == {kept.verdict} else "differs from"
        return f"Second reading: both verdicts are kept. Yours, {kept.verdict}, {agreed} {said}."
    if sum(v.reader == kept.reader for v in verdicts) > 1:
        return f"Changed to {kept.verdict}; the earlier verdict is kept too."
    return ""


def own_verdict(review: ReviewSet, digest: str, reader: str) -> Verdict | None:
    """Return a reader's latest verdict on a film.

    Args:
        review: The review set.
        digest: The film's digest.
        reader: The reader.

    Returns:
        The verdict, or None.
    """
    mine = [verdict for verdict in review.of(digest) if verdict.reader == reader.strip()]
    return mine[-1] if mine else None


def chosen_films(review: ReviewSet, wanted: Sequence[str], reader: str = "") -> list[ReviewedFilm]:
    """Filter reviewed films, newest first.

    Args:
        review: The review set.
        wanted: Some of FILTERS; a film must pass any of them.
        reader: Only films read by this reader; "" for all.

    Returns:
        The films.
    """
    return [
        film
        for film in reversed(reviewed_films(review.verdicts()))
        if (not wanted or any(_passes(film, one) for one in wanted))
        and (not reader or any(verdict.reader == reader for verdict in film.latest))
    ]


def reviewed_picture(review: ReviewSet, film: ReviewedFilm, side: int = 160) -> bytes:
    """Draw a film with its boxes.

    Args:
        review: The review set.
        film: The film.
        side: Longer side, in pixels.

    Returns:
        A JPEG; b"" if the film's file is missing.
    """
    try:
        pixels = read_radiograph(review.path(film.image)).pixels
    except UnreadableRadiograph:
        return b""
    drawn = overlay(pixels, np.zeros(pixels.shape, np.float32), "localiser", boxes=np.array(film.boxes).reshape(-1, 4))
    return to_jpeg(np.stack([thumbnail(np.ascontiguousarray(drawn[..., k]), side) for k in range(3)], axis=-1))


def _passes(film: ReviewedFilm, wanted: str) -> bool:
    if wanted == DISAGREEMENT:
        return film.disagreement
    if wanted == AGAINST_MODEL:
        return film.model_disagrees is True
    return any(verdict.verdict == wanted.lower() for verdict in film.latest)


def _patient(data: bytes) -> str:
    """Return what tells patients apart in a DICOM file: the patient's number and its issuer; "" for other files."""
    try:
        stated = dicom_identifiers(data)
    except UnreadableRadiograph:
        return ""
    return " ".join(filter(None, (stated.get("PatientID", ""), stated.get("IssuerOfPatientID", ""))))

"""Prepare the Review page: films that wait for a verdict, and reviewed films."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fracture_core.data.review.export import ReviewedFilm, reviewed_films
from fracture_core.data.review.review_set import ReviewSet
from fracture_core.data.review.verdict import VERDICTS, Verdict, image_digest
from fracture_core.data.thumbnails import to_jpeg
from fracture_core.evaluation.review_order import Candidate, review_order
from fracture_core.explain.overlay import overlay, thumbnail
from fracture_core.imaging.dicom.identifiers import dicom_identifiers
from fracture_core.imaging.radiograph import UnreadableRadiograph, read_radiograph
from fracture_core.inference.predictor import Finding
from fracture_core.reporting.film_session import Film

#: How films are ordered.
BY_ARRIVAL, BY_VALUE = ORDERS = ("As they came", "Most instructive first")
#: What the filters of the browser offer beside the verdicts.
DISAGREEMENT, AGAINST_MODEL = "Readers disagree", "Differs from the model"
FILTERS = (*(verdict.capitalize() for verdict in VERDICTS), DISAGREEMENT, AGAINST_MODEL)


@dataclass(frozen=True, eq=False)
class WaitingFilm:
    """A film of the session with its finding; `digest` names its pixels in the review set."""

    film: Film
    finding: Finding
    digest: str

    @classmethod
    def of(cls, film: Film, finding: Finding) -> WaitingFilm:
        """Return a film that is waiting for a verdict.

        Args:
            film: The film.
            finding: The model's finding.

        Returns:
            The waiting film.
        """
        return cls(film=film, finding=finding, digest=image_digest(finding.radiograph.pixels))


def ordered(films: Sequence[WaitingFilm], order: str, thresholds: Sequence[float]) -> list[WaitingFilm]:
    """Sort films.

    Args:
        films: The films.
        order: One of ORDERS.
        thresholds: The operating points' thresholds.

    Returns:
        The films in order.
    """
    if order != BY_VALUE:
        return list(films)
    candidates = [
        Candidate(
            key=str(place),
            probability=one.finding.probability if one.finding.assessed else None,
            novelty=one.finding.unfamiliarity,
            body_part=getattr(one.finding.radiograph.header, "body_part", None) or "",
        )
        for place, one in enumerate(films)
    ]
    return [films[int(key)] for key in review_order(candidates, thresholds)]


def keep_verdict(
    review: ReviewSet,
    waiting: WaitingFilm,
    verdict: str,
    *,
    reader: str,
    boxes: Sequence[Sequence[float]] = (),
    comment: str = "",
) -> tuple[Verdict, str]:
    """Keep a reader's verdict on a film with the model's answer.

    Args:
        review: Where it is kept.
        waiting: The film.
        verdict: One of VERDICTS.
        reader: Who says it.
        boxes: Fractures as (x, y, width, height) in pixels.
        comment: A word of the reader's own.

    Returns:
        The verdict as it was kept, and what to say of it: that others had said something else, "" if not.

    Raises:
        ReviewError: It cannot be kept.
    """
    finding = waiting.finding
    model = {"bundle": finding.bundle, "triage": finding.triage, "logit": round(finding.logit, 6)}
    model["probability"] = round(finding.probability, 6) if finding.assessed else None
    before = {v.reader: v.verdict for v in review.of(waiting.digest) if v.reader != reader.strip()}
    kept = review.add(
        finding.radiograph.pixels,
        verdict,
        reader=reader,
        boxes=boxes,
        comment=comment,
        patient=_patient(waiting.film.data),
        body_part=getattr(finding.radiograph.header, "body_part", None) or "",
        model=model,
    )
    others = [f"{name or 'another reader'}: {said}" for name, said in before.items() if said != verdict]
    return kept, f"Kept beside what others said of this film ({'; '.join(others)})." if others else ""


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

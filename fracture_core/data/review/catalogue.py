"""The films of a review set in columns, so that ten thousand open and filter as fast as FracAtlas's images do."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fracture_core.data.review.export import ReviewedFilm, agreements_of, reviewed_films
from fracture_core.data.review.review_set import ReviewSet
from fracture_core.data.review.verdict import FRACTURE, NO_FRACTURE, VERDICTS, Verdict
from fracture_core.metrics.agreement import Agreement

#: Text as `Verdict.from_json` takes it: no escapes but JSON's, and no half of a pair of surrogates.
_PLAIN = rb"[ !#-\[\]-~]*"
_PAIR = rb"\\ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}"
_TEXT = _PLAIN + rb'(?:(?:\\["\\/bfnrt]|\\u(?!d[89a-f])[0-9a-f]{4}|' + _PAIR + rb")" + _PLAIN + rb")*"
_NUMBER = rb"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?"
_BOX = rb"\[" + rb", ".join([_NUMBER] * 4) + rb"\]"
_ANSWER = rb'"\w+": (?:null|true|false|' + _NUMBER + rb'|"' + _TEXT + rb'")'
#: A line as `ReviewSet.add` writes it; any other goes through the JSON parser, which takes four times as long.
_LINE = re.compile(
    rb'\{"image": "([0-9a-f]{64})", "verdict": "(fracture|no fracture|cannot tell)", '
    rb'"boxes": \[(?:' + _BOX + rb"(?:, " + _BOX + rb')*)?\], "comment": "' + _TEXT + rb'", '
    rb'"reader": "(' + _TEXT + rb')", "when": "(' + _PLAIN + rb')", "patient": "[0-9a-f]*", '
    rb'"height": [1-9]\d*, "width": [1-9]\d*, "body_part": "' + _TEXT + rb'", '
    rb'"model": (\{(?:' + _ANSWER + rb"(?:, " + _ANSWER + rb")*)?\})\}"
)  # fmt: skip
_TRIAGE = re.compile(rb'"triage": "([ !#-\[\]-~]*)"')
_CODES = {verdict: code for code, verdict in enumerate(VERDICTS)}
_UNLABELLED = -1


@dataclass(frozen=True)
class ReviewFilters:
    """Which reviewed films to show: all of the fields must fit, and within `verdicts` any one.

    Attributes:
        verdicts: Some of VERDICTS; empty for all.
        readers_disagree: Only films on which readers differ.
        against_model: Only films whose label contradicts what the model had answered.
        reader: Only films read by this reader; "" for all.
        first: Only films with a verdict on or after this day (UTC); None for all.
        last: Only films with a verdict on or before this day (UTC); None for all.
    """

    verdicts: Sequence[str] = ()
    readers_disagree: bool = False
    against_model: bool = False
    reader: str = ""
    first: date | None = None
    last: date | None = None


class ReviewCatalogue:
    """What the verdicts of a review set say of each film, at the time of its making.

    Attributes:
        images: The films' digests, in the order of each film's first verdict.
        readers: The readers' names, sorted.
        labels: int8 (n,): 1 or 0 if all of a film's readers who could tell agree on it, else -1.

    Args:
        review: The review set.

    Raises:
        ReviewError: The file of verdicts cannot be read.
    """

    def __init__(self, review: ReviewSet) -> None:
        self._review = review
        films: dict[str, int] = {}
        readers: dict[str, int] = {}
        latest: dict[tuple[int, int], tuple[int, str, bytes]] = {}
        for entry in map(_entry, review.lines()):
            if entry is not None:
                image, reader, said = entry
                film = films.setdefault(image, len(films))
                latest[film, readers.setdefault(reader, len(readers))] = said
        self.images = list(films)
        self.readers = sorted(readers)
        self._readers = readers
        # One row for each film and reader; a film's rows are in the order in which its readers first read it.
        self._film, self._reader = np.array(list(latest), np.int64).reshape(-1, 2).T
        self._said = list(latest.values())
        self._verdict = np.array([code for code, _, _ in self._said], np.int8)
        self._day = np.array([when[:10] for _, when, _ in self._said], "U10")
        given = {verdict: self._of_films(self._verdict == code) for verdict, code in _CODES.items()}
        self._disagreement = sum(mask.astype(int) for mask in given.values()) > 1
        labels = np.select([given[FRACTURE] & given[NO_FRACTURE], given[FRACTURE], given[NO_FRACTURE]], [-1, 1, 0], -1)
        self.labels: NDArray[np.int8] = labels.astype(np.int8)

    def __len__(self) -> int:
        return len(self.images)

    def film(self, image: str) -> ReviewedFilm | None:
        """Return one film with all that its readers said last.

        Args:
            image: Its digest.

        Returns:
            The film; None if it has been deleted.
        """
        return next(iter(reviewed_films(self._review.of(image))), None)

    def select(self, filters: ReviewFilters) -> NDArray[np.intp]:
        """Select films.

        Args:
            filters: One of the latest verdicts on a film must fit, and the film what is asked of it as a whole.

        Returns:
            Places in `images`, newest first.
        """
        rows = np.ones(len(self._film), bool)
        if filters.verdicts:
            rows &= np.isin(self._verdict, [_CODES[verdict] for verdict in filters.verdicts])
        if filters.reader:
            rows &= self._reader == self._readers.get(filters.reader, -1)
        if filters.first is not None:
            rows &= self._day >= filters.first.isoformat()
        if filters.last is not None:
            rows &= self._day <= filters.last.isoformat()
        keep = self._of_films(rows)
        if filters.readers_disagree:
            keep &= self._disagreement
        if filters.against_model:
            keep &= self._against_model
        return np.flatnonzero(keep)[::-1]

    def counts(self, places: NDArray[np.intp]) -> tuple[int, int, int]:
        """Count films by label.

        Args:
            places: Places in `images`.

        Returns:
            How many are fractured, how many are not, and how many have no label.
        """
        labels = self.labels[places]
        fractured, sound = int((labels == 1).sum()), int((labels == 0).sum())
        return fractured, sound, len(labels) - fractured - sound

    def agreements(self) -> dict[tuple[str, str], Agreement]:
        """Compare every two readers on the films that both read.

        Returns:
            Their agreement by (first, second).
        """
        shared = np.bincount(self._film, minlength=len(self.images))[self._film] > 1
        names = list(self._readers)
        by_film: dict[int, dict[str, str]] = {}
        for row in np.flatnonzero(shared).tolist():
            said = by_film.setdefault(int(self._film[row]), {})
            said[names[self._reader[row]]] = VERDICTS[self._verdict[row]]
        return agreements_of(by_film.values())

    @cached_property
    def _against_model(self) -> NDArray[np.bool_]:
        """Whether the model's answer, as kept with the newest verdict that has one, contradicts the label."""
        newest: dict[int, tuple[str, bytes]] = {}
        for film, (_, when, model) in zip(self._film.tolist(), self._said, strict=True):
            if model != b"{}" and (film not in newest or when > newest[film][0]):
                newest[film] = when, model
        against = np.zeros(len(self.images), bool)
        for film, (_, model) in newest.items():
            triage = match[1] if (match := _TRIAGE.search(model)) else b""
            if b"likely" in triage and self.labels[film] != _UNLABELLED:
                against[film] = self.labels[film] != int(b"unlikely" not in triage)
        return against

    def _of_films(self, rows: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return which films have any of these rows."""
        mask = np.zeros(len(self.images), bool)
        mask[self._film[rows]] = True
        return mask


def _entry(line: bytes) -> tuple[str, str, tuple[int, str, bytes]] | None:
    """Return a line's image, reader, and (code of the verdict, when, the model's answer as JSON)."""
    match = _LINE.fullmatch(line)
    if match is None:
        try:
            verdict = Verdict.from_json(line.decode("utf-8"))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None
        model = json.dumps(dict(verdict.model)).encode()
        return verdict.image, str(verdict.reader), (_CODES[verdict.verdict], str(verdict.when), model)
    image, verdict_text, reader, when, model = match.groups()
    name = json.loads(b'"%b"' % reader) if b"\\" in reader else reader.decode()
    return image.decode(), name, (_CODES[verdict_text.decode()], when.decode(), model)

"""The columns say what the verdicts say one by one, whoever wrote the lines and however."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from fracture_core.data.review.catalogue import _LINE, ReviewCatalogue, ReviewFilters
from fracture_core.data.review.export import readers_agreement, reviewed_films
from fracture_core.data.review.review_set import FILE, ReviewSet
from fracture_core.data.review.verdict import VERDICTS

FILM = np.arange(48, dtype=np.uint8).reshape(6, 8)
READERS = ("a", 'Dr "B" \\ Ü', 'c, "model": {', "")
TRIAGES = ("fracture likely", "fracture unlikely", "uncertain", "")


@pytest.fixture
def review(tmp_path) -> ReviewSet:
    """Forty films with up to five verdicts each, some without the model's answer."""
    rng, made = np.random.default_rng(0), ReviewSet(tmp_path / "review")
    for _ in range(150):
        triage = str(rng.choice(TRIAGES))
        made.add(
            FILM + rng.integers(40, dtype=np.uint8),
            str(rng.choice(VERDICTS, p=(0.45, 0.45, 0.1))),
            reader=str(rng.choice(READERS)),
            boxes=[(1, 1, 3.25, 4)] * int(rng.integers(3)),
            comment=str(rng.choice(["", 'distal "radius"\n', '}, "model": {}}', "naïve"])),
            patient="4711" if rng.random() < 0.3 else "",
            model={"bundle": "small {0}" if rng.random() < 0.1 else "small 0", "triage": triage} if triage else None,
        )
    return made


def one_by_one(review: ReviewSet, filters: ReviewFilters) -> list[str]:
    """Return what the filters leave, by their definition."""

    def fits(verdict) -> bool:
        day = date.fromisoformat(verdict.when[:10])
        return (
            (not filters.verdicts or verdict.verdict in filters.verdicts)
            and (not filters.reader or verdict.reader == filters.reader)
            and (filters.first is None or day >= filters.first)
            and (filters.last is None or day <= filters.last)
        )

    return [
        film.image
        for film in reversed(reviewed_films(review.verdicts()))
        if (not filters.readers_disagree or film.disagreement)
        and (not filters.against_model or film.model_disagrees)
        and any(map(fits, film.latest))
    ]


def chosen(catalogue: ReviewCatalogue, **wanted) -> list[str]:
    return [catalogue.images[place] for place in catalogue.select(ReviewFilters(**wanted))]


TODAY = datetime.now(UTC).date()


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"verdicts": ["fracture"]},
        {"verdicts": ["fracture", "cannot tell"], "reader": "a"},
        {"reader": READERS[1]},
        {"reader": "nobody"},
        {"readers_disagree": True},
        {"against_model": True},
        {"against_model": True, "readers_disagree": True},
        {"verdicts": ["no fracture"], "against_model": True, "reader": READERS[2]},
        {"first": TODAY - timedelta(1), "last": TODAY + timedelta(1)},
        {"first": TODAY + timedelta(2)},
        {"last": TODAY - timedelta(2)},
    ],
)
def test_filters_choose_what_their_definition_says(review, wanted):
    assert chosen(ReviewCatalogue(review), **wanted) == one_by_one(review, ReviewFilters(**wanted))


def test_labels_counts_and_agreement_are_the_films_own(review):
    catalogue, films = ReviewCatalogue(review), reviewed_films(review.verdicts())
    assert catalogue.images == [film.image for film in films] and len(catalogue) == len(films)
    assert [None if label < 0 else label for label in catalogue.labels.tolist()] == [film.label for film in films]
    labels = [film.label for film in films]
    assert catalogue.counts(catalogue.select(ReviewFilters())) == tuple(map(labels.count, (1, 0, None)))
    assert catalogue.agreements() == readers_agreement(films) and len(catalogue.agreements()) == 6
    assert catalogue.readers == sorted(READERS)
    assert [catalogue.film(image) for image in catalogue.images] == films


def test_lines_that_others_wrote_count_the_same_and_nonsense_does_not(review):
    before = ReviewCatalogue(review)
    lines = (review.folder / FILE).read_bytes().splitlines()
    assert all(map(_LINE.fullmatch, lines))
    compact = [json.dumps(dict(reversed(json.loads(line).items())), separators=(",", ":")).encode() for line in lines]
    nonsense = [b"[1]", b'{"image": 3}', b"\xff\xfe", lines[0][:80], lines[0][:-20] + lines[1], lines[0][:-1]]
    (review.folder / FILE).write_bytes(b"\n".join([*compact, *nonsense]) + b"\n")
    after = ReviewCatalogue(ReviewSet(review.folder))
    assert after.images == before.images and (after.labels == before.labels).all()
    assert chosen(after, against_model=True) == chosen(before, against_model=True)


@pytest.mark.parametrize(
    ("text", "odd"),
    [
        ('"reader": "a"', '"reader": "a\\qb"'),
        ('"reader": "a"', '"reader": "a\\u00zz"'),
        ('"reader": "a"', '"reader": "a\\ud800"'),
        ('"comment": ""', '"comment": "\\q"'),
        ('"body_part": ""', '"body_part": "\\udc00"'),
        ('"model": {}', '"model": {"triage": "fracture likely" x}'),
        ('"model": {}', '"model": {"triage": 01}'),
        ('"boxes": []', '"boxes": [[1, 2, 03, 4]]'),
        ('"height": 6', '"height": 06'),
        # Unusual, but JSON all the same.
        ('"reader": "a"', '"reader": "\\ud83d\\ude00 \\/ \\u00E9"'),
        ('"model": {}', '"model": {"seen": [1]}'),
    ],
)
def test_an_odd_line_counts_here_if_it_counts_elsewhere(tmp_path, text, odd):
    review = ReviewSet(tmp_path / "review")
    review.add(FILM, "fracture", reader="a")
    (line,) = review.lines()
    assert text.encode() in line
    strange = line.replace(text.encode(), odd.encode()).replace(b'"fracture"', b'"no fracture"')
    (review.folder / FILE).write_bytes(line + b"\n" + strange + b"\n")
    catalogue, (film,) = ReviewCatalogue(review), reviewed_films(review.verdicts())
    assert catalogue.labels.tolist() == [-1 if film.label is None else film.label]
    assert catalogue.readers == sorted(verdict.reader for verdict in film.latest)


def test_a_film_that_was_deleted_meanwhile_is_none(review):
    catalogue = ReviewCatalogue(review)
    review.delete(catalogue.images[0])
    assert catalogue.film(catalogue.images[0]) is None and len(ReviewCatalogue(review)) == len(catalogue) - 1


def test_a_set_without_verdicts_is_empty(tmp_path):
    catalogue = ReviewCatalogue(ReviewSet(tmp_path / "none"))
    assert len(catalogue) == 0 and not catalogue.select(ReviewFilters(against_model=True)).size
    assert catalogue.agreements() == {} and catalogue.counts(catalogue.select(ReviewFilters())) == (0, 0, 0)

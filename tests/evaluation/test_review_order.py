"""What teaches most comes first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fracture_core.evaluation.review_order import Candidate, review_order

POINTS = (0.02, 0.4)


def test_films_near_an_operating_point_come_first():
    films = [Candidate("sure", 0.99), Candidate("edge", 0.41), Candidate("clean", 0.0001), Candidate("near", 0.6)]
    assert review_order(films, POINTS) == ["edge", "near", "sure", "clean"]


def test_what_the_model_does_not_know_comes_before_what_it_does():
    films = [Candidate("usual", 0.9, 0.1), Candidate("unusual", 0.9, 0.9), Candidate("unread", None, 1.4)]
    assert review_order(films, POINTS) == ["unread", "unusual", "usual"]


def test_a_batch_of_knees_does_not_hide_the_wrist():
    knees = [Candidate(f"knee{k}", 0.40 + k / 100, body_part="knee") for k in range(6)]
    order = review_order([*knees, Candidate("wrist", 0.5, body_part="wrist")], POINTS)
    assert order.index("wrist") <= 2


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 3), st.sampled_from(["", "a", "b"])), max_size=30))
def test_every_film_is_there_once(rows):
    films = [Candidate(str(k), *row) for k, row in enumerate(rows)]
    assert sorted(review_order(films, POINTS), key=int) == [str(k) for k in range(len(rows))]

"""FracAtlas and a site's films as one dataset: ids, weights, splits, and images that both have."""

from __future__ import annotations

import numpy as np
import pytest

from fracture_core.data.audit import audit
from fracture_core.data.combined.audit import audit_sources
from fracture_core.data.combined.dataset import CombinedDataset, default_weight, is_site
from fracture_core.data.combined.images import load_images
from fracture_core.data.combined.sources import Sources
from fracture_core.data.dataset import open_dataset, open_sources, short_digest
from fracture_core.data.fracatlas import DatasetError, FracAtlas
from fracture_core.data.image_cache import load_image_cache
from fracture_core.data.review.review_set import ReviewSet
from fracture_core.data.split import project_split
from fracture_core.training.training_data import training_sources
from tests.support.miniature import picture
from tests.support.site import site_folder
from tests.support.training import miniature


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("FRACTURE_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def fracatlas(tmp_path) -> FracAtlas:
    return miniature(tmp_path / "atlas")


@pytest.fixture
def both(fracatlas, tmp_path) -> CombinedDataset:
    """Four of the site's films are FracAtlas's own: of train, val and test, one under the very same file name."""
    split = project_split(fracatlas, audit(fracatlas))
    chosen = (split.train[0], split.train[1], split.val[0], split.test[0])
    names = ("a.jpg", f"{chosen[1]}.jpg", "c.jpg", "d.jpg")
    copies = {name: fracatlas.path(i) for name, i in zip(names, chosen, strict=True)}
    site = site_folder(tmp_path / "site", copies=copies)
    dataset = open_sources(Sources(str(fracatlas.root), str(site)))
    assert isinstance(dataset, CombinedDataset)
    return dataset


def test_ids_are_unique_and_lead_to_the_same_files_boxes_and_labels(both, fracatlas):
    assert both.table.index.is_unique and len(both) == len(fracatlas) + 44
    for image_id in fracatlas.table.index:
        assert both.path(image_id) == fracatlas.path(image_id) and both.outlined(image_id)
        assert (both.boxes(image_id) == fracatlas.boxes(image_id)).all()
    for image_id in both.site.table.index:
        assert both.path(f"site/{image_id}") == both.site.path(image_id)
        assert both.table.at[f"site/{image_id}", "label"] == both.site.table.at[image_id, "label"]
        assert short_digest(both, f"site/{image_id}") == both.site.digest(image_id)[:12]
    assert both.table.loc[both.table.index.map(is_site), "hand"].isna().all()
    assert short_digest(both, fracatlas.table.index[0]) == ""
    with pytest.raises(DatasetError, match="is not in"):
        both.path("site/nothing.png")


def test_each_part_is_split_as_it_would_be_alone_and_no_image_is_on_two_sides(both, fracatlas):
    found = audit_sources(both)
    split = project_split(both, found)
    alone = project_split(fracatlas, audit(fracatlas))
    for part in ("train", "val", "test"):
        assert tuple(i for i in getattr(split, part) if not is_site(i)) == getattr(alone, part)
    copies = {i for i, why in split.left_out.items() if "shows the same image as" in why}
    assert copies == {i for i in both.table.index if i.endswith(".jpg") and is_site(i)} and len(copies) == 4
    assert split.left_out["site/films/a.jpg"] == f"shows the same image as {alone.train[0]} of FracAtlas"
    part = {i: name for name in ("train", "val", "test") for i in getattr(split, name)}
    patients = both.table["patient"]
    for patient in set(patients) - {""}:
        assert len({part[i] for i in patients.index[patients == patient] if i in part}) <= 1
    for members in found.duplicate_groups:
        assert len({part[i] for i in members if i in part}) <= 1
    assert all({both.table.at[i, "label"] for i in getattr(split, p) if is_site(i)} == {0, 1} for p in ("val", "test"))
    assert audit_sources(both) == found  # as it was kept


def test_the_weights_are_as_stated(both):
    split = project_split(both, audit_sources(both))
    weights = both.weights(split.train)
    of_site = np.array([is_site(i) for i in split.train])
    assert weights.mean() == pytest.approx(1) and weights.dtype == np.float32
    assert weights[of_site].min() / weights[~of_site].max() == pytest.approx(both.site_weight)
    assert both.site_share(split.train) == pytest.approx(weights[of_site].sum() / weights.sum())
    record = training_sources(both, split)
    ours, theirs = record["sources"]
    assert (ours["name"], theirs["name"]) == ("FracAtlas", "films") and theirs["weight"] == both.site_weight
    assert ours["share"] + theirs["share"] == pytest.approx(1) and theirs["share"] == round(
        both.site_share(split.train), 4
    )
    assert [ours[p] + theirs[p] for p in ("train", "val", "test")] == [
        len(split.train),
        len(split.val),
        len(split.test),
    ]
    seen = record["films_seen"].split()
    assert seen == [short_digest(both, i) for i in (*split.train, *split.val) if is_site(i)] and len(set(seen)) == len(
        seen
    )
    assert record["site_copies"] == 4


@pytest.mark.parametrize(("site", "weight"), [(40, 4.0), (400, 3.4), (1000, 1.36), (4083, 1.0), (100_000, 1.0)])
def test_by_default_a_site_has_a_quarter_of_the_weight_where_a_film_may_count_so_much(site, weight):
    assert default_weight(4083, site) == pytest.approx(weight, abs=0.01)


def test_what_does_not_go_together_is_a_sentence(both, fracatlas, tmp_path):
    site = str(both.site.root)
    with pytest.raises(DatasetError, match="FracAtlas itself"):
        open_sources(Sources(str(fracatlas.root), str(fracatlas.root)))
    with pytest.raises(DatasetError, match="together with FracAtlas, and films is not"):
        open_sources(Sources(site, site))
    for weight in (0, -1, 1e9, float("nan")):
        with pytest.raises(DatasetError, match=r"may count 0\.1 to 20 times"):
            open_sources(Sources(str(fracatlas.root), site, weight))


def test_fracatlas_is_decoded_once_whatever_it_is_combined_with(both, fracatlas):
    alone = load_image_cache({i: fracatlas.path(i) for i in fracatlas.table.index}, 32)
    joined = load_images(both, 32)
    assert joined.caches[0].squares.filename == alone.squares.filename
    ids = [*both.table.index[-3:], *both.table.index[:3]]
    assert (joined.take(ids) == np.stack([joined.square(i) for i in ids])).all()
    assert (joined.take(ids)[3:] == alone.squares[:3]).all() and joined.placement(ids[3]) == alone.placements[0]


def test_a_review_set_is_a_site(fracatlas, tmp_path):
    review = ReviewSet(tmp_path / "review")
    for number in range(30):
        verdict = "fracture" if number % 2 else "no fracture"
        review.add(picture(500 + number, 64, 48), verdict, reader="a", patient=f"P{number}")
    dataset = open_sources(Sources(str(fracatlas.root), str(review.folder), 2.5))
    assert isinstance(dataset, CombinedDataset) and dataset.site_weight == 2.5
    assert dataset.name == "FracAtlas and review" and len(open_dataset(review.folder)) == 30
    film = review.verdicts()[0].image
    assert short_digest(dataset, f"site/images/{film}.png") == film[:12]

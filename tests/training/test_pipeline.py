from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fracture_core.data.image_cache import load_image_cache
from fracture_core.imaging.letterbox import letterbox
from fracture_core.imaging.radiograph import read_radiograph
from fracture_core.recipe import Augmentation
from fracture_core.training.pipeline import Batches, ImageExamples, epoch_order
from tests.support.training import SMALL, miniature

PLAIN = SMALL.replace(augmentation=Augmentation())


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    root = tmp_path_factory.mktemp("pipeline")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FRACTURE_CACHE_DIR", str(root / "cache"))
        yield miniature(root / "FracAtlas", 30)


def batches_of(dataset, recipe, size=None):
    ids = list(dataset.table.index)
    pictures = load_image_cache({i: dataset.path(i) for i in ids}, size or recipe.image_size)
    boxes = [pictures.placement(i).boxes_in_square(dataset.boxes(i)) for i in ids]
    return Batches(ImageExamples(ids, pictures, boxes, recipe), dataset.table["label"].to_numpy(), recipe)


LABELS = st.lists(st.integers(0, 1), min_size=1, max_size=60).map(np.array)


@given(LABELS, st.integers(1, 40), st.integers(0, 2**31 - 1), st.integers(0, 50))
@settings(deadline=None)
def test_an_epoch_shows_every_image_once_and_fills_up_the_last_batch(labels, size, seed, epoch):
    order = epoch_order(labels, size, "none", seed, epoch)
    assert order.shape[1] == min(size, len(labels))
    assert sorted(order.ravel()[: len(labels)]) == list(range(len(labels)))
    assert order.size - len(labels) < order.shape[1]


@given(LABELS, st.integers(1, 40), st.integers(0, 99))
@settings(deadline=None)
def test_oversampling_shows_both_classes_alike(labels, size, epoch):
    order = epoch_order(labels, size, "oversample", 1, epoch)
    most = 2 * max(np.bincount(labels, minlength=2)) if len(set(labels)) == 2 else len(labels)
    shown = labels[order.ravel()[:most]]
    assert set(order.ravel()) == set(range(len(labels)))
    if len(set(labels)) == 2:
        assert shown.sum() * 2 == len(shown)
        # Nothing of the rarer class comes more than once oftener than anything else of it.
        counts = np.bincount(order.ravel()[:most], minlength=len(labels))[labels == (labels.sum() * 2 < len(labels))]
        assert np.ptp(counts) <= 1


def test_epochs_and_seeds_differ():
    labels = np.zeros(50, int)
    orders = [epoch_order(labels, 10, "none", seed, epoch).tolist() for seed in (1, 2) for epoch in (0, 1)]
    assert all(a != b for i, a in enumerate(orders) for b in orders[:i])


def test_without_augmentation_a_batch_is_the_pictures_as_inference_sees_them(dataset):
    batches = batches_of(dataset, PLAIN)
    inputs, targets = batches.batch(1)
    order = epoch_order(dataset.table["label"].to_numpy(), PLAIN.batch_size, "none", PLAIN.seed, 0)
    ids = dataset.table.index[order[1]]
    wanted = [letterbox(read_radiograph(dataset.path(i)).pixels, PLAIN.image_size)[0] for i in ids]
    np.testing.assert_array_equal(inputs["radiograph"], np.stack(wanted))
    np.testing.assert_array_equal(targets["label"], dataset.table.loc[ids, "label"])
    # A cell counts where a box covers its middle, and nowhere a box does not touch.
    for image_id, cells in zip(ids, targets["cells"], strict=True):
        assert (cells.max() > 0) == (len(dataset.boxes(image_id)) > 0)


def test_a_batch_depends_on_its_step_alone(dataset):
    one, other = batches_of(dataset, SMALL, 64), batches_of(dataset, SMALL, 64)
    for step in (7, 0, 5):
        other.batch(step + 1)
        for mine, theirs in zip(one.batch(step), other.batch(step), strict=True):
            for name in mine:
                np.testing.assert_array_equal(mine[name], theirs[name])
    assert np.any(one.batch(0)[0]["radiograph"] != one.batch(one.steps_per_epoch)[0]["radiograph"])
    changed = batches_of(dataset, SMALL.replace(seed=7), 64)
    assert np.any(one.batch(0)[0]["radiograph"] != changed.batch(0)[0]["radiograph"])


def test_repeats_of_one_picture_in_an_epoch_are_augmented_each_anew(dataset):
    recipe = SMALL.replace(class_balance="oversample")
    batches = batches_of(dataset, recipe, 64)
    order = epoch_order(batches.labels, recipe.batch_size, "oversample", recipe.seed, 0)
    image = np.flatnonzero(np.bincount(order.ravel()) > 1)[0]
    (a, b), *_ = [places for places in [np.argwhere(order == image)] if len(places) > 1]
    shown = [batches.batch(int(row))[0]["radiograph"][column] for row, column in (a, b)]
    assert np.any(shown[0] != shown[1])


@pytest.mark.parametrize("mixup", [0.0, 0.4])
@pytest.mark.parametrize("workers", [2, 4])
def test_workers_share_the_very_batch_that_one_would_have(dataset, workers, mixup):
    batches = batches_of(dataset, SMALL.replace(mixup=mixup), 64)
    size = SMALL.batch_size // workers
    whole = batches.batch(2)
    parts = [batches.batch(2, slice(k * size, (k + 1) * size)) for k in range(workers)]
    for place in (0, 1):
        for name, values in whole[place].items():
            np.testing.assert_array_equal(np.concatenate([part[place][name] for part in parts]), values)


def test_tf_data_gives_the_batches_in_order_from_any_step(dataset):
    batches = batches_of(dataset, SMALL, 64)
    for first in (0, 3):
        for step, (inputs, targets) in enumerate(batches.dataset(first, first + 5), first):
            wanted = batches.batch(step)
            np.testing.assert_array_equal(inputs["radiograph"], wanted[0]["radiograph"])
            np.testing.assert_array_equal(targets["cells"], wanted[1]["cells"])
        assert step == first + 4


def test_a_dataset_smaller_than_a_batch_makes_a_smaller_batch(dataset):
    batches = batches_of(dataset, SMALL.replace(batch_size=500), 64)
    assert (batches.steps_per_epoch, batches.batch_size) == (1, len(dataset))


def test_mixup_blends_pictures_labels_and_cells_alike(dataset):
    batches = batches_of(dataset, PLAIN.replace(mixup=1.0))
    inputs, targets = batches.batch(0)
    plain, truth = batches_of(dataset, PLAIN).batch(0)
    assert inputs["radiograph"].dtype == np.float32
    flat = plain["radiograph"].reshape(len(plain["radiograph"]), -1).astype(float)
    for k, mixed in enumerate(inputs["radiograph"].reshape(len(flat), -1)):
        # Solve for the share of one partner; exactly one fits, and label and cells follow with the same share.
        fits = []
        for partner, other in enumerate(flat):
            difference = other - flat[k]
            share = 0.0 if not difference.any() else float((mixed - flat[k]) @ difference / (difference @ difference))
            if np.abs(flat[k] + share * difference - mixed).max() < 1e-2:
                fits.append((partner, share))
        partner, share = max(fits, key=lambda fit: fit[1])
        assert -1e-6 <= share <= 0.5 + 1e-6
        for name in ("label", "cells"):
            blended = (1 - share) * truth[name][k] + share * truth[name][partner]
            np.testing.assert_allclose(targets[name][k], blended, atol=1e-4)


def test_class_weights_let_both_classes_weigh_the_same(dataset):
    batches = batches_of(dataset, PLAIN.replace(class_balance="weights"))
    totals = [batches.weights[batches.labels == label].sum() for label in (0, 1)]
    assert totals[0] == pytest.approx(totals[1])
    assert batches.weights.mean() == pytest.approx(1)
    _inputs, targets = batches.batch(0)
    np.testing.assert_array_equal(targets["weight"] > 1, targets["label"] == 1)

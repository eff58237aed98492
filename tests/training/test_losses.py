from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import expit, log_expit

from fracture_core.recipe import Recipe
from fracture_core.training.losses import box_loss, class_weights, objective

RNG = np.random.default_rng(3)
N, SIDE = 12, 4
OUTPUTS = {
    "logit": RNG.normal(0, 3, (N, 1)).astype(np.float32),
    "global_logit": RNG.normal(0, 3, (N, 1)).astype(np.float32),
    "cells": RNG.normal(-3, 2, (N, SIDE, SIDE, 1)).astype(np.float32),
}
TARGETS = {
    "label": (RNG.random(N) < 0.4).astype(np.float32),
    "weight": np.ones(N, np.float32),
    "cells": (RNG.random((N, SIDE, SIDE)) * (RNG.random((N, SIDE, SIDE)) < 0.1)).astype(np.float32),
}


def terms(targets=TARGETS, **choices):
    recipe = Recipe(name="x", localiser=8, **choices)
    outputs, targets = ({k: tf.constant(v) for k, v in d.items()} for d in (OUTPUTS, targets))
    return {name: float(value) for name, value in objective(outputs, targets, recipe).items()}


def test_plain_loss_is_keras_binary_crossentropy():
    wanted = keras.losses.BinaryCrossentropy(from_logits=True)(TARGETS["label"][:, None], OUTPUTS["logit"])
    assert terms() == {"label": pytest.approx(float(wanted), rel=1e-5)}


@pytest.mark.parametrize("smoothing", [0.05, 0.3])
def test_label_smoothing_is_keras_own(smoothing):
    loss = keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=smoothing)
    wanted = float(loss(TARGETS["label"][:, None], OUTPUTS["logit"]))
    assert terms(label_smoothing=smoothing)["label"] == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_loss_is_keras_own(gamma):
    loss = keras.losses.BinaryFocalCrossentropy(from_logits=True, gamma=gamma)
    wanted = float(loss(TARGETS["label"][:, None], OUTPUTS["logit"]))
    assert terms(loss="focal", focal_gamma=gamma)["label"] == pytest.approx(wanted, rel=1e-4)


def test_weights_multiply_each_image():
    weight = RNG.random(N).astype(np.float32)
    label, logit = TARGETS["label"].astype(float), OUTPUTS["logit"][:, 0].astype(float)
    each = -(label * log_expit(logit) + (1 - label) * log_expit(-logit))
    assert terms(TARGETS | {"weight": weight})["label"] == pytest.approx((weight * each).mean(), rel=1e-5)


def test_box_loss_is_what_it_says():
    target, cells = TARGETS["cells"].astype(float), OUTPUTS["cells"][..., 0].astype(float)
    each = -(3.0 * target * np.log(expit(cells)) + (1 - target) * np.log(expit(-cells)))
    wanted = each.sum() / (target.sum() + N)
    assert terms(box_weight=0.5, box_positive_weight=3.0)["box"] == pytest.approx(0.5 * wanted, rel=1e-5)


def test_the_terms_are_those_that_the_recipe_asks_for():
    assert set(terms(box_weight=1.0, global_weight=0.3)) == {"label", "box", "global"}
    alone = keras.losses.BinaryCrossentropy(from_logits=True)(TARGETS["label"][:, None], OUTPUTS["global_logit"])
    assert terms(global_weight=0.3)["global"] == pytest.approx(0.3 * float(alone), rel=1e-5)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_gradients_are_finite_for_the_surest_answers(gamma):
    logit = tf.Variable([[60.0], [-60.0], [60.0], [-60.0]])
    targets = {"label": tf.constant([1.0, 0.0, 0.0, 1.0]), "weight": tf.ones(4), "cells": tf.zeros((4, 1, 1))}
    with tf.GradientTape() as tape:
        recipe = Recipe(name="x", loss="focal", focal_gamma=gamma)
        loss = objective({"logit": logit}, targets, recipe)["label"]
    assert np.isfinite(tape.gradient(loss, logit).numpy()).all()


def test_an_empty_box_target_still_divides_by_the_pictures():
    cells = tf.zeros((2, 3, 3))
    assert float(box_loss(cells, tf.zeros((2, 3, 3)), 8.0, tf.constant(2.0))) == pytest.approx(9 * np.log(2))


def test_cells_that_nobody_knows_teach_nothing():
    """The loss of two images, one of them not outlined, is that of the other; no gradient reaches the unknown."""
    rng = np.random.default_rng(5)
    cells = tf.constant(rng.normal(size=(2, 3, 3)), tf.float32)
    target = (rng.random((2, 3, 3)) < 0.3).astype(np.float32)
    target[1] = np.nan
    with tf.GradientTape() as tape:
        tape.watch(cells)
        loss = box_loss(cells, tf.constant(target), 8.0, tf.constant(2.0))
    known = box_loss(cells[:1], tf.constant(target[:1]), 8.0, tf.constant(2.0))
    assert float(loss) == pytest.approx(float(known), rel=1e-6)
    gradient = tape.gradient(loss, cells).numpy()
    assert np.isfinite(gradient).all() and np.abs(gradient[0]).min() > 0 and not gradient[1].any()


def test_class_weights_of_one_class_or_none_asked_are_even():
    assert class_weights(np.array([0, 0, 1]), "none").tolist() == [1, 1, 1]
    assert class_weights(np.array([0, 0, 1]), "weights").tolist() == [0.75, 0.75, 1.5]
    assert np.isfinite(class_weights(np.array([1, 1]), "weights")).all()

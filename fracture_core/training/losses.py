"""The training objective: the image's loss, the global head's own, and that of the cells on the radiologists' boxes.

Every term is a sum divided by a count over the whole batch, so that the gradients of several replicas, summed, equal
those of one process with the same batch.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from fracture_core.recipe import ClassBalance, Recipe


def objective(
    outputs: Mapping[str, tf.Tensor], targets: Mapping[str, tf.Tensor], recipe: Recipe
) -> dict[str, tf.Tensor]:
    """Compute the weighted terms of the loss: `label`, and `global` and `box` if the recipe asks for them.

    Call it inside a replica: each returns its own share.

    Args:
        outputs: The model's outputs (logits).
        targets: `label` float32 (n,), 0..1; `weight` float32 (n,), of each image; `source_weight` float32 (n,), of
            the dataset that it is from alone (by default 1); `cells` float32 (n, S/8, S/8), the share of each cell that
            is in a box, nan if unknown.
        recipe: The run's recipe.

    Returns:
        Scalars by name, to be summed.
    """
    label, weight = targets["label"], targets["weight"]
    count = _over_replicas(tf.cast(tf.shape(label)[0], tf.float32))
    smooth = label * (1 - recipe.label_smoothing) + 0.5 * recipe.label_smoothing
    terms = {"label": _image_loss(outputs["logit"][:, 0], smooth, weight, count, recipe)}
    if recipe.global_weight:
        alone = _image_loss(outputs["global_logit"][:, 0], smooth, weight, count, recipe)
        terms["global"] = recipe.global_weight * alone
    if recipe.box_weight:
        share = box_loss(
            outputs["cells"][..., 0], targets["cells"], recipe.box_positive_weight, count, targets.get("source_weight")
        )
        terms["box"] = recipe.box_weight * share
    return terms


def _image_loss(logit: tf.Tensor, label: tf.Tensor, weight: tf.Tensor, count: tf.Tensor, recipe: Recipe) -> tf.Tensor:
    loss = tf.nn.sigmoid_cross_entropy_with_logits(label, logit)
    if recipe.loss == "focal":
        loss *= focus(logit, label, recipe.focal_gamma)
    return tf.reduce_sum(weight * loss) / count


def focus(logit: tf.Tensor, label: tf.Tensor, gamma: float) -> tf.Tensor:
    """Compute the focal loss factor (1 - p_t) ** gamma: what is already right counts little (Lin et al. 2017).

    Args:
        logit: Shape (n,).
        label: 0..1, shape (n,).
        gamma: The exponent.

    Returns:
        Shape (n,).
    """
    probability = tf.sigmoid(logit)
    wrong = label * (1 - probability) + (1 - label) * probability
    # The gradient of x ** gamma is infinite at 0 for gamma < 1.
    return tf.maximum(wrong, 1e-6) ** gamma


def box_loss(
    cells: tf.Tensor, target: tf.Tensor, positive_weight: float, count: tf.Tensor, weight: tf.Tensor | None = None
) -> tf.Tensor:
    """Compute the cross-entropy of every cell, summed over the batch, over (cells on fractures + images).

    Dividing by what lies on fractures rather than by all cells gives tiny boxes enough weight. Cells whose target is
    nan are ignored.

    Args:
        cells: Logits, shape (n, h, w).
        target: Shares 0..1, shape (n, h, w).
        positive_weight: Weight of a cell on a fracture relative to one elsewhere.
        count: Images in the whole batch.
        weight: How much each image counts, shape (n,); by default 1.

    Returns:
        A scalar.
    """
    unknown = tf.math.is_nan(target)
    target = tf.where(unknown, 0.0, target)
    loss = tf.where(unknown, 0.0, tf.nn.weighted_cross_entropy_with_logits(target, cells, positive_weight))
    if weight is not None:
        loss, target = loss * weight[:, None, None], target * weight[:, None, None]
    return tf.reduce_sum(loss) / (_over_replicas(tf.reduce_sum(target)) + count)


def _over_replicas(figure: tf.Tensor) -> tf.Tensor:
    replica = tf.distribute.get_replica_context()
    if replica is None or replica.num_replicas_in_sync == 1:
        return figure
    return replica.all_reduce(tf.distribute.ReduceOp.SUM, figure)


def class_weights(labels: np.ndarray, balance: ClassBalance) -> np.ndarray:
    """Compute the weight of each image: all equal, or so that both classes have the same total.

    Args:
        labels: 0 or 1, shape (n,).
        balance: Only "weights" changes them.

    Returns:
        float32 (n,), mean 1.
    """
    labels = np.asarray(labels, int)
    if balance != "weights":
        return np.ones(len(labels), np.float32)
    counts = np.bincount(labels, minlength=2)
    return (len(labels) / (2 * counts[labels])).astype(np.float32)

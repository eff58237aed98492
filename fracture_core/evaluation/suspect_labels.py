"""Images whose label the features of the others contradict confidently (confident learning, Northcutt et al. 2021)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from fracture_core.evaluation.feature_map import FeatureMap

_FOLDS = 5


def suspect_labels(found: FeatureMap, labels: Mapping[str, int], groups: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """Return the images with a suspect label, the most suspect first.

    Each image is judged by a logistic regression on the features of the other folds. Duplicates share a fold.

    Args:
        found: Features of the images.
        labels: The reference label of each image, 0 or 1.
        groups: The duplicates of an image, itself among them, for images that have any.

    Returns:
        Columns image_id, label, probability (of a fracture, by the other folds) and margin (-1..0, the lower the more
        suspect).
    """
    ids = [image_id for image_id in found.ids if image_id in labels]
    rows = [place for place, image_id in enumerate(found.ids) if image_id in labels]
    truth = np.array([labels[image_id] for image_id in ids])
    names = [min(groups.get(image_id, (image_id,))) for image_id in ids]
    probabilities = out_of_fold(found.components[rows], truth, names)
    suspects = confident_errors(truth, np.stack([1 - probabilities, probabilities], 1))
    margin = np.where(truth == 1, 1, -1) * (2 * probabilities - 1)
    table = pd.DataFrame({"image_id": ids, "label": truth, "probability": probabilities, "margin": margin})
    return table[suspects].sort_values(["margin", "image_id"], ignore_index=True)


def out_of_fold(features: NDArray[np.floating], labels: ArrayLike, groups: Sequence[str]) -> NDArray[np.float64]:
    """Compute each image's probability of a fracture with models that saw neither it nor its duplicates.

    Args:
        features: (n, c).
        labels: 0 or 1, (n,).
        groups: Name of each image's group of duplicates, (n,).

    Returns:
        float64 (n,), 0 to 1.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    folds = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=0)
    predicted = cross_val_predict(model, features, labels, groups=groups, cv=folds, method="predict_proba")
    return np.asarray(predicted[:, 1], np.float64)


def confident_errors(labels: ArrayLike, probabilities: ArrayLike) -> NDArray[np.bool_]:
    """Find the images that are counted off the diagonal of the confident joint.

    An image counts for the class whose probability is at or above that class's threshold, the mean probability that
    images of the class get for it; of several such classes for the likeliest.

    Args:
        labels: The given labels, 0 or 1, (n,).
        probabilities: Out-of-fold probabilities of both classes, (n, 2).

    Returns:
        bool (n,).
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities, np.float64)
    thresholds = np.array([probabilities[labels == k, k].mean() if (labels == k).any() else np.inf for k in (0, 1)])
    above = probabilities >= thresholds - 1e-6
    likeliest = np.where(above, probabilities, -1).argmax(axis=1)
    return np.asarray(above.any(axis=1) & (likeliest != labels))

"""Images whose label the others contradict confidently (confident learning, Northcutt et al. 2021).

Nothing that judges a label may have learned from it. Labels of images that a network was trained on are in its late
layers: there the judges read a map in its middle, which knows the labels far less. Images that no network was trained
on are judged by the networks' own answers. `studies.suspect_labels` measures how many planted errors each way finds.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from fracture_core.errors import FractureCoreError
from fracture_core.evaluation.image_features import ImageFeatures

FOLDS, REPEATS = 5, 3
_COMPONENTS = 150
#: Inverse strength of the penalty on the weights of the many components, and of the few answers.
_MANY, _FEW = 0.01, 1.0
#: What a confidence may fall short of a threshold, or of the other class's, by and still reach it, as in cleanlab.
_TOLERANCE = 1e-6


class SuspectLabelsError(FractureCoreError):
    """Too few images of a class to judge their labels by."""


def judged_labels(
    features: Sequence[ImageFeatures],
    labels: Mapping[str, int],
    groups: Mapping[str, Sequence[str]],
    trained_on: Collection[str],
    *,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Judge the label of every image.

    Args:
        features: Of each network, of the images that it could read.
        labels: The reference label of each image, 0 or 1.
        groups: The duplicates of an image, or the images of its patient, itself among them, for images that have any.
        trained_on: The images whose label any of the networks learned from, in training.
        progress: Called with steps done and steps in all.

    Returns:
        One row per image that every network could read: image_id, label, probability (of a fracture, by judges that saw
        neither the image nor its group), margin (-1..1, below 0 if the probability speaks against the label),
        trained_on (whether a network learned from the label), suspect (whether the label is).

    Raises:
        SuspectLabelsError: A class has fewer images, or groups, than there are folds.
    """
    shared = set(labels).intersection(*(network.ids for network in features))
    ids = [image_id for image_id in features[0].ids if image_id in shared]
    rows = [[place for place, image_id in enumerate(network.ids) if image_id in shared] for network in features]
    truth = np.array([labels[image_id] for image_id in ids])
    names = np.array([min(groups.get(image_id, (image_id,))) for image_id in ids])
    trained = np.array([image_id in trained_on for image_id in ids], bool)
    middle = np.concatenate([network.appearance[row] for network, row in zip(features, rows, strict=True)], axis=1)
    answers = np.stack([network.logit[row] for network, row in zip(features, rows, strict=True)], axis=1)
    probabilities = out_of_fold(components(middle), truth, names, strength=_MANY, progress=progress)
    if _enough(truth[~trained], names[~trained]):
        probabilities[~trained] = out_of_fold(answers[~trained], truth[~trained], names[~trained], strength=_FEW)
    suspect = np.zeros(len(ids), bool)
    for part in (trained, ~trained):  # judged in different ways, so each by thresholds of its own
        suspect[part] = confident_errors(truth[part], np.stack([1 - probabilities[part], probabilities[part]], 1))
    return pd.DataFrame(
        {
            "image_id": ids,
            "label": truth,
            "probability": probabilities,
            "margin": np.where(truth == 1, 1, -1) * (2 * probabilities - 1),
            "trained_on": trained,
            "suspect": suspect,
        }
    )


def most_suspect(judged: pd.DataFrame) -> pd.DataFrame:
    """Return the images with a suspect label, the most suspect first.

    Args:
        judged: What `judged_labels` returned.

    Returns:
        Its rows whose label is suspect, without that column.
    """
    return judged[judged["suspect"]].drop(columns="suspect").sort_values(["margin", "image_id"], ignore_index=True)


def components(features: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the strongest principal components of standardised features, each of variance 1.

    Args:
        features: (n, C).

    Returns:
        (n, c), with c at most 150.
    """
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler

    scaled = StandardScaler().fit_transform(features.astype(np.float64))
    count = min(_COMPONENTS, len(features) - 1, features.shape[1])
    solver = "randomized" if count < min(features.shape) // 2 else "full"
    pca = PCA(count, whiten=True, svd_solver=solver, random_state=0)
    return np.asarray(pca.fit_transform(scaled), np.float64)


def out_of_fold(
    features: NDArray[np.floating],
    labels: ArrayLike,
    groups: ArrayLike,
    *,
    strength: float = 1.0,
    repeats: int = REPEATS,
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.float64]:
    """Return the probability of a fracture of each image, by logistic regressions that did not see its group.

    Args:
        features: (n, c).
        labels: 0 or 1, (n,).
        groups: Name of each image's group of duplicates, (n,).
        strength: scikit-learn's C.
        repeats: How often the images are dealt into folds anew; the probabilities are means.
        progress: Called with folds done and folds in all.

    Returns:
        0..1, (n,).

    Raises:
        SuspectLabelsError: A class has fewer groups than there are folds.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold

    truth, names = np.asarray(labels), np.asarray(groups)
    if not _enough(truth, names):
        raise SuspectLabelsError(f"At least {FOLDS} images with a fracture and {FOLDS} without are needed.")
    total = np.zeros(len(truth))
    for seed in range(repeats):
        folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
        for fold, (others, own) in enumerate(folds.split(features, truth, names), 1):
            model = LogisticRegression(C=strength, max_iter=1000).fit(features[others], truth[others])
            total[own] += model.predict_proba(features[own])[:, 1]
            if progress:
                progress(seed * FOLDS + fold, repeats * FOLDS)
    return total / repeats


def _enough(labels: NDArray[np.integer], groups: NDArray[np.str_]) -> bool:
    """Return whether each class has groups enough for every fold to hold one and leave one."""
    return all(len(np.unique(groups[labels == kind])) >= FOLDS for kind in (0, 1))


def confident_errors(labels: ArrayLike, probabilities: ArrayLike) -> NDArray[np.bool_]:
    """Return which images are counted off the diagonal of the confident joint and not likelier to be as labelled, (n,).

    An image counts for the class whose probability is at or above that class's threshold, the mean probability that
    images of the class get for it; of several such classes for the likeliest. Where a class's threshold is below one
    half, as a rare class's may be, an image can count for it and yet be likelier of the class that its label says:
    nothing contradicts that label.

    Args:
        labels: The given labels, 0 or 1, (n,).
        probabilities: Out-of-fold probabilities of both classes, (n, 2).

    Returns:
        Whether each image's label is suspect, (n,).
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities, np.float64)
    thresholds = np.array([probabilities[labels == k, k].mean() if (labels == k).any() else np.inf for k in (0, 1)])
    above = probabilities >= thresholds - _TOLERANCE
    likeliest = np.where(above, probabilities, -1).argmax(axis=1)
    given = np.take_along_axis(probabilities, labels[:, None], axis=1)[:, 0]
    contradicted = given + _TOLERANCE < 1 - given
    return np.asarray(above.any(axis=1) & (likeliest != labels) & contradicted)

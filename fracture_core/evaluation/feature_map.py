"""Map all radiographs in two dimensions by the network's features: images that it finds alike lie close together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from fracture_core.evaluation.image_features import features_key, image_features
from fracture_core.files import atomic_write
from fracture_core.paths import cache_folder

if TYPE_CHECKING:
    from fracture_core.inference.scorer import Scorer

METHODS = ("t-SNE", "PCA")
_COMPONENTS, _NEIGHBOURS = 50, 8


@dataclass(frozen=True, eq=False)
class FeatureMap:
    """Features of images, and where each lies on the map of each method.

    Attributes:
        ids: The images, (n,).
        components: Principal components of their features, (n, c), the strongest first.
        places: By method, (n, 2).
        centre: What is subtracted from features before `axes`, (C,).
        axes: Principal axes, (c, C).
    """

    ids: tuple[str, ...]
    components: NDArray[np.float64]
    places: Mapping[str, NDArray[np.float64]]
    centre: NDArray[np.float64]
    axes: NDArray[np.float64]

    def place(self, features: NDArray[np.floating], method: str) -> NDArray[np.float64]:
        """Place another image on the map: with t-SNE, amid the images whose features are nearest.

        Args:
            features: The image's features, (C,).
            method: One of METHODS.

        Returns:
            x and y, float64 (2,).
        """
        components = (np.asarray(features, np.float64) - self.centre) @ self.axes.T
        if method == "PCA":
            return np.asarray(components[:2])
        distances = np.linalg.norm(self.components - components, axis=1)
        nearest = np.argsort(distances, kind="stable")[: min(_NEIGHBOURS, len(distances))]
        return np.asarray(np.median(self.places[method][nearest], axis=0))


def feature_map(
    scorer: Scorer,
    version: str,
    paths: Mapping[str, Path],
    *,
    progress: Callable[[int, int], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> FeatureMap | None:
    """Compute the map of the images, or load the one an earlier call saved.

    Args:
        scorer: The network; an image that it cannot read is left out.
        version: Of the model, so that another one gets a map of its own.
        paths: The images' files by id.
        progress: Called with images done and images in all; when they are equal, the images are being arranged.
        stop: Asked before each batch.

    Returns:
        The map; None if it was told to stop.
    """
    file = _file(version, paths)
    saved = _load(file)
    if saved is None:
        features = image_features(scorer, version, paths, progress=progress, stop=stop)
        if features is None or stop():
            return None
        saved = _project(features.ids, features.embedding.astype(np.float64))
        _save(file, saved)
    return saved


def _project(ids: Sequence[str], features: NDArray[np.float64]) -> FeatureMap:
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    pca = PCA(min(_COMPONENTS, *features.shape), random_state=0).fit(features)
    components = pca.transform(features)
    perplexity = min(30.0, max((len(ids) - 1) / 3, 1.0))
    near = TSNE(2, perplexity=perplexity, init="pca", random_state=0).fit_transform(components)
    places = {"t-SNE": np.asarray(near, np.float64), "PCA": components[:, :2]}
    return FeatureMap(ids=tuple(ids), components=components, places=places, centre=pca.mean_, axes=pca.components_)


def is_stored(version: str, paths: Mapping[str, Path]) -> bool:
    """Return whether an earlier call saved the map of these images, so that it is available at once.

    Args:
        version: Of the model.
        paths: The images' files by id.

    Returns:
        Whether its file exists.
    """
    return _file(version, paths).is_file()


def _file(version: str, paths: Mapping[str, Path]) -> Path:
    return cache_folder() / "maps" / f"{features_key(version, paths)}.npz"


def _save(file: Path, feature_map: FeatureMap) -> None:
    """Keep a map; a cache that cannot be written costs only time."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(file) as temporary:
            np.savez_compressed(
                temporary,
                ids=np.array(feature_map.ids),
                components=feature_map.components.astype(np.float32),
                tsne=feature_map.places["t-SNE"],
                centre=feature_map.centre,
                axes=feature_map.axes,
            )
    except OSError:
        return


def _load(file: Path) -> FeatureMap | None:
    try:
        with np.load(file, allow_pickle=False) as data:
            components = data["components"].astype(np.float64)
            return FeatureMap(
                ids=tuple(data["ids"].tolist()),
                components=components,
                places={"t-SNE": data["tsne"], "PCA": components[:, :2]},
                centre=data["centre"],
                axes=data["axes"],
            )
    except (OSError, ValueError, KeyError, BadZipFile):
        return None

"""A bundle: one folder under models/ with a finished network and everything that is known about it.

    bundle.json             format, name, when and how it was created, temperature, SHA-256 of every file below
    network.json            the graph, as data
    weights.safetensors     half precision
    recipe.json             every setting of its training
    predictions.csv         image_id, split, label, logit and the dataset's columns, for val and test
    operating_points.json   the thresholds chosen on val
    features.safetensors    scope, familiarity and image attributes, fitted on the network's features
    history.csv  card.md
    chosen_points.json      operating points that users saved later; not published, so not hashed

Nothing in a bundle is code or a pickle. Every file is checked against its hash each time it is read.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError

from fracture_core.bundle.display_levels import DisplayLevels
from fracture_core.bundle.image_attributes import AttributeClassifier
from fracture_core.bundle.manifest import read_manifest
from fracture_core.bundle.out_of_distribution import MIDDLE_MAP, Familiarity
from fracture_core.bundle.saved_points_file import change_points, read_points
from fracture_core.bundle.usual_ranges import UsualRanges
from fracture_core.bundle.validation import (
    BundleError,
    parse_arrays,
    read_file,
)
from fracture_core.metrics.confusion import sigmoid
from fracture_core.metrics.operating_points import OperatingPoint
from fracture_core.network.graph import Graph
from fracture_core.network.weights import Weights
from fracture_core.recipe import Recipe

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Bundle:
    """A verified bundle. Small files are read when it is loaded, the weights when they are asked for."""

    name: str
    folder: Path
    manifest: Mapping[str, Any]
    graph: Graph
    recipe: Recipe
    points: Mapping[str, OperatingPoint]
    card: str
    _features: Mapping[str, np.ndarray] = field(repr=False)
    validation_hits: Mapping[str, int] = field(default_factory=dict, repr=False)

    @property
    def temperature(self) -> float:
        """What logits are divided by before the sigmoid; fitted on val."""
        return float(self.manifest["temperature"])

    @property
    def created(self) -> str:
        """When it was created, ISO 8601."""
        return str(self.manifest["created"])

    @property
    def sha256(self) -> str:
        """SHA-256 (hex) of the list of its files' hashes, which identifies the whole bundle."""
        return _digest(self.manifest["files"])

    @property
    def test_digest(self) -> str:
        """SHA-256 (hex) of the ids of its test images."""
        table = self.predictions()
        return digest_of_ids(table.loc[table["split"] == "test", "image_id"])

    @property
    def version(self) -> str:
        """Name and the first digits of its hash, for reports."""
        return f"{self.name} {self.sha256[:12]}"

    @cached_property
    def familiarity(self) -> Familiarity:
        """Judges whether an image looks like those it was trained on."""
        return Familiarity.from_arrays(self._features)

    @cached_property
    def usual_ranges(self) -> UsualRanges | None:
        """What is usual among its own radiographs' grey values; None if they show no limbs."""
        return UsualRanges.from_arrays(self._features)

    @cached_property
    def levels(self) -> DisplayLevels:
        """The evidence at which heatmaps have full colour and boxes are drawn."""
        return DisplayLevels.from_arrays(self._features)

    @property
    def monitored_features(self) -> np.ndarray:
        """`Familiarity.monitored` of the validation films, float (n, K); (0, 0) for a bundle that was made without."""
        return self._features.get("monitoring/validation", np.empty((0, 0), np.float32))

    @property
    def external_validation(self) -> Mapping[str, Any]:
        """Metrics on films from other sources, by name; empty if nothing was measured."""
        measured = self.manifest.get("provenance", {}).get("elsewhere", {})
        return measured if isinstance(measured, Mapping) else {}

    @cached_property
    def traits(self) -> AttributeClassifier:
        """Predicts hardware, several views and the body part from its features."""
        return AttributeClassifier.from_arrays(self._features)

    def weights(self) -> Weights:
        """Return the network's weights.

        Returns:
            float32 arrays by key, `LAYER/VARIABLE`, in the layout of Keras.

        Raises:
            BundleError: The file cannot be read, or the image attributes were fitted on another network's features.
            GraphError: The weights do not fit the graph.
        """
        try:
            arrays = parse_arrays(self._read("weights.safetensors"))
        except (ValueError, TypeError, SafetensorError) as error:
            raise BundleError(f"The bundle {self.name!r} is damaged: its weights cannot be read.") from error
        weights = {key: array.astype(np.float32) for key, array in arrays.items()}
        self.graph.check_weights(weights)
        kernel = weights.get("global_logit/kernel", np.empty(0))
        if kernel.ndim != 2 or kernel.shape[1] != 1 or not self.traits.fit(len(kernel)):
            raise BundleError(f"The bundle {self.name!r} is inconsistent: its features belong to another network.")
        return weights

    def check_features(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Check that the features of this bundle were fitted on a network with such outputs.

        Args:
            shapes: Shape by output name; the last axis counts the channels.

        Raises:
            BundleError: They were fitted on another network.
        """
        channels = 2 * shapes[MIDDLE_MAP][-1] if MIDDLE_MAP in shapes else shapes["embedding"][-1]
        if self.familiarity.mean.shape != (channels,):
            raise BundleError(f"The bundle {self.name!r} is inconsistent: its features belong to another network.")

    def probability(self, logit: float | np.ndarray) -> float | np.ndarray:
        """Calibrate a logit: sigmoid(logit / temperature).

        Args:
            logit: The network's output, a number or any shape.

        Returns:
            Probability of a fracture, 0 to 1, in the shape of `logit`.
        """
        return sigmoid(np.asarray(logit, np.float64) / self.temperature)

    def predictions(self) -> pd.DataFrame:
        """Return the predictions on the validation and test images, a copy.

        Returns:
            One row per image: image_id, split, label (0, 1), logit, probability (0 to 1), and the dataset's columns.
        """
        return self._predictions.copy()

    @cached_property
    def _predictions(self) -> pd.DataFrame:
        import pandas as pd  # costs a third of a second, and diagnosing needs none of it

        table = pd.read_csv(
            io.BytesIO(self._read("predictions.csv")), dtype={"image_id": str, "split": str, "film": str}
        )
        table["probability"] = self.probability(table["logit"].to_numpy())
        return table

    @cached_property
    def splits(self) -> Mapping[str, str]:
        """The split, "val" or "test", of every image that the predictions hold, by image id."""
        return {row["image_id"]: row["split"] for row in self._rows}

    @cached_property
    def test_scores(self) -> tuple[np.ndarray, np.ndarray]:
        """The test images' labels, int (n,), 0 or 1, and probabilities, float (n,), 0 to 1."""
        rows = [row for row in self._rows if row["split"] == "test"]
        logits = np.array([float(row["logit"]) for row in rows])
        return np.array([int(row["label"]) for row in rows]), np.asarray(self.probability(logits))

    @cached_property
    def _rows(self) -> list[dict[str, str]]:
        # Without pandas: a page is on screen, and a finding explained, before it would have been imported.
        return list(csv.DictReader(io.StringIO(self._read("predictions.csv").decode("utf-8"))))

    def history(self) -> pd.DataFrame:
        """Return the training history.

        Returns:
            One row per epoch or step, with the columns of history.csv.
        """
        import pandas as pd

        return pd.read_csv(io.BytesIO(self._read("history.csv")))

    def chosen_points(self) -> list[OperatingPoint]:
        """Return the operating points that users saved.

        Returns:
            The points, oldest first.

        Raises:
            BundleError: Their file is damaged.
        """
        return read_points(self.folder, self.name)

    def save_point(self, *points: OperatingPoint) -> None:
        """Add points to the saved ones, all or none, atomically; earlier ones stay.

        Others who save at the same moment, in this program or another, wait.

        Args:
            *points: The points to add.

        Raises:
            BundleError: A name is taken, or the folder cannot be written.
        """

        def add(saved: list[OperatingPoint]) -> list[OperatingPoint]:
            for point in points:
                if point.name in {p.name for p in saved} | set(self.points):
                    raise BundleError(f"There is already an operating point named {point.name!r}; choose another name.")
                saved.append(point)
            return saved

        self.change_points(add)

    def change_points(self, change: Callable[[list[OperatingPoint]], list[OperatingPoint]]) -> None:
        """Replace the saved points by what a function returns, atomically.

        Args:
            change: Gets the saved points, oldest first, and returns those to save; what it raises leaves the file as it
                is.

        Raises:
            BundleError: The file is damaged, the folder cannot be written, or another bundle has taken its place.
        """

        def checked(saved: list[OperatingPoint]) -> list[OperatingPoint]:
            if read_manifest(self.folder)["files"] != self.manifest["files"]:
                raise BundleError(
                    f"The model {self.name} was replaced meanwhile, so nothing was changed. Reload the page to see the "
                    "new one."
                )
            return change(saved)

        change_points(self.folder, self.name, checked)

    def _read(self, file: str) -> bytes:
        return read_file(self.folder, file, sha256=self.manifest["files"][file])


def _digest(hashes: Mapping[str, str]) -> str:
    return hashlib.sha256("\n".join(f"{name} {value}" for name, value in sorted(hashes.items())).encode()).hexdigest()


def digest_of_ids(ids: Iterable[str]) -> str:
    """Return what names a set of images, whatever their order.

    Args:
        ids: Ids of the images.

    Returns:
        SHA-256, hex.
    """
    return hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest()

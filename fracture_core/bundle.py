"""A bundle: one folder under models/ that holds a finished network and all that is known of it.

    bundle.json             format, name, when and how it was made, temperature, SHA-256 of every file below
    network.json            the graph, as data
    weights.safetensors     half precision
    recipe.json             every choice of its training
    predictions.csv         image_id, split, label, logit and the dataset's columns, for val and test
    operating_points.json   the thresholds chosen on val
    features.safetensors    what is familiar, and the traits, in the network's own features
    history.csv  card.md
    chosen_points.json      points that a user saved later; not part of what was published, so not hashed

Nothing in a bundle is code or a pickle. A bundle is read only when every hash fits.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from fracture_core.errors import FractureCoreError
from fracture_core.familiarity import Familiarity
from fracture_core.graph import Graph
from fracture_core.metrics import sigmoid
from fracture_core.operating_points import OperatingPoint
from fracture_core.recipe import Recipe
from fracture_core.storage import write_text
from fracture_core.traits import Traits
from fracture_core.weights import Weights, load_weights

if TYPE_CHECKING:
    import pandas as pd

FORMAT = 1
#: Where bundles live: FRACTURE_MODELS_DIR, else models/ beside the package.
MODELS = Path(os.environ.get("FRACTURE_MODELS_DIR") or Path(__file__).resolve().parents[1] / "models")
DEFAULT_BUNDLE = "densenet121-fracatlas"
FILES = (
    "network.json",
    "weights.safetensors",
    "recipe.json",
    "predictions.csv",
    "operating_points.json",
    "features.safetensors",
    "history.csv",
    "card.md",
)
_MOST_BYTES = 256 * 2**20
#: Two sessions of one server that save at once must not lose each other's points.
_saving = threading.Lock()
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class BundleError(FractureCoreError):
    """A bundle that is missing, damaged, altered, or made by a newer version of the program."""


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

    @property
    def temperature(self) -> float:
        """What logits are divided by before the sigmoid; fitted on val."""
        return float(self.manifest["temperature"])

    @property
    def created(self) -> str:
        """When it was made, ISO 8601."""
        return str(self.manifest["created"])

    @property
    def sha256(self) -> str:
        """SHA-256 (hex) of the list of its files' hashes: one figure that names the whole bundle."""
        return _digest(self.manifest["files"])

    @property
    def version(self) -> str:
        """Name and the first digits of its hash, for reports."""
        return f"{self.name} {self.sha256[:12]}"

    @cached_property
    def familiarity(self) -> Familiarity:
        """What pictures look like those it was trained on."""
        return Familiarity.from_arrays(self._features)

    @cached_property
    def traits(self) -> Traits:
        """What else its features tell of a radiograph."""
        return Traits.from_arrays(self._features)

    def weights(self) -> Weights:
        """Read the weights, float32; raise GraphError where they do not fit the graph."""
        weights = load_weights(self.folder / "weights.safetensors")
        self.graph.check_weights(weights)
        return weights

    def probability(self, logit: float | np.ndarray) -> float | np.ndarray:
        """Calibrate: sigmoid(logit / temperature)."""
        return sigmoid(np.asarray(logit, np.float64) / self.temperature)

    def predictions(self) -> pd.DataFrame:
        """Every val and test image: image_id, split, label, logit, probability, and the dataset's columns."""
        import pandas as pd  # costs a third of a second, and diagnosing needs none of it

        table = pd.read_csv(self.folder / "predictions.csv", dtype={"image_id": str, "split": str})
        table["probability"] = self.probability(table["logit"].to_numpy())
        return table

    def history(self) -> pd.DataFrame:
        """How training went, a row an epoch or a step."""
        import pandas as pd

        return pd.read_csv(self.folder / "history.csv")

    def chosen_points(self) -> list[OperatingPoint]:
        """The points users saved, oldest first; raise BundleError where their file is damaged."""
        path = self.folder / "chosen_points.json"
        if not path.exists():
            return []
        try:
            return [OperatingPoint.from_dict(entry) for entry in json.loads(path.read_text("utf-8"))]
        except (OSError, ValueError, TypeError, FractureCoreError) as error:
            raise BundleError(
                f"The saved operating points of {self.name} cannot be read; delete {path.name}."
            ) from error

    def save_point(self, *points: OperatingPoint) -> None:
        """Add points to the saved ones, all or none, in one atomic step; earlier ones stay.

        Raise BundleError on a taken name, and where the folder cannot be written.
        """
        with _saving:
            saved = self.chosen_points()
            for point in points:
                if point.name in {p.name for p in saved} | set(self.points):
                    raise BundleError(f"There is already an operating point named {point.name!r}; choose another name.")
                saved.append(point)
            text = json.dumps([p.to_dict() for p in saved], indent=1) + "\n"
            try:
                write_text(self.folder / "chosen_points.json", text)
            except OSError as error:
                raise BundleError(f"The point cannot be saved beside {self.name} ({error.strerror}).") from error


def check_name(name: str) -> str:
    """Give the name back, or raise BundleError where it could not be a folder of its own under models/."""
    if not _NAME.fullmatch(name) or ".." in name:
        raise BundleError(f"{name[:100]!r} cannot name a bundle; use letters, digits, dots and hyphens.")
    return name


def list_bundles(root: Path = MODELS) -> list[str]:
    """Names of the bundles under `root`, the default one first."""
    names = sorted(p.parent.name for p in Path(root).glob("*/bundle.json") if _NAME.fullmatch(p.parent.name))
    return sorted(names, key=lambda name: name != DEFAULT_BUNDLE)


def load_bundle(name: str = DEFAULT_BUNDLE, root: Path = MODELS) -> Bundle:
    """Read and verify a bundle; raise BundleError, with a sentence, on anything that is not as published."""
    folder = Path(root) / check_name(name)
    if not (folder / "bundle.json").is_file():
        known = ", ".join(list_bundles(root)) or "none"
        raise BundleError(f"There is no bundle {name!r} in {Path(root).name}/; there is: {known}.")
    manifest = _manifest(folder)
    verify(folder, manifest)
    try:
        graph = Graph.from_json(json.loads((folder / "network.json").read_text("utf-8")))
        recipe = Recipe.from_json(json.loads((folder / "recipe.json").read_text("utf-8")))
        points = json.loads((folder / "operating_points.json").read_text("utf-8"))
        points = {key: OperatingPoint.from_dict(entry) for key, entry in points.items()}
        if missing := {"rule_out", "single", "rule_in"} - set(points):
            raise BundleError(f"The bundle {name!r} lacks the operating point {sorted(missing)[0]!r}.")
        card = (folder / "card.md").read_text("utf-8")
        features = load_file(folder / "features.safetensors")
    except (OSError, ValueError, AttributeError, TypeError, SafetensorError) as error:
        raise BundleError(f"The bundle {name!r} is damaged ({error}).") from error
    return Bundle(name, folder, manifest, graph, recipe, points, card, features)


def verify(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Raise BundleError unless every file is there with the hash that the manifest says."""
    for file in FILES:
        path = folder / file
        if path.is_symlink() or not path.is_file():
            raise BundleError(f"The bundle {folder.name!r} is incomplete: {file} is missing.")
        if path.stat().st_size > _MOST_BYTES:
            raise BundleError(f"The bundle {folder.name!r} is damaged: {file} is far too large.")
        if hashlib.sha256(path.read_bytes()).hexdigest() != manifest["files"].get(file):
            raise BundleError(f"The bundle {folder.name!r} was altered or damaged: {file} is not as published.")


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((folder / "bundle.json").read_text("utf-8"))
        version, files, temperature = manifest["format"], dict(manifest["files"]), float(manifest["temperature"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"The bundle {folder.name!r} is damaged: bundle.json cannot be read.") from error
    if version != FORMAT:
        raise BundleError(
            f"The bundle {folder.name!r} has format {version!r}; this version of the program reads format {FORMAT}."
        )
    if not (0.01 <= temperature <= 100) or manifest.get("created") is None:
        raise BundleError(f"The bundle {folder.name!r} is damaged: its temperature or date makes no sense.")
    return manifest | {"files": files}


def seal(folder: Path, *, temperature: float, created: str, provenance: Mapping[str, Any]) -> None:
    """Write bundle.json for a folder that holds every other file; until then the folder is no bundle."""
    hashes = {file: hashlib.sha256((folder / file).read_bytes()).hexdigest() for file in FILES}
    manifest = {
        "format": FORMAT,
        "created": created,
        "temperature": temperature,
        "provenance": dict(provenance),
        "files": hashes,
    }
    write_text(folder / "bundle.json", json.dumps(manifest, indent=1) + "\n")


def publish(folder: Path, name: str, root: Path = MODELS) -> Path:
    """Move a sealed folder to root/name in one rename; an earlier bundle of that name is kept as name.1, .2 …"""
    target = Path(root) / check_name(name)
    verify(folder, _manifest(folder))
    if target.exists():
        number = 1
        while (kept := target.with_name(f"{name}.{number}")).exists():
            number += 1
        target.rename(kept)
    return folder.replace(target)


def _digest(hashes: Mapping[str, str]) -> str:
    return hashlib.sha256("\n".join(f"{name} {value}" for name, value in sorted(hashes.items())).encode()).hexdigest()

"""Initial weights of a training run: ImageNet, a bundle, a file, or random."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from fracture_core.bundle.loading import DEFAULT_BUNDLE, load_bundle
from fracture_core.errors import FractureCoreError
from fracture_core.network.backbones import application, reset_layer_names
from fracture_core.network.efficientnet_lite import PublishedWeightsError
from fracture_core.network.weights import Weights, load_weights, set_weights, weights_of
from fracture_core.paths import expand_user_path
from fracture_core.recipe import Recipe

_DOWNLOAD_TIMEOUT_S = 30


class StartingWeightsError(FractureCoreError):
    """Initial weights that are not available, cannot be read, or belong to another network."""


@dataclass(frozen=True)
class InitialWeights:
    """What a run started from: the recipe's setting, and what of it was used.

    `sha256` is of the file, of the bundle's list of hashes, or of the ImageNet arrays; None if nothing was read.
    `split` is the digest of the split that a bundle was trained on, if known, `test` that of the test images it was
    scored on.
    """

    source: str
    sha256: str | None
    loaded: int  # arrays
    left: tuple[str, ...]  # keys of the network that keep their random values
    split: str | None = None
    test: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain data for the run's record.

        Returns:
            One entry per field.
        """
        return {
            "source": self.source,
            "sha256": self.sha256,
            "loaded": self.loaded,
            "left_random": list(self.left),
            "split": self.split,
            "test": self.test,
        }


def start_from(model: keras.Model, recipe: Recipe) -> InitialWeights:
    """Load the recipe's initial weights into its freshly built model.

    "none" leaves the random ones; "imagenet" downloads those of keras.applications (or takes them from its cache);
    "bundle:NAME" takes backbone and heads, each where it fits; a path takes a `.safetensors` file of ours or a `.h5`
    file that `keras.applications` accepts with `include_top=False`.

    Args:
        model: The network, changed in place.
        recipe: The run's recipe.

    Returns:
        What was loaded.

    Raises:
        StartingWeightsError: They are not available or do not fit; the message says what to do, and the model is
            unchanged.
    """
    if recipe.start == "none":
        return InitialWeights("none", None, 0, ())
    weights, sha256, split = read_start(recipe)
    fresh = weights_of(model)
    left = set_weights(model, weights, partly=True)
    backbone = [key for key in fresh if not _is_head(key)]
    if missing := set(left) & set(backbone):
        set_weights(model, fresh)
        raise StartingWeightsError(
            f"The starting weights {recipe.start!r} are not those of a {recipe.backbone}: "
            f"{len(missing)} of its {len(backbone)} arrays are missing or have another shape."
        )
    name = recipe.start.removeprefix("bundle:")
    test = None if name == recipe.start else load_bundle(name).test_digest
    return InitialWeights(recipe.start, sha256, len(fresh) - len(left), tuple(left), split, test)


def _is_head(key: str) -> bool:
    return key.startswith(("global_logit/", "local_logit/", "cells"))


def read_start(recipe: Recipe) -> tuple[Weights, str, str | None]:
    """Read the recipe's initial weights.

    Args:
        recipe: The run's recipe.

    Returns:
        The weights, their SHA-256, and the digest of the split they were trained on, if known.

    Raises:
        StartingWeightsError: They are not available or cannot be read.
    """
    if recipe.start == "imagenet":
        return *_imagenet(recipe), None
    if recipe.start.startswith("bundle:"):
        try:
            bundle = load_bundle(recipe.start.removeprefix("bundle:"))
            return bundle.weights(), bundle.sha256, bundle.manifest.get("provenance", {}).get("split")
        except FractureCoreError as error:
            raise StartingWeightsError(f"The run cannot start from {recipe.start!r}: {error}") from error
    path = expand_user_path(recipe.start)
    if not path.is_file():
        raise StartingWeightsError(
            f"Unknown starting weights {recipe.start!r}: use imagenet, none, bundle:NAME, "
            "or the path of a .weights.h5 or .safetensors file."
        )
    if path.suffix == ".safetensors":
        try:
            return load_weights(path), _sha256(path), None
        except FractureCoreError as error:
            raise StartingWeightsError(str(error)) from error
    return _keras_file(path, recipe), _sha256(path), None


def _keras_file(path: Path, recipe: Recipe) -> Weights:
    try:
        return weights_of(_application(recipe, str(path)))
    # Keras raises whatever its readers raise: ValueError, OSError, KeyError, TypeError and others.
    except Exception as error:
        raise StartingWeightsError(
            f"The file {path.name} does not hold the weights of a {recipe.backbone} without its top, "
            "as keras.applications saves them."
        ) from error


def _imagenet(recipe: Recipe) -> tuple[Weights, str]:
    try:
        with _socket_timeout(_DOWNLOAD_TIMEOUT_S):
            weights = weights_of(_application(recipe, "imagenet"))
    except PublishedWeightsError as error:
        raise StartingWeightsError(str(error)) from error
    # get_file raises a bare Exception if the network fails and a ValueError if the file is not as published.
    except Exception as error:
        raise StartingWeightsError(
            f"The ImageNet weights of {recipe.backbone} cannot be downloaded ({_first_line(error)}). Connect to the "
            f"internet and try again, or start from the shipped bundle (bundle:{DEFAULT_BUNDLE}), a weights file "
            "(its path), or random weights (none)."
        ) from error
    digest = hashlib.sha256()
    for key, array in weights.items():
        digest.update(key.encode() + array.tobytes())
    return weights, digest.hexdigest()


def _application(recipe: Recipe, weights: str) -> keras.Model:
    """Return the backbone with its weights; layer names are counted from zero, as in our own model."""
    reset_layer_names()
    return application(recipe.backbone)(include_top=False, weights=weights)


@contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    # get_file would otherwise wait for ever behind a firewall that drops packets.
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200].rstrip(".")


def _sha256(path: str | os.PathLike[str]) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

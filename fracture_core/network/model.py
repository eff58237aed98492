"""The network: a backbone from keras.applications in one flat functional graph, with its preprocessing inside.

The input is the letterboxed grey radiograph, 0..255, so that no caller can scale twice. The head of the recipe is one
of

- "cells": each cell of 8x8 pixels has a logit for lying on a fracture, and the image's logit is a smooth maximum of
  those. The same evidence gives the result and its location.
- "global": global average pooling and one dense unit; the optional localiser's cells, pooled, are added to it.
"""

from __future__ import annotations

from typing import Any

import keras

from fracture_core.network.backbones import BACKBONES, application, reset_layer_names
from fracture_core.recipe import Recipe

#: Pixels of the letterboxed image along one side of a localiser cell.
CELL = 8
#: Sharpness with which the head "cells" pools its cells into the image's logit.
SHARPNESS = 2.0


@keras.saving.register_keras_serializable(package="fracture_core")
class LogMeanExpPool(keras.layers.Layer):
    """Smooth maximum over a map: log(mean(exp(r x))) / r with sharpness r, (N, H, W, 1) -> (N, 1).

    Its gradient is a softmax of r x over the cells, so evidence in a few cells adds up, and that of many quiet
    background cells does not (Pinheiro and Collobert 2015). The greater the sharpness, the less the share of the image
    with evidence matters.
    """

    def __init__(self, sharpness: float = 1.0, **options: Any):
        super().__init__(**options)
        self.sharpness = float(sharpness)

    def get_config(self) -> dict:
        """Return the layer's configuration, as Keras asks for it.

        Returns:
            A dict from which Keras rebuilds the layer.
        """
        return {**super().get_config(), "sharpness": self.sharpness}

    def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """Pool a map.

        Args:
            x: Float tensor (N, H, W, 1).

        Returns:
            (N, 1).
        """
        _, height, width, _ = x.shape
        cells = keras.ops.reshape(keras.ops.cast(x, "float32"), (-1, height * width))
        summed = keras.ops.logsumexp(self.sharpness * cells, axis=1, keepdims=True)
        pooled = (summed - keras.ops.log(float(height * width))) / self.sharpness
        return keras.ops.cast(pooled, self.compute_dtype)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Return the shape of the output, (N, 1).

        Args:
            input_shape: (N, H, W, 1).

        Returns:
            (N, 1).
        """
        return (input_shape[0], 1)


def build_model(recipe: Recipe) -> keras.Model:
    """Build the untrained network of a recipe.

    Input: float32 (N, S, S, 1), 0..255. Outputs: `logit` (N, 1); `global_logit` (N, 1), the global head's share of it,
    or with the head "cells" only an auxiliary output for training; `embedding` (N, C), the pooled last map; `last_map`
    (N, S/32, S/32, C); and with a localiser `cells` (N, S/8, S/8, 1), logits. The weights are random: see
    `fracture_core.training.initial_weights`.

    Args:
        recipe: The run's recipe.

    Returns:
        The network, with a dict of outputs.

    Example:
        >>> model = build_model(Recipe(name="demo", image_size=64))
        >>> model(np.zeros((1, 64, 64, 1)))["logit"].shape
        TensorShape([1, 1])
    """
    reset_layer_names()
    backbone = BACKBONES[recipe.backbone]
    size = recipe.image_size
    radiograph = keras.Input((size, size, 1), name="radiograph")
    x = keras.layers.Concatenate(name="grey_to_three_channels")([radiograph] * 3)
    x = keras.layers.Rescaling(list(backbone.scale), list(backbone.offset), name="normalise")(x)
    trunk = application(recipe.backbone)(include_top=False, weights=None, input_tensor=x)
    last = trunk.get_layer(backbone.last).output
    embedding = keras.layers.GlobalAveragePooling2D(name="embedding")(last)
    dropped = keras.layers.Dropout(recipe.dropout, seed=recipe.seed, name="dropout")(embedding)
    global_logit = keras.layers.Dense(1, name="global_logit", dtype="float32")(dropped)
    outputs = {"global_logit": global_logit, "embedding": embedding, "last_map": last}
    if recipe.head == "cells":
        fine, middle = (trunk.get_layer(name).output for name in (backbone.fine, backbone.middle))
        outputs["cells"] = cells = _evidence_cells(fine, middle, last, recipe.localiser)
        pooled = LogMeanExpPool(SHARPNESS, name="pooled_cells", dtype="float32")(cells)
        # Cells start at a logit of -5; the image starts near even odds.
        even = keras.initializers.Constant(4.0)
        answer = keras.layers.Dense(
            1, kernel_initializer="ones", bias_initializer=even, name="local_logit", dtype="float32"
        )
        outputs["logit"] = answer(pooled)
    elif recipe.localiser:
        cells = _localiser(trunk.get_layer(backbone.middle).output, last, recipe.localiser)
        pooled = LogMeanExpPool(name="pooled_cells", dtype="float32")(cells)
        share = keras.layers.Dense(1, use_bias=False, kernel_initializer="ones", name="local_logit", dtype="float32")
        outputs["cells"] = cells
        outputs["logit"] = keras.layers.Add(name="logit", dtype="float32")([global_logit, share(pooled)])
    else:
        outputs["logit"] = global_logit
    return keras.Model(radiograph, outputs, name=recipe.backbone.replace("-", "_"))


def _localiser(middle: keras.KerasTensor, last: keras.KerasTensor, channels: int) -> keras.KerasTensor:
    """Return cell logits (N, S/8, S/8, 1) from the maps of stride 16 and 32 (a two-level feature pyramid)."""
    coarse = keras.layers.Conv2D(channels, 1, name="cells_coarse")(last)
    coarse = keras.layers.UpSampling2D(2, name="cells_upsample")(coarse)
    fine = keras.layers.Conv2D(channels, 1, name="cells_fine")(middle)
    x = keras.layers.Add(name="cells_add")([coarse, fine])
    x = keras.layers.Activation("relu", name="cells_add_relu")(x)
    x = keras.layers.Conv2D(channels, 3, padding="same", activation="relu", name="cells_mix")(x)
    x = keras.layers.Conv2DTranspose(channels // 4, 2, strides=2, activation="relu", name="cells_split")(x)
    # Nearly all cells lie beside a fracture: starting at that rate spares the first epochs (Lin et al. 2017).
    rare = keras.initializers.Constant(-5.0)
    return keras.layers.Conv2D(1, 1, bias_initializer=rare, name="cells", dtype="float32")(x)


def _evidence_cells(
    fine: keras.KerasTensor, middle: keras.KerasTensor, last: keras.KerasTensor, channels: int
) -> keras.KerasTensor:
    """Return cell logits (N, S/8, S/8, 1) from the maps of stride 8, 16 and 32 and the pooled last map.

    `cells_mix`, the last map before the logits, has the resolution of the cells, and only one 1x1 convolution lies
    between the two: a cell's logit is a weighted sum of its channels, and the image's logit a smooth maximum of those.
    """
    coarse = keras.layers.Conv2D(channels, 1, name="cells_coarse")(last)
    whole = keras.layers.GlobalAveragePooling2D(keepdims=True, name="cells_context_pool")(last)
    context = keras.layers.Conv2D(channels, 1, name="cells_context")(whole)
    coarse = keras.layers.Add(name="cells_context_add")([coarse, context])
    coarse = keras.layers.UpSampling2D(2, name="cells_upsample")(coarse)
    x = keras.layers.Add(name="cells_add")([coarse, keras.layers.Conv2D(channels, 1, name="cells_fine")(middle)])
    x = keras.layers.Activation("relu", name="cells_add_relu")(x)
    x = keras.layers.Conv2D(channels, 3, padding="same", activation="relu", name="cells_blend")(x)
    x = keras.layers.Conv2D(channels // 2, 1, name="cells_narrow")(x)
    x = keras.layers.UpSampling2D(2, name="cells_upsample_fine")(x)
    x = keras.layers.Add(name="cells_fine_add")([x, keras.layers.Conv2D(channels // 2, 1, name="cells_finest")(fine)])
    x = keras.layers.Activation("relu", name="cells_fine_add_relu")(x)
    x = keras.layers.Conv2D(channels // 2, 3, padding="same", activation="relu", name="cells_mix")(x)
    rare = keras.initializers.Constant(-5.0)
    return keras.layers.Conv2D(1, 1, bias_initializer=rare, name="cells", dtype="float32")(x)


def train_last_blocks(model: keras.Model, recipe: Recipe) -> None:
    """Freeze everything but the heads and the recipe's last `trainable_blocks` blocks; None freezes nothing.

    Frozen batch normalisation uses its stored statistics, as Keras defines it, so what is frozen computes the same
    function at every step.

    Args:
        model: The network, changed in place.
        recipe: The run's recipe.
    """
    if recipe.trainable_blocks is None or recipe.trainable_blocks > len(BACKBONES[recipe.backbone].stages):
        return
    names = [layer.name for layer in model.layers]
    first = names.index(_first_trainable(names, recipe))
    own = ("embedding", "dropout", "global_logit", "local_logit", "logit", "pooled_cells")
    for position, layer in enumerate(model.layers):
        layer.trainable = position >= first or layer.name in own or layer.name.startswith("cells")


def _first_trainable(names: list[str], recipe: Recipe) -> str:
    """Return the layer at which training starts; a share of the last block is rounded to its parts, at least one."""
    backbone, blocks = BACKBONES[recipe.backbone], recipe.trainable_blocks
    if not blocks:
        return "embedding"
    if blocks >= 1:
        return backbone.stages[-int(blocks)]
    units = [name for name in backbone.units if name in names]
    return units[-max(1, round(blocks * len(units)))]

"""The backbones that a recipe can choose, as keras.applications builds them, and their preprocessing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import keras
from keras.src.utils.naming import reset_uids

from fracture_core.network.efficientnet_lite import efficientnet_lite2

_MEAN = (0.485, 0.456, 0.406)


_DEVIATION = (0.229, 0.224, 0.225)


#: ImageNet channel statistics on 0..1, as DenseNet and EfficientNetV2-B0 were trained with.
_CHANNEL_STATISTICS: tuple[tuple[float, ...], tuple[float, ...]] = (
    tuple(1 / (255 * deviation) for deviation in _DEVIATION),
    tuple(-mean / deviation for mean, deviation in zip(_MEAN, _DEVIATION, strict=True)),
)


#: To -1..1, as ResNetV2 and Xception were trained with.
_SYMMETRIC = ((1 / 127.5,) * 3, (-1.0,) * 3)


@dataclass(frozen=True)
class Backbone:
    """Layers of one architecture that the heads and the training need.

    `fine`, `middle` and `last` name the layers whose outputs have stride 8, 16 and 32. `stages` lists the first layer
    of each block, from input to output; a block trains together with everything after it. `units` lists the same for
    the parts of the last block, so that a share of it can train.
    """

    application: str
    scale: tuple[float, ...]  # a value a colour channel
    offset: tuple[float, ...]
    fine: str
    middle: str
    last: str
    stages: tuple[str, ...]
    units: tuple[str, ...]


BACKBONES: dict[str, Backbone] = {
    "densenet121": Backbone(
        "DenseNet121",
        *_CHANNEL_STATISTICS,
        fine="pool3_relu",
        middle="pool4_relu",
        last="relu",
        stages=(
            "conv1_conv",
            "conv2_block1_0_bn",
            "conv3_block1_0_bn",
            "conv4_block1_0_bn",
            "conv5_block1_0_bn",
        ),
        units=tuple(f"conv5_block{n}_0_bn" for n in range(1, 17)),
    ),
    "resnet50v2": Backbone(
        "ResNet50V2",
        *_SYMMETRIC,
        fine="conv3_block4_preact_relu",
        middle="conv4_block6_preact_relu",
        last="post_relu",
        stages=(
            "conv1_conv",
            "conv2_block1_preact_bn",
            "conv3_block1_preact_bn",
            "conv4_block1_preact_bn",
            "conv5_block1_preact_bn",
        ),
        units=tuple(f"conv5_block{n}_preact_bn" for n in range(1, 4)),
    ),
    "efficientnetv2-b0": Backbone(
        "EfficientNetV2B0",
        *_CHANNEL_STATISTICS,
        fine="block3b_add",
        middle="block5e_add",
        last="top_activation",
        stages=(
            "stem_conv",
            "block1a_project_conv",
            "block2a_expand_conv",
            "block3a_expand_conv",
            "block4a_expand_conv",
            "block5a_expand_conv",
            "block6a_expand_conv",
        ),
        units=tuple(f"block6{n}_expand_conv" for n in "abcdefgh"),
    ),
    "efficientnet-lite2": Backbone(
        "EfficientNetLite2",
        (1 / 128,) * 3,
        (-127 / 128,) * 3,
        fine="block3c_add",
        middle="block5d_add",
        last="top_activation",
        stages=(
            "stem_conv",
            "block1a_dwconv",
            "block2a_expand_conv",
            "block3a_expand_conv",
            "block4a_expand_conv",
            "block5a_expand_conv",
            "block6a_expand_conv",
        ),
        units=(*(f"block6{n}_expand_conv" for n in "abcde"), "block7a_expand_conv"),
    ),
    "xception": Backbone(
        "Xception",
        *_SYMMETRIC,
        fine="block4_sepconv1_act",
        middle="block13_sepconv1_act",
        last="block14_sepconv2_act",
        stages=(
            "block1_conv1",
            "block2_sepconv1",
            "block4_sepconv1",
            "block5_sepconv1",
            "block9_sepconv1",
            "block13_sepconv1",
        ),
        units=("block13_sepconv1", "block14_sepconv1"),
    ),
}


def reset_layer_names() -> None:
    """Reset Keras' numbering of unnamed layers, because weights are found by layer names.

    Otherwise names count up over the whole process. Keras' public clear_session resets them too, but breaks the scope
    of a tf.distribute strategy.
    """
    reset_uids()


def application(name: str) -> Callable[..., keras.Model]:
    """Return the function that builds a backbone: `application(name)(include_top=False, weights=..., ...)`.

    Args:
        name: A backbone of the recipe.

    Returns:
        The function.
    """
    if name == "efficientnet-lite2":
        return efficientnet_lite2
    builder = getattr(keras.applications, BACKBONES[name].application)
    return partial(builder, include_preprocessing=False) if name == "efficientnetv2-b0" else builder

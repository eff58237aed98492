"""Names of models on screen: architecture and AUC."""

from __future__ import annotations

from fracture_core.bundle.bundle import Bundle
from fracture_core.metrics.curves import roc_auc

_ARCHITECTURES = {
    "densenet121": "DenseNet121",
    "efficientnet-lite2": "EfficientNet-Lite2",
    "efficientnetv2-b0": "EfficientNetV2-B0",
    "resnet50v2": "ResNet50V2",
    "xception": "Xception",
}


def architecture(backbone: str) -> str:
    """Return a backbone's name as its authors write it.

    Args:
        backbone: Name in the recipe.

    Returns:
        The name.
    """
    return _ARCHITECTURES.get(backbone, backbone)


def model_label(bundle: Bundle) -> str:
    """Return the architecture and the AUC on the test set, for example "DenseNet121, AUC 0.87".

    Args:
        bundle: The bundle.

    Returns:
        The label.
    """
    labels, probabilities = bundle.test_scores
    name = architecture(bundle.recipe.backbone)
    return f"{name}, AUC {roc_auc(labels, probabilities):.2f}" if len(set(labels)) == 2 else name

"""The front matter of a model card, in YAML as the Hugging Face Hub reads it: licence, task, data, measured figures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd

from fracture_core.metrics.confusion import confusion
from fracture_core.metrics.curves import average_precision, roc_auc

_RULE = "---"


def front_matter(name: str, backbone: str, dataset: str, test: pd.DataFrame, threshold: float) -> str:
    """Return the YAML block at the start of a card.

    Args:
        name: The model's name.
        backbone: Its network.
        dataset: Name of the dataset that it was trained and tested on.
        test: The test images: "label" 0/1 and calibrated "probability" 0..1.
        threshold: The single threshold chosen on validation, at which sensitivity and specificity are given.

    Returns:
        The block.
    """
    matrix = confusion(test["label"], test["probability"], threshold)
    figures = {
        "roc_auc": ("AUC", roc_auc(test["label"], test["probability"])),
        "average_precision": ("Average precision", average_precision(test["label"], test["probability"])),
        "sensitivity": (f"Sensitivity at {threshold:.3f}", matrix.sensitivity),
        "specificity": (f"Specificity at {threshold:.3f}", matrix.specificity),
    }
    lines = [
        _RULE,
        "license: mit",
        "library_name: keras",
        "pipeline_tag: image-classification",
        f"base_model: {json.dumps(backbone)}",
        f"datasets: [{json.dumps(dataset)}]",
        "tags: [medical-imaging, radiography, fracture-detection]",
        "model-index:",
        f"- name: {json.dumps(name)}",
        "  results:",
        "  - task: {type: image-classification, name: Fracture on a radiograph}",
        f"    dataset: {{name: {json.dumps(dataset)}, type: {json.dumps(dataset.lower())}, split: test}}",
        "    metrics:",
    ]
    lines += [
        f"    - {{type: {kind}, name: {json.dumps(title)}, value: {value:.4f}}}"
        for kind, (title, value) in figures.items()
        if value == value
    ]
    return "\n".join([*lines, _RULE, ""])


def without_front_matter(card: str) -> str:
    """Return a card's text without the YAML block at its beginning.

    Args:
        card: The card.

    Returns:
        The rest of the text.
    """
    if not card.startswith(_RULE + "\n"):
        return card
    _, _, rest = card[len(_RULE) :].partition(f"\n{_RULE}\n")
    return rest.lstrip("\n")


def sections(card: str) -> Mapping[str, str]:
    """Split a card into sections by heading ("## ...").

    Args:
        card: The card.

    Returns:
        The text by heading; what precedes the first heading is under "".
    """
    metadata: dict[str, Any] = {}
    heading = ""
    lines: list[str] = []
    for line in [*without_front_matter(card).splitlines(), "## "]:
        if line.startswith("## "):
            metadata[heading] = "\n".join(lines).strip()
            heading, lines = line.removeprefix("## ").strip(), []
        else:
            lines.append(line)
    return metadata

"""The summary of a model for its card: intended use, and models side by side."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from fracture_core.bundle.bundle import Bundle
from fracture_core.evaluation.predictions import Predictions
from fracture_core.metrics.formatting import estimate_text
from fracture_core.metrics.intervals import IntervalEstimate, wilson
from fracture_core.recipe import Recipe
from fracture_core.reporting.model_names import architecture
from fracture_core.training.recipe_fields import setting_label, setting_value

INTENDED_USE = (
    "Research and teaching: to see what a fracture model does with a radiograph, where it looks, and how often it is "
    "wrong.",
    "Single frontal, lateral or oblique radiographs of a hand, wrist, elbow, leg, foot, hip or shoulder.",
    "A second look by someone who reads the original radiograph as well.",
)
NOT_FOR = (
    "Diagnosis, or any decision about a patient. It is not a medical device.",
    "Chest, spine, skull, CT, MRI, ultrasound or photographs: these are not assessed.",
    "Ruling a fracture out. It misses fractures, and FracAtlas has few of the hip and shoulder.",
)


def headline(predictions: Predictions, threshold: float) -> dict[str, IntervalEstimate]:
    """Return the three main metrics of a model: AUC, sensitivity and specificity.

    Args:
        predictions: The predictions of one split.
        threshold: A calibrated probability.

    Returns:
        Estimates by name.
    """
    matrix = predictions.confusion(threshold)
    return {
        "AUC": predictions.auc,
        "Sensitivity": wilson(matrix.tp, matrix.positives),
        "Specificity": wilson(matrix.tn, matrix.negatives),
    }


def side_by_side(models: Mapping[str, tuple[Bundle, Predictions]]) -> dict[str, dict[str, str]]:
    """Return the properties and test results of several models.

    Args:
        models: Bundles and their test predictions by name.

    Returns:
        Text by model and by name of the metric.
    """
    columns = {}
    for name, (bundle, test) in models.items():
        point = bundle.points["single"]
        figures = {title: estimate_text(value) for title, value in headline(test, point.threshold).items()}
        columns[name] = {
            **figures,
            "Threshold": f"{point.threshold:.3f}",
            "Network": f"{architecture(bundle.recipe.backbone)}, {bundle.recipe.image_size} px",
            "Tested on": f"{len(test)} radiographs, {test.fractured} with a fracture",
        }
    return columns


def external_table(bundle: Bundle, test: Predictions) -> pd.DataFrame:
    """Tabulate what a model reaches on films of other sources beside what it reaches on its own test set.

    Args:
        bundle: The model.
        test: Its test predictions.

    Returns:
        Columns Measure, Own test set and Other sources; no rows if nothing was measured elsewhere.
    """
    measured = bundle.external_validation
    if not measured:
        return pd.DataFrame(columns=["Measure", "Own test set", "Other sources"])
    matrix = test.confusion(bundle.points["single"].threshold)
    known = bundle.validation_hits
    method = max(known, key=lambda name: (known[name], name == "grad-cam"), default="")  # as the predictor shows it
    hits = test.table.get(f"hit_{method}", pd.Series(dtype=float)).dropna()
    rows = [
        ("Fractures flagged at the single threshold", (matrix.tp, matrix.positives), ("flagged", "fractured")),
        ("Hottest point of the heatmap in a box", (int(hits.sum()), len(hits)), ("hits", "boxed")),
        ("Limb radiographs called out of scope", None, ("limbs_not_assessed", "limbs")),
        ("Other images called out of scope", None, ("others_not_assessed", "others")),
        ("Films presumed sound that are flagged", None, ("flagged_sound", "sound")),
        ("Fractures flagged on the closest views", None, ("flagged_close", "fractured_close")),
        ("Fractures flagged on the views with most air round the limb", None, ("flagged_far", "fractured_far")),
    ]
    rows = [row for row in rows if measured.get(row[2][1])]
    return pd.DataFrame(
        [
            (name, _counted(*own) if own else "–", _counted(*(measured[key] for key in keys)))
            for name, own, keys in rows
        ],
        columns=["Measure", "Own test set", "Other sources"],
    )


def _counted(k: int, n: int) -> str:
    return f"{k} of {n}: {estimate_text(wilson(k, n))}" if n else "–"


def recipe_table(recipe: Recipe) -> pd.DataFrame:
    """Tabulate the settings of a recipe in words.

    Args:
        recipe: The recipe.

    Returns:
        Columns Setting and Value.
    """
    plain = recipe.to_json()
    plain |= {f"augmentation.{key}": value for key, value in plain.pop("augmentation").items()}
    rows = [(setting_label(key), setting_value(key, value)) for key, value in plain.items()]
    return pd.DataFrame(rows, columns=["Setting", "Value"])

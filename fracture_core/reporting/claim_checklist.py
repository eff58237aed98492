"""The CLAIM 2024 checklist, answered for one model from its own files.

CLAIM: Checklist for Artificial Intelligence in Medical Imaging, 2024 update (Tejani et al., Radiology: Artificial
Intelligence 6(4), e240300). Every figure in the answers is computed from the model's predictions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fracture_core.bundle.bundle import Bundle
from fracture_core.evaluation.predictions import Predictions
from fracture_core.metrics.formatting import estimate_text
from fracture_core.metrics.intervals import wilson
from fracture_core.metrics.subgroups import subgroup_table
from fracture_core.recipe import Recipe
from fracture_core.training.recipe_fields import setting_value

NOT_REPORTED = "Not reported."


@dataclass(frozen=True)
class ClaimItem:
    """One item of the checklist: its number, what it asks for, and the answer."""

    number: int
    asks: str
    answer: str


def claim_items(bundle: Bundle, val: Predictions, test: Predictions) -> list[ClaimItem]:
    """Return the 44 items of the checklist, answered for a model trained on FracAtlas.

    Args:
        bundle: The model.
        val: Its validation predictions.
        test: Its test predictions.

    Returns:
        The items.
    """
    provenance = bundle.manifest.get("provenance", {})
    answers = (
        _study() | _data(bundle.recipe, provenance, val, test) | _model(bundle, provenance) | _results(bundle, test)
    )
    return [
        ClaimItem(number=number, asks=asks, answer=answers.get(number, NOT_REPORTED))
        for number, asks in enumerate(_ASKS, start=1)
    ]


def _study() -> dict[int, str]:
    return {
        1: "Deep learning: a convolutional network that classifies radiographs as with or without a fracture.",
        2: "The first screen of this page.",
        3: "Fractures are missed on radiographs in emergency care. A demonstrator of a second look; see Intended use.",
        4: "To show what can be reached on FracAtlas with a laptop, compared with a published reference study.",
        5: "Retrospective.",
        6: "Feasibility and teaching; no claim of superiority.",
        7: "FracAtlas: Abedeen et al., Scientific Data 10, 521 (2023); three hospitals in Bangladesh; CC BY 4.0.",
        11: "By the publishers of FracAtlas, before publication.",
        13: "Given by FracAtlas only as far as the dataset paper has it.",
        14: "A label per image, and boxes and polygons round each fracture.",
        15: "The labels are readings, not follow-up: a fracture that the readers missed counts as none.",
        16: "Two radiologists, checked by an orthopaedic doctor, as published with FracAtlas.",
        17: "The same readings as for training.",
        34: "None: no patients were enrolled.",
        41: "None for practice. See Intended use and Not for.",
        42: "The program's own documentation (docs/), and the settings on this page.",
        43: "Program and weights are open under the MIT licence; FracAtlas is open under CC BY 4.0.",
    }


def _data(recipe: Recipe, provenance: dict[str, Any], val: Predictions, test: Predictions) -> dict[int, str]:
    trained = provenance.get("trained_on")
    leakage = "Duplicates of validation and test images and truncated files are removed from training."
    return {
        8: "All 4,083 published images. " + (leakage if recipe.leak_free else "None is removed."),
        9: f"Scaled without distortion into a square of {recipe.image_size} px; normalised inside the network.",
        10: "None.",
        12: "No labels are missing.",
        19: "scikit-learn's train_test_split as in the reference study (random_state 42, stratified).",
        20: "Image. FracAtlas has no patient ids, so images of one patient may lie in training and test.",
        21: f"{len(test)} test radiographs, {test.fractured} with a fracture, fixed by the reference study's split.",
        35: f"{trained or 'Unknown:'} images for training, {len(val)} for validation, {len(test)} for test.",
        36: f"With a fracture: {val.fractured} of {len(val)} in validation, {test.fractured} of {len(test)} in test. "
        "Age and sex are not published.",
    }


def _model(bundle: Bundle, provenance: dict[str, Any]) -> dict[int, str]:
    recipe = bundle.recipe
    versions = provenance.get("versions", {})
    libraries = ", ".join(
        f"{name} {versions[name]}" for name in ("keras", "tensorflow", "openvino") if name in versions
    )
    start = (provenance.get("start") or {}).get("source", "unknown")
    return {
        22: f"{recipe.backbone}, {recipe.image_size} px input, one logit"
        + (f", with a localisation head of {recipe.localiser} channels." if recipe.localiser else "."),
        23: libraries or NOT_REPORTED,
        24: f"From {start}.",
        25: "All settings are under Training settings on this page.",
        26: f"The checkpoint with the best {recipe.monitor} on validation.",
        27: f"None. Each image is read {setting_value('test_time_views', recipe.test_time_views)}.",
        28: "AUC, average precision, sensitivity, specificity, PPV, NPV, calibration error.",
        29: "95 % intervals: DeLong for AUC, Wilson for rates, bootstrap for the others.",
        31: "Heatmaps of the evidence, compared with the radiologists' boxes.",
    }


def _results(bundle: Bundle, test: Predictions) -> dict[int, str]:
    point = bundle.points["single"]
    matrix = test.confusion(point.threshold)
    sensitivity, specificity = wilson(matrix.tp, matrix.positives), wilson(matrix.tn, matrix.negatives)
    rows = subgroup_table(test.table, point.threshold)
    rated = sum(row.auc is not None for row in rows)
    return {
        30: f"Subgroups by body part, view and hardware: {rated} of {len(rows)} are large enough for rates.",
        32: f"AUC {estimate_text(test.auc)} on {len(test)} test radiographs.",
        33: _external(bundle),
        37: f"AUC {estimate_text(test.auc)}; average precision {estimate_text(test.average_precision)}.",
        38: f"At the threshold {point.threshold:.3f} from validation: sensitivity {estimate_text(sensitivity)}, "
        f"specificity {estimate_text(specificity)}.",
        39: f"{matrix.fn} fractures missed and {matrix.fp} false positives; typical ones are on this page, all on the "
        "Dataset page.",
        40: "See Limits on this page.",
    }


def _external(bundle: Bundle) -> str:
    measured = bundle.external_validation
    if not measured:
        return NOT_REPORTED
    flagged, fractured = measured["flagged"], measured["fractured"]
    return (
        f"Films from other sources: {flagged} of {fractured} fractures flagged at the single threshold "
        f"({estimate_text(wilson(flagged, fractured))}); {measured['limbs_not_assessed']} of {measured['limbs']} limb "
        f"radiographs called out of scope. Labels as collected."
    )


_ASKS = (
    "Identification as a study of AI methodology, with the category of technology",
    "Summary of design, methods, results and conclusions",
    "Background, with the intended use and role of the AI approach",
    "Aims, objectives and hypotheses",
    "Prospective or retrospective study",
    "Study goal",
    "Data sources",
    "Inclusion and exclusion criteria",
    "Data preprocessing",
    "Selection of data subsets",
    "De-identification methods",
    "How missing data were handled",
    "Image acquisition protocol",
    "Definition of the reference standard",
    "Rationale for the reference standard",
    "Source of the reference annotations",
    "Annotation of the test set",
    "Inter- and intra-rater variability",
    "How data were assigned to partitions",
    "Level at which partitions are disjoint",
    "Intended sample size",
    "Description of the model",
    "Software libraries, frameworks and packages",
    "Initialisation of the model's parameters",
    "Training approach",
    "Method of selecting the final model",
    "Ensembling techniques",
    "Metrics of performance",
    "Measures of significance and uncertainty",
    "Robustness or sensitivity analysis",
    "Methods for explainability",
    "Evaluation on internal data",
    "Testing on external data",
    "Clinical trial registration",
    "Numbers of examinations included and excluded",
    "Demographic and clinical characteristics of each partition",
    "Performance metrics with uncertainty",
    "Diagnostic performance and its precision",
    "Failure analysis",
    "Limitations",
    "Implications for practice",
    "Reference to the full protocol or technical details",
    "Availability of software, model and data",
    "Funding and the role of funders",
)

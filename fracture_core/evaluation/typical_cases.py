"""Typical right and wrong answers of a model on a split: neither its best nor its worst."""

from __future__ import annotations

from dataclasses import dataclass

from fracture_core.evaluation.predictions import Predictions

#: How many of each cell are shown, successes first.
_SHOWN = {"TP": 2, "TN": 1, "FN": 2, "FP": 1}


@dataclass(frozen=True)
class TypicalCase:
    """One radiograph: `cell` of the confusion matrix, and its calibrated probability."""

    image_id: str
    cell: str
    probability: float

    @property
    def right(self) -> bool:
        """Whether the model agrees with the reference label."""
        return self.cell in ("TP", "TN")


def typical_cases(predictions: Predictions, threshold: float) -> list[TypicalCase]:
    """Return six radiographs, successes first: of each cell those round its median probability.

    Args:
        predictions: The split they are taken from.
        threshold: A calibrated probability, 0..1.

    Returns:
        Two true positives, one true negative, two false negatives and one false positive; fewer where there are fewer.
    """
    cases = []
    for cell, wanted in _SHOWN.items():
        rows = predictions.in_cell(cell, threshold)
        first = max((len(rows) - wanted) // 2, 0)
        part = rows.iloc[first : first + wanted]
        cases += [
            TypicalCase(image_id=image_id, cell=cell, probability=float(probability))
            for image_id, probability in zip(part["image_id"], part["probability"], strict=True)
        ]
    return cases

"""The reference study's published result: a DenseNet121 on the same 817 test images."""

from __future__ import annotations

from dataclasses import dataclass

from fracture_core.metrics.confusion import Confusion


@dataclass(frozen=True)
class ReferenceRow:
    """A published confusion matrix and its source."""

    name: str
    confusion: Confusion
    source: str


#: Published as counts only. Without scores there is no AUC and no curve, only a point on each plot.
REFERENCE_STUDY = ReferenceRow(
    name="Reference study",
    confusion=Confusion(tn=665, fp=9, fn=121, tp=22),
    source=(
        "The reference study's printed confusion matrix: DenseNet121 from ImageNet weights at 224 px on "
        "FracAtlas, on the 817 test images of scikit-learn's train_test_split (test_size 0.3, then 0.6667; "
        "random_state 42; stratified)."
    ),
)

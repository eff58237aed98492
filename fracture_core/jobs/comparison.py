"""Compare the bundle of a run with the bundle in use."""

from __future__ import annotations

from pathlib import Path

from fracture_core.bundle.bundle import Bundle
from fracture_core.evaluation.bundle_comparison import scores_file
from fracture_core.evaluation.part_comparison import PartComparison, compare_parts
from fracture_core.training.run_folder import RunFolder


def compare_run(new: Bundle, current: Bundle, run: Path) -> list[PartComparison]:
    """Compare a run's bundle with another on each of its test parts: FracAtlas's, and a site's.

    Args:
        new: The bundle created from the run.
        current: The bundle to compare it with.
        run: The run's folder.

    Returns:
        One comparison a test part.
    """
    split = RunFolder(run).split()
    return compare_parts(new, current, trained_on=split.train, kept_scores=scores_file(run, current))

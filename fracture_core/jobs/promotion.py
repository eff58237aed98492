"""Choose the bundle that is used by default. A promotion writes one file atomically and moves no bundle."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fracture_core.bundle.loading import CURRENT_FILE, current_bundle, list_bundles, load_bundle
from fracture_core.bundle.validation import BundleError
from fracture_core.errors import FractureCoreError
from fracture_core.evaluation.bundle_comparison import BundleComparison
from fracture_core.evaluation.part_comparison import PartComparison
from fracture_core.files import write_text
from fracture_core.jobs.control import read_json
from fracture_core.jobs.history import bundle_of
from fracture_core.jobs.status import find_run
from fracture_core.paths import models_folder

#: With fewer test images a comparison is too uncertain to change everyone's model by.
FEWEST_TEST_IMAGES = 50


def part_objections(parts: Sequence[PartComparison]) -> tuple[str, ...]:
    """Return why comparisons on several test parts do not justify using the new model.

    Args:
        parts: The comparison on each test part.

    Returns:
        A sentence each, with the part where there is more than one; empty if they do.
    """
    sentences = []
    for part in parts:
        reasons = (part.reason,) if part.comparison is None else objections(part.comparison)
        sentences += [f"{part.part}: {reason}" if len(parts) > 1 else reason for reason in reasons]
    return tuple(sentences)


def objections(comparison: BundleComparison) -> tuple[str, ...]:
    """Return why a comparison does not justify using the new model.

    Args:
        comparison: The comparison.

    Returns:
        A sentence each; empty if it does.
    """
    n = len(comparison.test.labels)
    reasons = []
    if comparison.leakage.unfair:
        reasons.append("The comparison is biased.")
    if n < FEWEST_TEST_IMAGES:
        reasons.append(f"Only {n} test images were compared; it takes at least {FEWEST_TEST_IMAGES}.")
    return tuple(reasons)


def restorable(from_runs: Collection[str], root: Path | None = None) -> list[str]:
    """Return the bundles that can be put in use, or back in use, without being compared first.

    A run's bundle is offered beside its comparison, where its objections are known.

    Args:
        from_runs: Names of the bundles that runs on this machine made.
        root: The folder of the bundles; by default the user's.

    Returns:
        Names: the bundle that was in use before, and those that no run made and that were tested on enough images.
    """
    current = current_bundle(root)
    before = read_json(Path(root or models_folder()) / CURRENT_FILE).get("before")
    return [
        name
        for name in list_bundles(root)
        if name != current and (name == before or (name not in from_runs and _tested(name, root)))
    ]


def _tested(name: str, root: Path | None) -> bool:
    try:
        table = load_bundle(name, root).predictions()
    except FractureCoreError:
        return True  # a damaged bundle is refused with a reason when it is chosen
    return int((table["split"] == "test").sum()) >= FEWEST_TEST_IMAGES


@dataclass(frozen=True)
class Promotion:
    """The bundle that is now in use, and the one before it; None if it was in use already."""

    name: str
    before: str | None


def promote(named: str, root: Path | None = None) -> Promotion:
    """Put a bundle, or the bundle of a finished run, in use; an earlier one is restored the same way.

    The bundle is verified first.

    Args:
        named: Name of a bundle, or of a run.
        root: The folder of the bundles; by default the user's.

    Returns:
        What is in use now, and what was before.

    Raises:
        BundleError: There is no such bundle, it is damaged, or the folder cannot be written; nothing has changed.
        RunError: The run cannot be read.
    """
    name = named if named in list_bundles(root) else _of_run(named, root)
    load_bundle(name, root)
    before = current_bundle(root)
    if before == name:
        return Promotion(name, None)  # what was in use before it stays the way back
    entry = {"bundle": name, "before": before, "since": datetime.now(UTC).isoformat(timespec="seconds")}
    try:
        write_text(Path(root or models_folder()) / CURRENT_FILE, json.dumps(entry) + "\n")
    except OSError as error:
        folder = Path(root or models_folder()).name
        raise BundleError(f"{name} cannot be put in use: {folder}/ cannot be written ({error.strerror}).") from error
    return Promotion(name, before if before in list_bundles(root) else None)


def _of_run(named: str, root: Path | None) -> str:
    try:
        run = find_run(named)
    except FractureCoreError as error:
        known = ", ".join(list_bundles(root)) or "none"
        raise BundleError(f"There is no bundle or run {named!r}; the bundles are: {known}.") from error
    name = bundle_of(run, root)
    if name is None:
        raise BundleError(f"The run {run.name} has no bundle yet: resume it, or create one with `package`.")
    return name

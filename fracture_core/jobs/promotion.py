"""Choose the bundle that is used by default. A promotion writes one file atomically and moves no bundle."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fracture_core.bundle.loading import CURRENT_FILE, current_bundle, list_bundles, load_bundle
from fracture_core.bundle.validation import BundleError
from fracture_core.errors import FractureCoreError
from fracture_core.evaluation.bundle_comparison import BundleComparison
from fracture_core.files import write_text
from fracture_core.jobs.history import bundle_of
from fracture_core.jobs.status import find_run
from fracture_core.paths import models_folder

#: With fewer test images a comparison is too uncertain to change everyone's model by.
FEWEST_TEST_IMAGES = 50


def objections(found: BundleComparison) -> tuple[str, ...]:
    """Return why a comparison does not justify using the new model.

    Args:
        found: The comparison.

    Returns:
        A sentence each; empty if it does.
    """
    n = len(found.test.labels)
    said = []
    if found.fairness.unfair:
        said.append("The comparison is biased, so this model is not offered for use.")
    if n < FEWEST_TEST_IMAGES:
        said.append(
            f"Only {n} test images were compared; at least {FEWEST_TEST_IMAGES} are needed to offer it for use."
        )
    return tuple(said)


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
    entry = {"bundle": name, "before": before, "since": datetime.now(UTC).isoformat(timespec="seconds")}
    try:
        write_text(Path(root or models_folder()) / CURRENT_FILE, json.dumps(entry) + "\n")
    except OSError as error:
        folder = Path(root or models_folder()).name
        raise BundleError(f"{name} cannot be put in use: {folder}/ cannot be written ({error.strerror}).") from error
    return Promotion(name, before if before != name and before in list_bundles(root) else None)


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

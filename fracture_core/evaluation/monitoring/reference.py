"""What the films of an audit log are compared with: the first ones of the log, or those of a calibration.

A site's calibration leaves the scores and features of its films in monitoring_references.json beside the bundle:
numbers alone, in an order of their own, without anything that names a film.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from fracture_core.bundle.out_of_distribution import COORDINATES
from fracture_core.bundle.saved_points import rename_saved
from fracture_core.bundle.validation import BundleError
from fracture_core.files import exclusive_lock, write_text
from fracture_core.metrics.score_scale import ScoreScale
from fracture_core.paths import writable_bundle_folder

if TYPE_CHECKING:
    from fracture_core.bundle.bundle import Bundle

FILE = "monitoring_references.json"
#: Films of the log that make a reference if none is given.
FIRST_FILMS = 500
#: The numbers that a finding has beside its score, and what a reader may call them.
FEATURES = ("distance from training films", *(f"component {k}" for k in range(1, COORDINATES + 1)))
#: Where an entry keeps the names that its calibration had before it was renamed.
_BEFORE = "earlier_names"
#: More films than this would make no difference to a comparison.
_MOST_FILMS = 5000


@dataclass(frozen=True, eq=False)
class Reference:
    """Films that a log is compared with.

    Attributes:
        title: What they are, for a list to choose from.
        scores: Probabilities, 0..1, shape (n,).
        features: Their features, shape (m, len(FEATURES)); (0, len(FEATURES)) where none are known.
        first_film: The place in the log of the first film to be compared; the first films of the log that are the
            reference themselves are not.
        first_features: The same for features: films that were logged before there were any cannot be the reference.
    """

    title: str
    scores: NDArray[np.float64]
    features: NDArray[np.float64]
    first_film: int = 0
    first_features: int = 0


def log_reference(log: pd.DataFrame) -> Reference:
    """Return the first films of a log as a reference.

    Args:
        log: As `audit_history.read_log` returns it.

    Returns:
        The reference.
    """
    first = log.iloc[:FIRST_FILMS]
    described = np.flatnonzero(log.reindex(columns=list(FEATURES)).notna().all(axis=1))[:FIRST_FILMS]
    return Reference(
        title=f"The first {len(first)} films of the log",
        scores=first["probability"].dropna().to_numpy(float),
        features=features_of(log.iloc[described]),
        first_film=FIRST_FILMS,
        first_features=int(described[-1]) + 1 if len(described) else 0,
    )


def features_of(log: pd.DataFrame) -> NDArray[np.float64]:
    """Return the features of the films that have them.

    Args:
        log: As `audit_history.read_log` returns it.

    Returns:
        float64 (n, len(FEATURES)).
    """
    table = log.reindex(columns=list(FEATURES)).dropna()
    return table.to_numpy(float).reshape(-1, len(FEATURES))


def save_reference(
    bundle: Bundle, name: str, scale: ScoreScale, logits: ArrayLike, features: Sequence[Sequence[float]]
) -> None:
    """Keep the scores and features of a site's calibration films beside a bundle.

    Args:
        bundle: The bundle.
        name: The calibration's name; an earlier reference of that name is replaced.
        scale: The site's score scale.
        logits: The bundle's logits, shape (n,).
        features: The features of each film.

    Raises:
        BundleError: The bundle's folder cannot be written.
    """
    own, site = np.asarray(bundle.probability(np.asarray(logits, float))), scale.probability(logits)
    # Shuffled, so that the order says nothing about which film is which.
    chosen = np.random.default_rng(len(own)).permutation(len(own))[:_MOST_FILMS]
    entry = {
        "bundle": bundle.version,
        "scores": [round(float(own[k]), 4) for k in chosen],
        "site_scores": [round(float(site[k]), 4) for k in chosen],
        "features": [[round(float(v), 2) for v in features[k]] for k in chosen if len(features[k]) == len(FEATURES)],
    }
    folder = writable_bundle_folder(bundle.folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with exclusive_lock(folder):
            write_text(folder / FILE, json.dumps({**_read(bundle), name: entry}) + "\n")
    except OSError as error:
        raise BundleError(f"The reference cannot be saved beside {bundle.name} ({error.strerror}).") from error


def rename_calibration(bundle: Bundle, name: str, new: str) -> None:
    """Rename a saved point or pair; the films of a site's calibration stay a reference under both names.

    A log goes on under the new name, and what it holds of before is under the old one.

    Args:
        bundle: The model beside which it was saved.
        name: Its present name, as in `saved_points.offered`.
        new: The new name.

    Raises:
        BundleError: The new name cannot be used or is taken, nothing has that name, or the folder cannot be written.
    """
    rename_saved(bundle, name, new)
    new, folder = new.strip(), writable_bundle_folder(bundle.folder)
    if name not in _read(bundle):
        return
    try:
        with exclusive_lock(folder):
            entries = {}
            for title, entry in _read(bundle).items():
                if title == name and isinstance(entry, dict):
                    entries[new] = {**entry, _BEFORE: [*entry.get(_BEFORE, ()), name]}
                elif title != new:
                    entries[title] = entry
            write_text(folder / FILE, json.dumps(entries) + "\n")
    except OSError as error:
        raise BundleError(f"The reference cannot be renamed beside {bundle.name} ({error.strerror}).") from error


def saved_references(bundle: Bundle, calibrated_to: str = "") -> list[Reference]:
    """Return what a bundle's log may be compared with: a site's calibrations, the latest first, then its validation.

    Args:
        bundle: The bundle.
        calibrated_to: The calibration on whose scale the log's probabilities are, which is then the only one; "" for
            the bundle's own scale.

    Returns:
        The references; a damaged file gives none.
    """
    references = []
    entries = _read(bundle)
    for name, entry in reversed(entries.items()):
        try:
            # An earlier name counts as long as no other calibration has it.
            names = {name, *(before for before in entry.get(_BEFORE, ()) if before not in entries)}
            if entry["bundle"] != bundle.version or (calibrated_to and calibrated_to not in names):
                continue
            features = np.asarray(entry["features"], float).reshape(-1, len(FEATURES))
            scores = np.asarray(entry["site_scores" if calibrated_to else "scores"], float)
            references.append(Reference(f"The {len(scores)} films of the calibration {name!r}", scores, features))
        except (KeyError, TypeError, ValueError, AttributeError):
            continue
    if calibrated_to:
        return references
    table = bundle.predictions()
    scores = table.loc[table["split"] == "val", "probability"].to_numpy(float)
    features = bundle.monitored_features
    known = features if features.shape[1:] == (len(FEATURES),) else np.empty((0, len(FEATURES)))
    return [
        *references,
        Reference(f"The {len(scores)} validation films of the model", scores, np.asarray(known, float)),
    ]


def _read(bundle: Bundle) -> dict[str, dict]:
    try:
        entries = json.loads((writable_bundle_folder(bundle.folder) / FILE).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return entries if isinstance(entries, dict) else {}

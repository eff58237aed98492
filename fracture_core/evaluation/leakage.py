"""Check for leakage: may a bundle, or the weights it started from, have been trained on the test images?"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fracture_core.bundle.bundle import Bundle, digest_of_ids
from fracture_core.bundle.films_seen import (
    films_seen,
    is_of_fracatlas,
    known_copies,
    seen_of_fracatlas,
    unknown_copies,
)
from fracture_core.bundle.loading import load_bundle
from fracture_core.data.combined.dataset import is_site
from fracture_core.data.dataset import dataset_name
from fracture_core.data.fracatlas import FracAtlas
from fracture_core.errors import FractureCoreError

_DEEPEST = 8  # bundles that started from bundles


@dataclass(frozen=True)
class LeakageReport:
    """What speaks against a comparison (`unfair`), and what a reader should know (`remarks`), a sentence each."""

    unfair: tuple[str, ...]
    remarks: tuple[str, ...] = ()


def check_leakage(
    new: Bundle, current: Bundle, compared: Collection[str], trained_on: Collection[str] = ()
) -> LeakageReport:
    """Check whether either of two bundles may have been trained on the test images they are compared on.

    A starting bundle counts as fair for the images that it was itself tested on; it may have been trained on any other.

    Args:
        new: The new bundle.
        current: The bundle it is compared with.
        compared: Ids of the test images.
        trained_on: Ids of the new bundle's training images.

    Returns:
        What was found.
    """
    unfair: list[str] = []
    remarks: list[str] = []
    tested = current.predictions()
    tested = set(tested.loc[tested["split"] == "test", "image_id"])
    if lost := len(tested & set(trained_on)):
        unfair.append(
            f"{new.name} was trained on {lost} of the {len(tested)} test images of {current.name}. They are left out "
            "here, but its figures elsewhere are not to be held against those of this bundle."
        )
    for bundle in (new, current):
        if not bundle.recipe.leak_free:
            unfair.append(
                f"{bundle.name} was trained without leaving out the copies of test images (leak_free is off): it may "
                "have seen some of these."
            )
        trained = _own_training(bundle, new, frozenset(compared))
        unfair, remarks = [*unfair, *trained.unfair], [*remarks, *trained.remarks]
        inherited = _ancestors(bundle, frozenset(compared))
        unfair += [reason for reason in inherited.unfair if reason not in unfair]
        remarks += [reason for reason in inherited.remarks if reason not in remarks]
    return LeakageReport(tuple(unfair), tuple(remarks))


def _own_training(bundle: Bundle, new: Bundle, compared: frozenset[str]) -> LeakageReport:
    """Check whether a bundle that was trained on a user's own films alone has seen test images of FracAtlas there."""
    if not is_of_fracatlas(new) or is_of_fracatlas(bundle):
        return LeakageReport(())
    seen = seen_of_fracatlas(bundle)
    if seen is None:
        return LeakageReport((), (unknown_copies(bundle.name, bundle.name),))
    if not (known := compared & seen):
        return LeakageReport(())
    reason = f"{bundle.name} was trained or validated on {len(known)} of these {len(compared)} test images."
    return LeakageReport((reason,))


def _ancestors(bundle: Bundle, compared: frozenset[str]) -> LeakageReport:
    unfair: list[str] = []
    remarks: list[str] = []
    ancestor = bundle
    for _ in range(_DEEPEST):
        provenance = ancestor.manifest.get("provenance", {})
        start = provenance.get("start") or {}
        source = str(start.get("source", "none"))
        if not source.startswith("bundle:"):
            reported = _beginning(bundle.name, source, provenance)
            return LeakageReport((*unfair, *reported.unfair), (*remarks, *reported.remarks))
        name, same = source.removeprefix("bundle:"), start.get("split") in _splits(provenance)
        before = _starting_bundle(name, start, bundle.folder.parent)
        if before is None:
            # It is gone, or another has its name: what was noted of it at the time has to do.
            if not same and start.get("test") != ancestor.test_digest:
                unfair.append(
                    f"{bundle.name} started from the bundle {name}, which is not here and was trained on another "
                    "split: it may have seen test images."
                )
            return LeakageReport(tuple(unfair), tuple(remarks))
        ancestor = before
        scored = ancestor.predictions()
        seen = compared - set(scored.loc[scored["split"] == "test", "image_id"])
        if seen and not same:
            unfair.append(
                f"{bundle.name} started from the bundle {name}, which was trained on another split: it may have seen "
                f"{len(seen)} of these {len(compared)} test images."
            )
    return LeakageReport((*unfair, f"{bundle.name} started from a chain of bundles that is too long to check."), ())


def _splits(provenance: Mapping[str, Any]) -> set[Any]:
    """Return the digests of a bundle's split, and of FracAtlas's part of it where it trained on a site's films too."""
    return {provenance.get("split"), provenance.get("fracatlas_split") or provenance.get("split")}


def check_site_leakage(new: Bundle, current: Bundle, films: Mapping[str, str]) -> tuple[LeakageReport, set[str]]:
    """Check which of a site's test films either of two bundles, or what it started from, has trained or chosen with.

    Films are recognised by their pixels, whatever they were called, and images of FracAtlas among them by what was
    found when the new bundle was trained.

    Args:
        new: The new bundle, which held the films back itself.
        current: The bundle it is compared with.
        films: Short digest of each test film, by id.

    Returns:
        What was found, and the ids of the films that were seen, to be left out of the comparison.
    """
    unfair: list[str] = []
    remarks: list[str] = []
    seen: set[str] = set()
    copies = known_copies(new)
    for bundle in (new, current):
        if not bundle.recipe.leak_free:
            unfair.append(
                f"{bundle.name} was trained without leaving out the copies of test films (leak_free is off): it may "
                "have seen some of these."
            )
        ancestor: Bundle | None = None if bundle is new else bundle
        provenance = bundle.manifest.get("provenance", {})
        for _ in range(_DEEPEST):
            if ancestor is not None:
                known = films_seen(ancestor, films, copies or {})
                if copies is None and is_of_fracatlas(ancestor):
                    remarks.append(unknown_copies(new.name, ancestor.name))
                if known is None:
                    unfair.append(
                        f"{ancestor.name} was trained on {dataset_name(provenance)}, and its record does not say on "
                        "which films: it may have seen some of these."
                    )
                elif known:
                    remarks.append(
                        f"{ancestor.name} was trained or validated on {len(known)} of the {len(films)} test films. "
                        "They are left out here."
                    )
                    seen |= known
            start = provenance.get("start") or {}
            source = str(start.get("source", "none"))
            if not source.startswith("bundle:"):
                unfair += _beginning(bundle.name, source, provenance).unfair
                break
            name, later = source.removeprefix("bundle:"), ancestor or bundle
            ancestor = _starting_bundle(name, start, bundle.folder.parent)
            if ancestor is None:
                if not _of_fracatlas(start, later):
                    unfair.append(
                        f"{bundle.name} started from the bundle {name}, which is not here: it may have seen test films."
                    )
                break
            provenance = ancestor.manifest.get("provenance", {})
    return LeakageReport(tuple(dict.fromkeys(unfair)), tuple(dict.fromkeys(remarks))), seen


def _of_fracatlas(start: Mapping[str, Any], later: Bundle) -> bool:
    """Return whether a starting bundle that is gone was trained on FracAtlas alone, by what was noted of it."""
    provenance = later.manifest.get("provenance", {})
    combined = "fracatlas_split" in provenance
    if not combined and dataset_name(provenance) != FracAtlas.name:
        return False
    table = later.predictions()
    tested = table.loc[(table["split"] == "test") & ~table["image_id"].map(is_site), "image_id"]
    known = start.get("split"), start.get("test")
    return provenance.get("fracatlas_split" if combined else "split") == known[0] or digest_of_ids(tested) == known[1]


def _starting_bundle(name: str, start: Mapping[str, Any], root: Path) -> Bundle | None:
    """Return the starting bundle; None if it was removed or its name now refers to another one."""
    try:
        bundle = load_bundle(name, root)
    except FractureCoreError:
        return None
    return bundle if start.get("sha256") in (None, bundle.sha256) else None


def _beginning(name: str, source: str, provenance: Mapping[str, Any]) -> LeakageReport:
    """Judge starting weights that are no bundle."""
    if source in ("none", "imagenet"):
        return LeakageReport(())
    before = provenance.get("pretraining") or {}
    noted = tuple(f"{name}: {remark}." for remark in before.get("remarks", ()))
    if before.get("split") is None:
        file = Path(source).name
        return LeakageReport(
            (f"{name} started from the file {file}; whether that saw test images is not recorded.",), noted
        )
    if before["split"] not in _splits(provenance) and not noted:
        reason = f"{name} was pre-trained on another split than it was trained on: it may have seen test images."
        return LeakageReport((reason,))
    return LeakageReport((), noted)

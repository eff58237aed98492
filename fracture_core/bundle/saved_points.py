"""Operating points that a user saves: single thresholds, and pairs that make the three answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from fracture_core.bundle.bundle import Bundle
from fracture_core.bundle.validation import BundleError
from fracture_core.metrics.operating_points import OperatingPoint

#: How the two halves of a saved pair are told apart; both carry the name that the user gave.
RULE_OUT, RULE_IN = " (rule-out)", " (rule-in)"
_LONGEST_NAME, _LONGEST_NOTE = 60, 500


def save_single(bundle: Bundle, point: OperatingPoint, name: str, note: str = "") -> None:
    """Save an operating point under a name; the same one again under the same name changes nothing.

    Args:
        bundle: The bundle.
        point: The operating point.
        name: Its new name.
        note: Free text.

    Raises:
        BundleError: The name is taken or invalid, or the point cannot be written.
    """
    saved = _dated(point, name.strip(), note)
    if not _there(bundle, saved):
        _check(bundle, name, note)
        bundle.save_point(saved)


def save_pair(bundle: Bundle, rule_out: OperatingPoint, rule_in: OperatingPoint, name: str, note: str = "") -> None:
    """Save two operating points as a pair, both or neither; the same pair again under its name changes nothing.

    Args:
        bundle: The bundle.
        rule_out: The lower operating point.
        rule_in: The upper operating point.
        name: Name of the pair.
        note: Free text.

    Raises:
        BundleError: The name is taken or invalid, or the points cannot be written.
    """
    pair = (_dated(rule_out, name.strip() + RULE_OUT, note), _dated(rule_in, name.strip() + RULE_IN, note))
    if not _there(bundle, *pair):
        _check(bundle, name, note)
        bundle.save_point(*pair)


def rename_saved(bundle: Bundle, name: str, new: str) -> None:
    """Rename a saved point or a saved pair.

    Args:
        bundle: The model beside which it was saved.
        name: Its present name, as in `offered`.
        new: The new name.

    Raises:
        BundleError: The new name cannot be used or is taken, nothing has that name, or the folder cannot be written.
    """
    _check(bundle, new, "")
    names = _names(bundle, name)
    renamed = {old: new.strip() + old.removeprefix(name) for old in names}
    bundle.change_points(lambda saved: [replace(p, name=renamed.get(p.name, p.name)) for p in saved])


def delete_saved(bundle: Bundle, name: str) -> None:
    """Delete a saved point or a saved pair.

    Args:
        bundle: The model beside which it was saved.
        name: Its name, as in `offered`.

    Raises:
        BundleError: Nothing has that name, or the folder cannot be written.
    """
    names = _names(bundle, name)
    bundle.change_points(lambda saved: [p for p in saved if p.name not in names])


def _names(bundle: Bundle, name: str) -> set[str]:
    """Return the names of the points that an offered one consists of."""
    pair = offered(bundle.chosen_points()).get(name)
    if pair is None:
        raise BundleError(f"No operating point named {name!r} is saved beside {bundle.name}.")
    return {point.name for point in pair}


def offered(points: Sequence[OperatingPoint]) -> dict[str, tuple[OperatingPoint, OperatingPoint]]:
    """Group saved points by name.

    Args:
        points: The saved points.

    Returns:
        (rule-out, rule-in) by name; a single point appears twice.
    """
    by_name = {point.name: point for point in points}
    pairs = {}
    for point in points:
        name = pair_name(point)
        out, within = by_name.get(name + RULE_OUT), by_name.get(name + RULE_IN)
        pairs[name] = (out, within) if name != point.name and out and within else (point, point)
    return pairs


def pair_name(point: OperatingPoint) -> str:
    """Return the name that a user gave to a saved point, or to the pair it belongs to.

    Args:
        point: The point.

    Returns:
        The name.
    """
    return point.name.removesuffix(RULE_OUT).removesuffix(RULE_IN)


def usable_points(bundle: Bundle) -> dict[str, tuple[OperatingPoint, OperatingPoint]]:
    """Return the saved points as they are used: those of a site on the site's own scale of probability.

    Args:
        bundle: The bundle.

    Returns:
        (rule-out, rule-in) by name; a single point appears twice.

    Raises:
        BundleError: The file of saved points is damaged.
    """
    pairs = offered(bundle.chosen_points())
    return {
        name: (out.on_site_scale(bundle.temperature), within.on_site_scale(bundle.temperature))
        for name, (out, within) in pairs.items()
    }


def check_name(name: str, note: str = "") -> None:
    """Raise BundleError if an operating point, or a pair, cannot have this name, whatever others are called.

    Args:
        name: The name.
        note: What is said of it.

    Raises:
        BundleError: The name or the note is invalid.
    """
    name = name.strip()
    if not name:
        raise BundleError("Give the operating point a name.")
    if len(name) > _LONGEST_NAME or len(note) > _LONGEST_NOTE or not name.isprintable():
        raise BundleError(f"A name has at most {_LONGEST_NAME} plain characters, a note at most {_LONGEST_NOTE}.")
    if name.endswith((RULE_OUT.strip(), RULE_IN.strip())):
        raise BundleError("A name cannot end in (rule-out) or (rule-in); pairs use these themselves.")


def _check(bundle: Bundle, name: str, note: str) -> None:
    check_name(name, note)
    name = name.strip()
    if name in offered(bundle.chosen_points()):
        raise BundleError(f"There is already an operating point named {name!r}; choose another name.")


def _there(bundle: Bundle, *points: OperatingPoint) -> bool:
    """Return whether these very points are saved: a press that came twice."""
    there = {_as_text(point) for point in bundle.chosen_points()}
    return all(_as_text(point) in there for point in points)


def _as_text(point: OperatingPoint) -> str:
    # As text, because an undefined value is never equal to itself.
    return json.dumps(replace(point, created="").to_dict())


def _dated(point: OperatingPoint, name: str, note: str) -> OperatingPoint:
    return replace(point, name=name, note=note.strip(), created=datetime.now(UTC).isoformat(timespec="seconds"))

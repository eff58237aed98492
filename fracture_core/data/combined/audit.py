"""Audit FracAtlas and a site's films together: the defects of each, and the images that both have."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from fracture_core.data.audit import Audit, audit, findings_key
from fracture_core.data.combined.dataset import SITE, CombinedDataset
from fracture_core.data.dataset import Dataset
from fracture_core.data.duplicates import decode_any, decode_grey, find_duplicates, group
from fracture_core.files import write_text
from fracture_core.paths import cache_folder

_JPEG = b"\xff\xd8"


def audit_sources(
    dataset: Dataset, *, cache_dir: Path | None = None, progress: Callable[[int, int], None] | None = None
) -> Audit:
    """Audit any dataset; of a combined one each part, and the pairs of images across the two.

    Args:
        dataset: The dataset.
        cache_dir: Where findings are kept; by default the user's cache folder.
        progress: Called with (done, total) files, of one part after the other.

    Returns:
        The findings, by the dataset's own ids.
    """
    if not isinstance(dataset, CombinedDataset):
        return audit(dataset, cache_dir=cache_dir, progress=progress)
    parts = [audit(part, cache_dir=cache_dir, progress=progress) for part in (dataset.fracatlas, dataset.site)]
    keys = "\n".join(findings_key(part) for part in (dataset.fracatlas, dataset.site))
    name = hashlib.sha256(keys.encode()).hexdigest()[:24]
    cached = (cache_dir or cache_folder()) / "audit" / f"{name}.json"
    with suppress(OSError, ValueError, KeyError, TypeError):
        return Audit.from_json(cached.read_text("utf-8"))
    findings = _joined(dataset, parts[0], _as_site(parts[1]), progress)
    write_text(cached, findings.to_json())
    return findings


def _as_site(findings: Audit) -> Audit:
    """Return a site's findings by the ids that its films have beside FracAtlas."""
    pairs = (replace(p, first=SITE + p.first, second=SITE + p.second) for p in findings.duplicate_pairs)
    return replace(
        findings,
        missing={SITE + i: share for i, share in findings.missing.items()},
        overwritten={SITE + i: share for i, share in findings.overwritten.items()},
        duplicate_pairs=tuple(pairs),
        conflicts={SITE + i: words for i, words in findings.conflicts.items()},
    )


def _joined(
    dataset: CombinedDataset, fracatlas: Audit, site: Audit, progress: Callable[[int, int], None] | None
) -> Audit:
    paths = {image_id: dataset.path(image_id) for image_id in dataset.table.index}
    missing, overwritten = fracatlas.missing | site.missing, fracatlas.overwritten | site.overwritten
    across = find_duplicates(paths, missing | overwritten, progress, decode_either, between=len(dataset.fracatlas))
    pairs = (*fracatlas.duplicate_pairs, *site.duplicate_pairs, *across)
    labels = dataset.table["label"]
    return Audit(
        images=len(dataset),
        missing=missing,
        overwritten=overwritten,
        duplicate_pairs=tuple(sorted(pairs, key=lambda pair: (-pair.score, pair.first, pair.second))),
        opposite_labels=tuple(members for members in group(pairs) if labels[list(members)].nunique() > 1),
        conflicts=fracatlas.conflicts | site.conflicts,
        exif_turns=fracatlas.exif_turns,
    )


def decode_either(data: bytes, least_side: int | None = None) -> np.ndarray:
    """Decode an image of FracAtlas or of a user's own as its own audit does; a JPEG's reduced sizes save time.

    Args:
        data: The file.
        least_side: The least side that is needed, where a reduced size will do; None for full size.

    Returns:
        uint8 (H, W), upright.
    """
    return decode_grey(data, least_side) if data.startswith(_JPEG) else decode_any(data, least_side)

"""Many radiographs read at once: a row each, most suspicious first, and the same as CSV."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import pandas as pd

from fracture_core.explain.overlay import thumbnail, to_png
from fracture_core.inference.assessment import NOT_ASSESSED
from fracture_core.inference.predictor import Failure, Finding
from fracture_core.metrics.operating_points import OperatingPoint, triage
from fracture_core.reporting.audit_log import AuditLine

COLUMNS = (
    "file",
    "finding",
    "reason",
    "probability",
    "logit",
    "warnings",
    "error",
    "sha256",
    "bundle",
    "rule_out",
    "rule_in",
)


@dataclass(frozen=True)
class Entry:
    """What is kept of a file once it was read: no pixels but a thumbnail (PNG), so that many fit in memory.

    `reason` says why a file that was read got no answer; "" where it got one.
    """

    name: str
    probability: float | None = None
    logit: float | None = None
    reason: str = ""
    warnings: tuple[str, ...] = ()
    error: str = ""
    sha256: str = ""
    bundle: str = ""
    thumbnail: bytes = field(default=b"", repr=False)

    @classmethod
    def of(cls, result: Finding | Failure) -> Entry:
        """Keep what a worklist shows of a result."""
        if isinstance(result, Failure):
            return cls(result.name, error=result.error)
        return cls(
            result.radiograph.name,
            result.probability,
            result.logit,
            result.not_assessed_reason,
            result.warnings,
            sha256=result.radiograph.sha256,
            bundle=result.bundle,
            thumbnail=to_png(thumbnail(result.radiograph.pixels)),
        )

    def finding(self, rule_out: OperatingPoint, rule_in: OperatingPoint) -> str:
        """Give the finding in words at these thresholds."""
        if self.error:
            return "not read"
        return triage(self.probability, rule_out.threshold, rule_in.threshold) if not self.reason else NOT_ASSESSED

    def audit_line(self, rule_out: OperatingPoint, rule_in: OperatingPoint, who: str) -> AuditLine | None:
        """Give what the audit log keeps of this finding at these thresholds; None for a file that was not read."""
        if self.error:
            return None
        probability = None if self.reason else self.probability
        return AuditLine(who, self.sha256, self.bundle, self.finding(rule_out, rule_in), probability)


def worklist(entries: Iterable[Entry], rule_out: OperatingPoint, rule_in: OperatingPoint) -> pd.DataFrame:
    """Give a row an entry with COLUMNS and `thumbnail`, indexed by the entry's place in `entries`.

    Falling probability; then what was not assessed, which gets no probability; then what was not read.
    """
    rows = []
    for entry in entries:
        trusted = not entry.reason and not entry.error
        rows.append(
            {
                "file": entry.name,
                "finding": entry.finding(rule_out, rule_in),
                "reason": entry.reason,
                "probability": entry.probability if trusted else None,
                "logit": entry.logit if trusted else None,
                "warnings": " ".join(entry.warnings),
                "error": entry.error,
                "sha256": entry.sha256,
                "bundle": entry.bundle,
                "rule_out": rule_out.threshold,
                "rule_in": rule_in.threshold,
                "thumbnail": entry.thumbnail,
            }
        )
    table = pd.DataFrame(rows, columns=[*COLUMNS, "thumbnail"])
    table[["probability", "logit"]] = table[["probability", "logit"]].astype(float)
    order = table.assign(unread=table["error"] != "").sort_values(
        ["unread", "probability"], ascending=[True, False], na_position="last", kind="stable"
    )
    return table.loc[order.index]


def to_csv(table: pd.DataFrame) -> str:
    """Print a worklist as CSV. Text that a spreadsheet would run as a formula gets an apostrophe before it."""
    kept = table[list(COLUMNS)].copy()
    for column in ("file", "reason", "warnings", "error"):
        kept[column] = [f"'{text}" if text[:1] in tuple("=+-@\t\r") and text else text for text in kept[column]]
    return kept.to_csv(index=False, float_format="%.6f", lineterminator="\n")

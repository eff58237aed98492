"""Tabulate many radiographs: one row each, those without a result first, and the same as CSV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from fracture_core.bundle.saved_points import pair_name
from fracture_core.data.review.verdict import image_digest
from fracture_core.explain.overlay import thumbnail, to_png
from fracture_core.formatting import inert_cell
from fracture_core.inference.assessment import not_read
from fracture_core.inference.cautions import doubted
from fracture_core.inference.predictor import Failure, Finding
from fracture_core.metrics.operating_points import OperatingPoint, answer
from fracture_core.metrics.score_scale import ScoreScale
from fracture_core.reporting.audit_log import CALIBRATED_TO, AuditLine
from fracture_core.reporting.finding_text import TRUNCATED, UNOPENED, site_in_words

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    *("file", "finding", "reason", "probability", "logit", "warnings", "error"),
    *("sha256", "bundle", "rule_out", "rule_in", "points", "reader_finding"),
)


@dataclass(frozen=True)
class Entry:
    """What a worklist keeps of a file that was read: no pixels but a thumbnail (PNG), so that many fit in memory.

    `reason` says why a file that was read got no answer, `error` why it could not be read; both "" otherwise.
    `reader_finding` is what the person at the screen found, `novelty` the out-of-distribution score, `body_part` what
    the file says or, where it says nothing, the network for film contents, `pixels` the digest that names the image in
    a review set, and `features` what the audit log keeps of the image's looks.
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
    reader_finding: str = ""
    truncated: bool = False
    novelty: float = 0.0
    body_part: str = ""
    pixels: str = ""
    features: tuple[float, ...] = ()

    @classmethod
    def of(cls, result: Finding | Failure) -> Entry:
        """Return what a worklist shows of a result.

        Args:
            result: A finding, or the failure to read a file.

        Returns:
            The entry.
        """
        if isinstance(result, Failure):
            return cls(name=result.name, error=result.error, truncated=result.truncated)
        return cls(
            name=result.radiograph.name,
            probability=result.probability,
            logit=result.logit,
            reason=result.not_assessed_reason,
            warnings=result.warnings,
            sha256=result.radiograph.sha256,
            bundle=result.bundle,
            features=result.monitored,
            thumbnail=to_png(thumbnail(result.radiograph.pixels)),
            novelty=result.unfamiliarity,
            body_part=(getattr(result.radiograph.header, "body_part", None) or result.content).lower(),
            pixels=image_digest(result.radiograph.pixels),
        )

    @property
    def assessed(self) -> bool:
        """Whether the model gave an answer; if not, nobody has read this radiograph."""
        return not self.reason and not self.error

    @property
    def doubted(self) -> bool:
        """Whether the image got an answer but does not look like those the model was validated on."""
        return self.assessed and doubted(self.warnings)

    def on_scale(self, scale: ScoreScale | None) -> Entry:
        """Return the entry with its probability on a scale.

        Args:
            scale: A site's scale; None leaves it on the bundle's own.

        Returns:
            The entry.
        """
        if scale is None or self.logit is None:
            return self
        return replace(self, probability=float(scale.probability(self.logit)))

    def finding(self, rule_out: OperatingPoint, rule_in: OperatingPoint) -> str:
        """Return the finding in words.

        Args:
            rule_out: The lower operating point.
            rule_in: The upper one; the same for a single threshold.

        Returns:
            The words.
        """
        if self.error:
            return TRUNCATED if self.truncated else UNOPENED
        if self.reason:
            return not_read(self.reason)
        assert self.probability is not None  # both are None, or an assessed entry has one
        return answer(self.probability, rule_out.threshold, rule_in.threshold)

    def audit_line(self, rule_out: OperatingPoint, rule_in: OperatingPoint, who: str) -> AuditLine | None:
        """Return what the audit log records of this finding.

        Args:
            rule_out: The lower operating point.
            rule_in: The upper one; the same for a single threshold.
            who: The user.

        Returns:
            The line; None for a file that could not be read.
        """
        if self.error:
            return None
        probability = None if self.reason else self.probability
        # A site's points give probabilities on another scale: whoever watches the log must not mix the two.
        model = self.bundle if rule_in.scale is None else f"{self.bundle}{CALIBRATED_TO}{pair_name(rule_in)}"
        features = self.features if self.assessed else ()
        return AuditLine(who, self.sha256, model, self.finding(rule_out, rule_in), probability, features)


def worklist(entries: Sequence[Entry], rule_out: OperatingPoint, rule_in: OperatingPoint) -> pd.DataFrame:
    """Tabulate the entries: those without a result first, because nobody has read them, then descending probability.

    Args:
        entries: One per file.
        rule_out: The lower operating point.
        rule_in: The upper one; the same for a single threshold.

    Returns:
        COLUMNS and `thumbnail`, indexed by the position in `entries`.
    """
    rows = []
    for entry in entries:
        rows.append(
            {
                "file": entry.name,
                "finding": entry.finding(rule_out, rule_in),
                "reason": entry.reason,
                "probability": entry.probability if entry.assessed else None,
                "logit": entry.logit if entry.assessed else None,
                "warnings": " ".join(entry.warnings),
                "error": entry.error,
                "sha256": entry.sha256,
                "bundle": entry.bundle,
                "rule_out": rule_out.threshold,
                "rule_in": rule_in.threshold,
                "points": site_in_words(rule_out, rule_in) or "the model's own scale",
                "reader_finding": entry.reader_finding,
                "thumbnail": entry.thumbnail,
            }
        )
    import pandas as pd  # not before a table is asked for: a first answer would wait for it

    table = pd.DataFrame(rows, columns=[*COLUMNS, "thumbnail"])
    table[["probability", "logit"]] = table[["probability", "logit"]].astype(float)
    return table.loc[worklist_order(entries)]


def worklist_order(entries: Sequence[Entry]) -> list[int]:
    """Return the order of the worklist: entries without a result first, then descending probability.

    Args:
        entries: One per file.

    Returns:
        Positions in `entries`.
    """
    return sorted(range(len(entries)), key=lambda i: (-(entries[i].probability or 0.0),) if entries[i].assessed else ())


def to_csv(table: pd.DataFrame) -> str:
    """Return a worklist as CSV. Text that a spreadsheet would run as a formula gets an apostrophe in front.

    Args:
        table: What `worklist` returned.

    Returns:
        The CSV text.
    """
    export = table[list(COLUMNS)].copy()
    for column in ("file", "reason", "warnings", "error", "points"):
        export[column] = [inert_cell(text) for text in export[column]]
    return export.to_csv(index=False, float_format="%.6f", lineterminator="\n")

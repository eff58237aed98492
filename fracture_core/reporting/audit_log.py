"""The optional audit log: one line of JSON for each finding shown. Off unless FRACTURE_AUDIT_LOG names a file.

    {"when": "2026-01-31T09:14:03+00:00", "who": "ward7@hospital.example", "input_sha256": "…", "model":
     "densenet121-fracatlas 0f59ccc7303c", "finding": "fracture likely", "probability": 0.93, "features": [0.41, ...]}

It records no pixels, no file name and nothing of a DICOM header. The features are seven numbers of two decimals on what
the film looks like to the network (its distance from the training films, and its place along their six main
directions), by which the Monitoring page shows that films change; no image can be made from them. A finding that cannot
be recorded must not be shown.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from fracture_core.errors import FractureCoreError
from fracture_core.files import append_durably, exclusive_lock

#: Separates a model's name from the site to which its probabilities are calibrated.
CALIBRATED_TO = ", calibrated to "
#: Recorded as the user if the server has no login.
NOBODY = "not logged in"
_MAX_USER_LENGTH = 200


class AuditLogError(FractureCoreError):
    """The audit log cannot be written, so no finding may be shown."""


@dataclass(frozen=True)
class AuditLine:
    """One finding that is about to be shown.

    `input_sha256` is hex, of the file's bytes; `model` names the bundle and its version; `finding` is in words;
    `probability` is 0..1, None if no result was given; `features` are `Finding.monitored`, empty if none are kept;
    `when` is ISO 8601 in UTC.
    """

    who: str
    input_sha256: str
    model: str
    finding: str
    probability: float | None
    features: tuple[float, ...] = ()
    when: str = ""  # now

    def to_json(self) -> str:
        """Return the entry as JSON on a single line; control characters of `who` are escaped.

        Returns:
            The line without its end.
        """
        when = self.when or datetime.now(UTC).isoformat(timespec="milliseconds")
        probability = None if self.probability is None else round(self.probability, 6)
        changed = {"when": when, "who": self.who[:_MAX_USER_LENGTH] or NOBODY, "probability": probability}
        entry = asdict(self) | changed | {"features": [round(value, 2) for value in self.features]}
        return json.dumps(entry if self.features else {k: v for k, v in entry.items() if k != "features"})


def audit_log() -> Path | None:
    """Return the file that FRACTURE_AUDIT_LOG names.

    Returns:
        The file; None if the log is off.
    """
    named = os.environ.get("FRACTURE_AUDIT_LOG", "").strip()
    return Path(named).absolute() if named else None


def record(lines: Iterable[AuditLine], path: Path | None = None) -> None:
    """Append lines to the audit log, all or none, and wait until they are on disk. Several processes may share one log.

    Args:
        lines: The findings to record.
        path: The log; by default `audit_log()`. Nothing happens if it is off.

    Raises:
        AuditLogError: The log cannot be written; the findings must not be shown.
    """
    path = path or audit_log()
    data = "".join(f"{line.to_json()}\n" for line in lines).encode()
    if path is None or not data:
        return
    try:
        with exclusive_lock(path):
            append_durably(path, data)
    except OSError as error:
        raise AuditLogError(
            f"The audit log cannot be written ({error.strerror}), so no finding is shown. "
            "Please contact the administrator of this server."
        ) from error

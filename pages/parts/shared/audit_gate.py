"""Record a finding in the audit log, if it is on, before it is shown."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from fracture_core.reporting.audit_log import AuditLogError, audit_log, record
from fracture_core.reporting.worklist import Entry
from pages.parts.shared.auth import who
from pages.parts.shared.sidebar import Choice, escape_markdown


def recorded(entries: Sequence[Entry], choice: Choice) -> bool:
    """Record each finding the first time this session shows it; on failure show an error and return False."""
    if audit_log() is None:
        return True
    seen: set[tuple] = st.session_state.setdefault("recorded", set())
    points = choice.rule_out, choice.rule_in
    thresholds = tuple(point.threshold for point in points)
    fresh = {(entry.sha256, entry.bundle, *thresholds): entry.audit_line(*points, who()) for entry in entries}
    fresh = {key: line for key, line in fresh.items() if line and key not in seen}
    try:
        record(fresh.values())
    except AuditLogError as error:
        st.error(escape_markdown(str(error)))
        return False
    seen.update(fresh)
    return True

"""Taking a finding along: PDF, PNG and a CSV line."""

from __future__ import annotations

import streamlit as st

from fracture_core.bundle import Bundle
from fracture_core.predict import Finding


def offer_report(finding: Finding, bundle: Bundle) -> None:
    """Draw the downloads; each is made when it is asked for."""
    from fracture_core.report import csv_line, file_stem, report_pdf, report_png

    named = st.session_state.get("report_named", True)
    with st.popover("Report", icon=":material/description:"):
        st.checkbox(
            "With the file's name",
            value=True,
            key="report_named",
            help="File names can hold a patient's name; without it the report knows the file by its SHA-256.",
        )
        stem = file_stem(finding, named=named)
        kinds = (
            ("PDF", "pdf", "application/pdf", report_pdf),
            ("PNG", "png", "image/png", report_png),
            ("CSV line", "csv", "text/csv", csv_line),
        )
        for label, suffix, mime, make in kinds:
            st.download_button(
                label,
                lambda make=make: make(finding, bundle, named=named),
                f"{stem}.{suffix}",
                mime,
                on_click="ignore",
                width="stretch",
            )

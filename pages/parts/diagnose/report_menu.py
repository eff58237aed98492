"""The report of a finding: PDF, PNG and CSV."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from fracture_core.bundle.bundle import Bundle
from fracture_core.inference.predictor import Finding
from pages.parts.diagnose.dicom_identity import identifiers


def offer_report(
    finding: Finding, bundle: Bundle, data: bytes, reader_finding: str = "", notes: Sequence[str] = ()
) -> None:
    """Draw the downloads of a finding on the file `data`; each is made when it is asked for."""
    from fracture_core.reporting.report import csv_line, file_stem, report_pdf, report_png

    dicom = finding.radiograph.format == "DICOM"
    with st.popover("Report", icon=":material/description:"):
        named = st.checkbox(
            "Include file name",
            value=not dicom,  # archives often name these after the patient
            key="report_named_dicom" if dicom else "report_named",
            help="File names may contain a patient's name. Without it, the report identifies the file by its SHA-256.",
        )
        identified = dicom and st.checkbox(
            "Include patient details",
            key="report_identified",
            help="From the DICOM header, in the PDF and PNG only, never in the CSV.",
        )

        def page(make) -> bytes:
            patient = identifiers(data) if identified else None
            return make(finding, bundle, named=named, patient=patient, reader_finding=reader_finding, notes=notes)

        def row() -> str:
            return csv_line(finding, named=named, reader_finding=reader_finding)

        stem = file_stem(finding, named=named)
        kinds = (
            ("PDF", "pdf", "application/pdf", lambda: page(report_pdf)),
            ("PNG", "png", "image/png", lambda: page(report_png)),
            (
                "CSV row",
                "csv",
                "text/csv",
                row,
            ),
        )
        for label, suffix, mime, make in kinds:
            st.download_button(label, make, f"{stem}.{suffix}", mime, on_click="ignore", width="stretch")

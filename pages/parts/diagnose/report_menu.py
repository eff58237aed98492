"""Taking a finding along: PDF, PNG and a CSV line."""

from __future__ import annotations

import streamlit as st

from fracture_core.bundle.bundle import Bundle
from fracture_core.inference.predictor import Finding
from pages.parts.diagnose.dicom_identity import identifiers


def offer_report(finding: Finding, bundle: Bundle, data: bytes, reader_finding: str = "") -> None:
    """Draw the downloads of a finding on the file `data`; each is made when it is asked for."""
    from fracture_core.reporting.report import csv_line, file_stem, report_pdf, report_png

    dicom = finding.radiograph.format == "DICOM"
    with st.popover("Report", icon=":material/description:"):
        named = st.checkbox(
            "Include file name",
            value=not dicom,  # archives often name these after the patient
            key="report_named_dicom" if dicom else "report_named",
            help="File names can hold a patient's name; without it the report knows the file by its SHA-256.",
        )
        identified = dicom and st.checkbox(
            "Include patient details",
            key="report_identified",
            help="As the DICOM header has them; in the PDF and the PNG, never in the CSV row.",
        )

        def page(make) -> bytes:
            patient = identifiers(data) if identified else None
            return make(finding, bundle, named=named, patient=patient, reader_finding=reader_finding)

        def row() -> str:
            return csv_line(finding, bundle, named=named, reader_finding=reader_finding)

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

"""Patient details from a DICOM header: shown on request, kept nowhere."""

from __future__ import annotations

import streamlit as st

from fracture_core.imaging.radiograph import Radiograph, UnreadableRadiograph


def offer_identity(radiograph: Radiograph, data: bytes) -> None:
    """Draw a switch that shows the identifiers of a DICOM file; nothing for other files. It starts switched off."""
    if radiograph.format != "DICOM":
        return
    if not st.toggle("Show patient details (DICOM header)", key=f"identity {radiograph.sha256}"):
        return
    from fracture_core.reporting.patient_details import patient_lines

    identity = identifiers(data)
    if not identity:
        st.caption("Not stated in the file.")
        return
    # Not a table or Markdown: the words come from a file.
    st.code("\n".join(f"{label}: {words}" for label, words in patient_lines(identity)), language=None, wrap_lines=True)


def identifiers(data: bytes) -> dict[str, str]:
    """Read them from the uploaded bytes, which the session holds."""
    from fracture_core.imaging.dicom.identifiers import dicom_identifiers

    try:
        return dicom_identifiers(data)
    except UnreadableRadiograph:
        return {}

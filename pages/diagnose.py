"""Drop radiographs; see the finding, the evidence, and how far to trust it."""

import streamlit as st

from pages.parts.shared.page_header import head

head("Diagnose")
uploads = st.file_uploader(
    "Radiographs: JPEG, PNG, TIFF, BMP, WebP or DICOM, one or many",
    accept_multiple_files=True,
    key="uploads",
    help="Files stay in this server's memory while this page is open and are written nowhere.",
)

# Imported here, not above: the page is on screen before the libraries behind it are in memory.
from pages.parts.diagnose.page import diagnose  # noqa: E402

diagnose(uploads)

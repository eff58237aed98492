"""Offer to download FracAtlas: what it is, its licence, and the button."""

from __future__ import annotations

import os

import streamlit as st

from fracture_core.concurrency import TaskState
from fracture_core.data.download import SIZE, download_job, kept_bytes
from fracture_core.paths import dataset_folder
from pages.parts.shared.sidebar import escape_markdown

ABOUT = (
    "FracAtlas is a set of 4,083 radiographs of hands, legs, hips and shoulders from three hospitals in Bangladesh, "
    "717 of them with fractures, which radiologists have outlined. It has no patient names or ids."
)
LICENCE = (
    "Abedeen et al., FracAtlas, Scientific Data 10, 521 (2023), doi 10.1038/s41597-023-02432-4. "
    "Licence: Creative Commons Attribution 4.0 (CC BY 4.0): free to use with attribution."
)


def offer_download(reason: str) -> None:
    """Draw the offer, and the progress of a download that is under way, in this session or another."""
    st.subheader("FracAtlas is not installed", anchor=False)
    st.write(ABOUT)
    st.write(LICENCE)
    _panel(reason)


@st.fragment(run_every=1.0)
def _panel(reason: str) -> None:
    destination = dataset_folder()
    job = download_job(destination)
    progress = job.progress
    if progress.busy:
        st.progress(progress.share, download_status_text(progress))
        stopping = progress.state == "stopping"
        st.button("Cancel", on_click=job.cancel, disabled=stopping, icon=":material/close:", key="cancel_download")
        st.caption(
            "The download continues while you use other pages or close this one. If you cancel, the part already "
            "downloaded is kept."
        )
        return
    if (destination / "dataset.csv").is_file():
        st.rerun(scope="app")
    if progress.state == "failed":
        st.error(escape_markdown(progress.error))
    st.button(offer(destination), type="primary", on_click=job.start, icon=":material/download:", key="download")
    st.caption("It is downloaded from figshare, its publisher, and verified. It needs about 1 GB of free disk space.")
    st.caption(escape_markdown(reason.replace("`", "")))


def offer(destination: str | os.PathLike[str]) -> str:
    """Return the label of a button that starts or resumes a download.

    Args:
        destination: The folder.

    Returns:
        The text.
    """
    done = kept_bytes(destination)
    if done:
        return f"Resume download ({done / 1e6:.0f} of {SIZE / 1e6:.0f} MB)"
    return f"Download FracAtlas ({SIZE / 1e6:.0f} MB)"


def download_status_text(progress: TaskState) -> str:
    """Describe the progress of a download.

    Args:
        progress: Its state.

    Returns:
        The text.
    """
    if progress.state == "stopping":
        return "Stopping …"
    if not progress.total:
        return "Connecting …"
    if progress.done >= progress.total:
        return "Download complete. Verifying and extracting …"
    return f"{progress.done / 1e6:.0f} of {progress.total / 1e6:.0f} MB"

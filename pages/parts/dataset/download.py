"""What is shown where FracAtlas is not: what it is, its licence, and the button that gets it."""

from __future__ import annotations

import streamlit as st

from fracture_core.data.download import ABOUT, LICENCE, download_job, in_words, offer
from fracture_core.paths import dataset_folder
from pages.parts.shared.sidebar import escape_markdown


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
        st.progress(progress.share, in_words(progress))
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
    st.caption(escape_markdown(reason))

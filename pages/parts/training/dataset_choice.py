"""Choose the radiographs to train on: FracAtlas, or a folder of your own, checked before anything starts."""

from __future__ import annotations

import streamlit as st

from fracture_core.concurrency import BackgroundTask
from fracture_core.data.user_index import last_change
from fracture_core.jobs.preparation import check_dataset
from fracture_core.paths import dataset_folder, expand_user_path
from fracture_core.reporting.training_text import dataset_in_words
from pages.parts.shared.sidebar import escape_markdown

_FRACATLAS, _OWN = "FracAtlas", "My own folder"


def choose_dataset() -> tuple[str | None, object, object] | None:
    """Draw the choice of a dataset.

    Returns the folder (None for FracAtlas), the dataset and its split; None until they are known.
    """
    which = st.segmented_control("Radiographs", (_FRACATLAS, _OWN), default=_FRACATLAS, required=True, key="train_on")
    folder = None
    if which == _OWN:
        folder = st.text_input(
            "Folder or csv file",
            key="train_folder",
            placeholder="/home/me/radiographs",
            help="A folder with one subfolder per class (fractured, normal), or a CSV with one image and label per "
            "row. Nothing is copied or sent anywhere.",
        ).strip()
        if not folder:
            return None
    looked = _look(folder, _stamp(folder))
    if looked.progress.busy:
        looked.join(2.0)
    if looked.progress.busy:
        _wait(folder)
        return None
    if looked.result is None:
        st.error(escape_markdown(looked.progress.error))
        if st.button("Check again", key="look_again"):
            _look.clear()
            st.rerun()
        return None
    dataset, split = looked.result
    st.caption(escape_markdown(dataset_in_words(dataset, split)))
    return folder, dataset, split


@st.fragment(run_every=0.5)
def _wait(folder: str | None) -> None:
    progress = _look(folder, _stamp(folder)).progress
    if not progress.busy:
        st.rerun(scope="app")
    st.progress(progress.share, "Reading the dataset …")


def _stamp(folder: str | None) -> float:
    """Return a value that changes when files are added or removed; 0.0 for a missing folder."""
    return last_change(expand_user_path(folder) if folder else dataset_folder() / "dataset.csv")


@st.cache_resource(max_entries=4, show_spinner=False)
def _look(folder: str | None, stamp: float) -> BackgroundTask:
    work = BackgroundTask(lambda step, stop: check_dataset(folder, progress=step))
    work.start()
    return work

"""Choose the radiographs to train on: FracAtlas, a folder of your own, or both together; checked before the start."""

from __future__ import annotations

import streamlit as st

from fracture_core.concurrency import BackgroundTask
from fracture_core.data.combined.dataset import WEIGHTS, CombinedDataset
from fracture_core.data.combined.sources import Sources
from fracture_core.data.user_index import last_change
from fracture_core.jobs.preparation import check_dataset
from fracture_core.paths import dataset_folder, expand_user_path, review_folder
from fracture_core.reporting.training_text import dataset_in_words
from pages.parts.shared.sidebar import escape_markdown

_FRACATLAS, _OWN, _BOTH = "FracAtlas", "My own folder", "FracAtlas and my films"


def choose_dataset() -> tuple[Sources, object, object] | None:
    """Draw the choice of a dataset.

    Returns where the radiographs are, the dataset and its split; None until they are known.
    """
    which = st.segmented_control(
        "Radiographs", (_FRACATLAS, _OWN, _BOTH), default=_FRACATLAS, required=True, key="train_on", wrap=True
    )
    sources = _sources(which)
    if sources is None:
        return None
    looked = _look(sources, _stamp(sources))
    if looked.progress.busy:
        looked.join(2.0)
    if looked.progress.busy:
        _wait(sources)
        return None
    if looked.result is None:
        st.error(escape_markdown(looked.progress.error))
        if st.button("Check again", key="look_again"):
            _look.clear()
            st.rerun()
        return None
    dataset, split = looked.result
    if isinstance(dataset, CombinedDataset):
        sources, dataset = _weighted(sources, dataset)
    st.caption(escape_markdown(dataset_in_words(dataset, split)))
    return sources, dataset, split


def _sources(which: str) -> Sources | None:
    """Draw the field for a folder where one is needed; return None while it is empty."""
    if which == _FRACATLAS:
        return Sources()
    if which == _OWN:
        folder = st.text_input(
            "Folder or csv file",
            key="train_folder",
            placeholder="/home/me/radiographs",
            help="A folder with one subfolder per class (fractured, normal), or a CSV with one image and label per "
            "row. Nothing is copied or sent anywhere.",
        ).strip()
        return Sources(dataset=folder) if folder else None
    folder = st.text_input(
        "Folder of my films",
        str(review_folder() or ""),
        key="train_site",
        placeholder="/home/me/review",
        help="The review folder, or any folder or CSV of your own. Each film stays on one side of the split with all "
        "others of its patient; FracAtlas keeps its own split. Nothing is copied or sent anywhere.",
    ).strip()
    return Sources(site=folder) if folder else None


def _weighted(sources: Sources, dataset: CombinedDataset) -> tuple[Sources, CombinedDataset]:
    """Draw the weight of a film of the user's; return both with it."""
    weight = st.number_input(
        "One of my films counts as much as this many of FracAtlas",
        *WEIGHTS,
        dataset.site_weight,
        step=0.5,
        key=f"train_weight_{sources.site}",
        width=420,
        help="More learns your films better and forgets more of FracAtlas. By default your films have a quarter of the "
        "weight, where one then counts at least once and at most four times.",
    )
    return Sources(site=sources.site, site_weight=weight), dataset.with_weight(weight)


@st.fragment(run_every=0.5)
def _wait(sources: Sources) -> None:
    progress = _look(sources, _stamp(sources)).progress
    if not progress.busy:
        st.rerun(scope="app")
    st.progress(progress.share, "Reading the dataset …")


def _stamp(sources: Sources) -> float:
    """Return a value that changes when files are added or removed; 0.0 for a missing folder."""
    first = expand_user_path(sources.dataset) if sources.dataset else dataset_folder() / "dataset.csv"
    site = last_change(expand_user_path(sources.site)) if sources.site else 0.0
    return last_change(first) + site


@st.cache_resource(max_entries=4, show_spinner=False)
def _look(sources: Sources, stamp: float) -> BackgroundTask:
    work = BackgroundTask(lambda step, stop: check_dataset(sources, progress=step))
    work.start()
    return work

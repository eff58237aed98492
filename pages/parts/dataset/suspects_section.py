"""Suspect labels: radiographs whose label is contradicted with confidence by judges that never learned from it."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from fracture_core.bundle.bundle import Bundle
from fracture_core.bundle.loading import list_bundles
from fracture_core.concurrency import BackgroundTask
from fracture_core.data.catalogue import LABELS
from fracture_core.errors import FractureCoreError
from fracture_core.evaluation.image_features import images_stored
from fracture_core.evaluation.suspect_list import (
    boxed,
    duplicate_groups,
    find_suspects,
    trained_images,
    with_context,
)
from fracture_core.formatting import format_percent, inert_cell
from fracture_core.paths import models_folder
from pages.parts.dataset.cache import Sources
from pages.parts.dataset.features_work import NO_MODEL, panel
from pages.parts.dataset.image_view import open_image
from pages.parts.dataset.tiles import leaf, tile, tiles
from pages.parts.shared.gallery import Tile, gallery
from pages.parts.shared.predictor_cache import predictor
from pages.parts.shared.sidebar import Choice, verified

_PAGE, _WIDTH = 24, 168
_NETWORKS = 2
_HELP = (
    "Confident learning. Radiographs that no network was trained on are judged by the networks' own answers, the "
    "others by a layer in the middle of the networks, which knows their labels less than the last one does. Every "
    "judge is a regression on other radiographs: none saw the radiograph itself or a duplicate. Errors that the "
    "networks learned by heart stay hidden. docs/suspect_labels.md says how many planted errors are found."
)
_SHOWN = {"all": "All", "held": "Not trained on", "trained": "Trained on"}


def suspects(sources: Sources, choice: Choice | None) -> None:
    """Draw the images whose label the others contradict, and offer them as CSV."""
    if choice is None:
        st.info(NO_MODEL)
        return
    if sources.audit is None:
        st.info("The audit has not finished. It finds the duplicates, which must not judge each other.")
        return
    bundles = _networks(choice)
    versions = tuple(bundle.version for bundle in bundles)

    def find() -> BackgroundTask[pd.DataFrame | None]:
        return _work(sources.key, versions, bundles, sources)

    if (table := find().result) is None:
        panel(find, "suspects", len(bundles), *_progress(sources, versions))
    else:
        _draw(sources, choice, table)


def _draw(sources: Sources, choice: Choice, table: pd.DataFrame) -> None:
    st.markdown(_summary(table, len(sources.table)), help=_HELP)
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        shown = st.segmented_control(
            "Radiographs that the networks were",
            list(_SHOWN),
            default="all",
            required=True,
            key="suspects_of",
            format_func=_SHOWN.get,
            bind="query-params",
            persist_state="page",
            on_change=_first_page,
        )
        st.download_button(
            "Download all as CSV",
            table.assign(image_id=table["image_id"].map(inert_cell)).to_csv(index=False),
            "suspect-labels.csv",
            "text/csv",
            key="suspects_csv",
            icon=":material/download:",
            on_click="ignore",
        )
    rows = table if shown == "all" else table[table["trained_on"] == (shown == "trained")]
    if rows.empty:
        st.info("No label of these radiographs is suspect.")
        return
    place, page = leaf(rows["image_id"].tolist(), _PAGE, "suspect_page")
    with place:
        gallery(_tiles(sources, choice, rows, page.ids), "suspect_grid", open_image, width=_WIDTH)


def _first_page() -> None:
    st.session_state["suspect_page"] = 1


def _tiles(sources: Sources, choice: Choice, rows: pd.DataFrame, ids: tuple[str, ...]) -> list[Tile]:
    known = rows.set_index("image_id")
    sizes = sources.survey.images
    labelled = []
    for plain in tiles(sources, ids):
        image_id = plain.image_id
        size = int(sizes.at[image_id, "width"]), int(sizes.at[image_id, "height"])
        image = boxed(plain.image, sources.dataset.boxes(image_id), size)
        labelled.append(tile(sources, image_id, image, _words(known.loc[image_id]), choice))
    return labelled


def _summary(table: pd.DataFrame, total: int) -> str:
    fractured = int(table["label"].sum())
    return (
        f"**{len(table)}** of {total:,} labels are contradicted with confidence: {fractured} that say fracture, "
        f"{len(table) - fractured} that say none. Most suspect first. A reason to look again, not an error: many are "
        "fractures that are hard to see."
    )


def _words(row: pd.Series) -> str:
    lines = [f"fracture by the other labels: {format_percent(row['probability'])}"]
    if row["duplicates"]:
        copies = [copy.partition("=") for copy in row["duplicates"].split()]
        lines.append("duplicate " + ", ".join(f"{copy_id} ({LABELS[label == '0']})" for copy_id, _, label in copies))
    return "; ".join([*lines, "a network was trained on it"] if row["trained_on"] else lines)


def _networks(choice: Choice) -> list[Bundle]:
    """Return the chosen model and the next that can be loaded, in an order that does not depend on the choice."""
    bundles = [choice.bundle]
    for name in list_bundles(models_folder()):
        try:
            if name != choice.bundle.name and len(bundles) < _NETWORKS:
                bundles.append(verified(name))
        except FractureCoreError:
            continue
    return sorted(bundles, key=lambda bundle: bundle.name)


def _progress(sources: Sources, versions: tuple[str, ...]) -> tuple[int, int]:
    paths = sources.paths
    return sum(images_stored(version, paths) for version in versions), len(paths) * len(versions)


@st.cache_resource(max_entries=4, show_spinner=False)
def _work(
    key: tuple, versions: tuple[str, ...], _bundles: list[Bundle], _sources: Sources
) -> BackgroundTask[pd.DataFrame | None]:
    """Return the task; where every feature is kept it is begun at once, and takes seconds."""
    dataset, paths = _sources.dataset, _sources.paths
    groups = duplicate_groups(_sources.audit)
    trained = trained_images(paths, [bundle.predictions() for bundle in _bundles])
    labels = _sources.table["label"].astype(int).to_dict()

    def run(step, stop) -> pd.DataFrame | None:
        scorers = {bundle.version: predictor(bundle).scorer for bundle in _bundles}
        listed = find_suspects(scorers, paths, labels, groups, trained, progress=step, stop=stop.is_set)
        return None if listed is None else with_context(listed, dataset, groups)

    work = BackgroundTask(run)
    cached, total = _progress(_sources, versions)
    if cached == total:
        work.start()
    return work

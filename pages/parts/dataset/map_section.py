"""The map of all radiographs, and suspect labels; both from features that are computed once, in the background."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from fracture_core.bundle.bundle import Bundle
from fracture_core.concurrency import BackgroundTask
from fracture_core.data.catalogue import with_outcomes
from fracture_core.evaluation.feature_map import METHODS, FeatureMap, feature_map, is_kept
from fracture_core.evaluation.suspect_labels import suspect_labels
from fracture_core.reporting.dataset_charts import COLOURINGS, map_chart
from pages.parts.dataset.cache import Sources
from pages.parts.dataset.image_view import open_image
from pages.parts.dataset.tiles import leaf, tiles
from pages.parts.shared.chart import draw_selectable
from pages.parts.shared.gallery import gallery
from pages.parts.shared.predictor_cache import predictor
from pages.parts.shared.sidebar import Choice, escape_markdown

_PAGE = 24
_NO_MODEL = "No model is installed, so there are no features to compare radiographs by."


def map_of_images(sources: Sources, choice: Choice | None) -> None:
    """Draw the map; a lasso selects images, which the grid below it shows."""
    found = _ready(sources, choice)
    if found is None:
        return
    with st.container(horizontal=True, gap="medium"):
        method = _one("Method", METHODS, "map_by")
        colouring = _one("Colour", tuple(COLOURINGS), "colour")
    table = with_outcomes(sources.table, choice.rule_out.threshold, choice.rule_in.threshold)
    figure = map_chart(found, table, method, colouring, _open_films(choice))
    alt = f"Every radiograph by the network's features, {method}, coloured by {colouring.lower()}"
    ids = draw_selectable(figure, "feature_map", height=560, alt=alt)
    if not ids:
        st.caption("Radiographs that the network finds alike lie close. Draw round some to see them here.")
        return
    st.markdown(f"**{len(ids):,}** of {len(found.ids):,} radiographs selected")
    place, page = leaf(ids, _PAGE, "map_page")
    with place:
        gallery(tiles(sources, page.ids, choice=choice), "map_grid", open_image)


def suspects(sources: Sources, choice: Choice | None) -> None:
    """Draw the images whose label the others contradict, and offer them as CSV."""
    found = _ready(sources, choice)
    if found is None:
        return
    table = _suspects(sources.key, choice.bundle.version, sources.audit is not None, sources, found)
    st.markdown(
        f"**{len(table)}** of {len(found.ids):,} labels are contradicted with confidence. Each image is judged by five "
        "models on the network's features that saw neither it nor its duplicates (confident learning). A suspect label "
        "is a reason to look again, not an error: the network itself was trained on many of these labels."
    )
    st.download_button(
        "Download as CSV", table.to_csv(index=False), "suspect-labels.csv", "text/csv", key="suspects_csv"
    )
    if table.empty:
        return
    place, page = leaf(range(len(table)), _PAGE, "suspect_page")
    rows = table.iloc[list(page.ids)]
    words = {
        i: f"probability by the others {p:.2f}" for i, p in zip(rows["image_id"], rows["probability"], strict=True)
    }
    with place:
        gallery(tiles(sources, rows["image_id"].tolist(), words, choice=choice), "suspect_grid", open_image)


def _ready(sources: Sources, choice: Choice | None) -> FeatureMap | None:
    """Return the map; before it is there, draw the button or the progress."""
    if choice is None:
        st.info(_NO_MODEL)
        return None
    work = _work(sources.key, choice.bundle.version, choice.bundle, sources)
    if work.result is not None:
        return work.result
    _panel(sources, choice)
    return None


@st.fragment(run_every=1.0)
def _panel(sources: Sources, choice: Choice) -> None:
    work = _work(sources.key, choice.bundle.version, choice.bundle, sources)
    progress = work.progress
    if work.result is not None:
        st.rerun(scope="app")
    if progress.busy:
        st.progress(progress.share, "Computing the network's features of every radiograph, once …")
        st.button("Cancel", key="map_cancel", on_click=work.cancel, icon=":material/close:")
        return
    if progress.state == "failed":
        st.error(escape_markdown(progress.error))
    st.markdown("The network looks at every radiograph once, for some minutes; what it finds is kept for later visits.")
    st.button("Compute the features", key="map_start", type="primary", on_click=work.start)


@st.cache_resource(max_entries=2, show_spinner=False)
def _work(key: tuple, version: str, _bundle: Bundle, _sources: Sources) -> BackgroundTask[FeatureMap | None]:
    dataset = _sources.dataset
    paths = {image_id: dataset.path(image_id) for image_id in dataset.table.index}
    work = BackgroundTask(
        lambda step, stop: feature_map(predictor(_bundle).scorer, version, paths, progress=step, stop=stop.is_set)
    )
    if is_kept(version, paths):
        work.start()
        work.join(3.0)
    return work


@st.cache_data(max_entries=4, show_spinner="Judging every label by the others …")
def _suspects(key: tuple, version: str, audited: bool, _sources: Sources, _found: FeatureMap) -> pd.DataFrame:
    groups = {}
    for members in _sources.audit.duplicate_groups if audited else ():
        groups |= dict.fromkeys(members, members)
    return suspect_labels(_found, _sources.table["label"].to_dict(), groups)


def _open_films(choice: Choice) -> dict[str, object]:
    """Features of the films that are open on the Diagnose page and that this model has read."""
    films, version = st.session_state.get("films"), choice.bundle.version
    if films is None:
        return {}
    found = {}
    for film in films.films:
        if films.ready(film.key, version):
            finding = films.result(film.key, predictor(choice.bundle), choice.rule_out, choice.rule_in)
            outputs = getattr(finding, "outputs", {})
            found |= {film.name: outputs["embedding"]} if "embedding" in outputs else {}
    return found


def _one(label: str, options: tuple[str, ...], key: str) -> str:
    return st.segmented_control(
        label, options, default=options[0], required=True, key=key, bind="query-params", persist_state="page", wrap=True
    )

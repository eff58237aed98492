"""The map of all radiographs by the network's features, which are computed once, in the background."""

from __future__ import annotations

import streamlit as st

from fracture_core.bundle.bundle import Bundle
from fracture_core.concurrency import BackgroundTask
from fracture_core.data.catalogue import with_outcomes
from fracture_core.evaluation.feature_map import METHODS, FeatureMap, feature_map, is_stored
from fracture_core.evaluation.image_features import images_stored
from fracture_core.reporting.dataset_charts import COLOURINGS, map_chart
from pages.parts.dataset.cache import Sources
from pages.parts.dataset.features_work import NO_MODEL, panel
from pages.parts.dataset.image_view import open_image
from pages.parts.dataset.one_of import one_of
from pages.parts.dataset.tiles import leaf, tiles
from pages.parts.shared.chart import draw_selectable
from pages.parts.shared.gallery import gallery
from pages.parts.shared.predictor_cache import predictor
from pages.parts.shared.sidebar import Choice

_PAGE = 24
#: On a touch screen a drag scrolls the page, as it does everywhere else, until drawing is asked for.
_TOUCH = """<style>
.st-key-map_touch { display: none; }
@media (pointer: coarse) {
  .st-key-map_touch { display: block; }
  :root:not(:has(.st-key-map_touch input:checked)) .st-key-chart_feature_map .draglayer * {
    pointer-events: none !important; }
  :root:not(:has(.st-key-map_touch input:checked)) .st-key-chart_feature_map .modebar { display: none; }
}
</style>"""


def map_of_images(sources: Sources, choice: Choice | None) -> None:
    """Draw the map; a lasso selects images, which the grid below it shows."""
    if choice is None:
        st.info(NO_MODEL)
        return

    def find() -> BackgroundTask[FeatureMap | None]:
        return _work(sources.key, choice.bundle.version, choice.bundle, sources)

    if (feature_map := find().result) is None:
        panel(find, "map", 1, images_stored(choice.bundle.version, sources.paths), len(sources.paths))
        return
    with st.container(horizontal=True, gap="medium"):
        method = one_of("Method", METHODS, "map_by")
        colouring = one_of("Colour", tuple(COLOURINGS), "colour")
    table = with_outcomes(sources.table, choice.rule_out.threshold, choice.rule_in.threshold)
    if colouring.startswith("Source"):
        table = table.join(sources.survey.images[["width", "height"]])
        st.caption(
            "FracAtlas does not say which hospital a radiograph is from, but files from one source have the same size."
        )
    figure = map_chart(feature_map, table, method, colouring, _open_films(choice))
    st.html(_TOUCH)
    st.toggle("Draw around radiographs with a finger", key="map_touch")
    alt = f"Every radiograph by the network's features, {method}, coloured by {colouring.lower()}"
    ids = draw_selectable(figure, "feature_map", height=560, alt=alt)
    if not ids:
        st.caption("Radiographs that the network finds similar lie close together. Draw around some to see them here.")
        return
    if st.session_state.get("map_selected") != ids:
        st.session_state["map_selected"] = ids
        if st.session_state.get("map_page", 1) != 1:
            st.session_state["map_page"] = 1
    st.markdown(f"**{len(ids):,}** of {len(feature_map.ids):,} radiographs selected")
    place, page = leaf(ids, _PAGE, "map_page")
    with place:
        gallery(tiles(sources, page.ids, choice=choice), "map_grid", open_image)


@st.cache_resource(max_entries=2, show_spinner=False)
def _work(key: tuple, version: str, _bundle: Bundle, _sources: Sources) -> BackgroundTask[FeatureMap | None]:
    """Return the task; a map that is kept is waited for, and one whose features are kept is begun at once."""
    paths = _sources.paths
    work = BackgroundTask(
        lambda step, stop: feature_map(predictor(_bundle).scorer, version, paths, progress=step, stop=stop.is_set)
    )
    if is_stored(version, paths):
        work.start()
        work.join(3.0)
    elif images_stored(version, paths) == len(paths):
        work.start()
    return work


def _open_films(choice: Choice) -> dict[str, object]:
    """Features of the films that are open on the Diagnose page and that this model has read."""
    films, version = st.session_state.get("films"), choice.bundle.version
    if films is None:
        return {}
    embeddings = {}
    for film in films.films:
        if films.ready(film.key, version):
            finding = films.result(film.key, predictor(choice.bundle), choice.rule_out, choice.rule_in)
            outputs = getattr(finding, "outputs", {})
            name = film.name if getattr(finding, "assessed", False) else f"{film.name}, not read"
            embeddings |= {name: outputs["embedding"]} if "embedding" in outputs else {}
    return embeddings

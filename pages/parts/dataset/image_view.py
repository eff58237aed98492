"""One image of FracAtlas: the whole image, what the dataset and the model say of it, and its duplicates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from fracture_core.data.catalogue import facts
from fracture_core.errors import FractureCoreError
from fracture_core.formatting import format_percent
from fracture_core.imaging.radiograph import read_radiograph
from fracture_core.pagination import neighbours
from pages.parts.dataset.cache import Sources
from pages.parts.dataset.tiles import tiles
from pages.parts.diagnose import examples as samples
from pages.parts.shared.engine_queue import engine_turn
from pages.parts.shared.gallery import gallery
from pages.parts.shared.predictor_cache import predictor
from pages.parts.shared.sidebar import Choice, escape_markdown
from pages.parts.shared.viewer import finding_data, radiograph_data, viewer

#: The whole image fits below the toolbar.
_STYLE = """<style>
:root { --viewer-height: clamp(420px, calc(100dvh - 24rem), 820px); }
@media (max-width: 720px) { :root { --viewer-height: clamp(380px, 74dvh, 640px); } }
</style>"""


@dataclass(frozen=True, eq=False)
class _Shown:
    key: tuple
    image: dict[str, Any]
    probability: float | None
    finding: str
    warnings: tuple[str, ...]


def opened(sources: Sources) -> str | None:
    """Return the id of the image that the address names, or None; report an unknown one on the page."""
    image_id = st.query_params.get("image")
    if image_id is None or image_id in sources.table.index:
        return image_id
    st.warning(f"{escape_markdown(image_id[:60])} is not in FracAtlas.")
    return None


def open_image(image_id: str) -> None:
    """Show this image at the next run."""
    st.query_params["image"] = image_id


def close_image() -> None:
    """Go back to the grid at the next run."""
    st.query_params.pop("image", None)


def show_image(sources: Sources, choice: Choice | None, image_id: str, ids: list[str]) -> None:
    """Draw it; `ids` are the images that the filters leave, to leaf through."""
    st.html(_STYLE)
    where = _toolbar(choice, image_id, ids)
    slot = st.empty()
    try:
        shown = _shown(sources, choice, image_id, slot)
    except (OSError, FractureCoreError) as error:
        st.error(f"{image_id} cannot be shown. {escape_markdown(str(error))}")
        return
    # Its name comes with its image, not while the one before is still there.
    st.markdown(f"#### {image_id}" + (f"  :gray[{where}]" if where else ""))
    dataset = sources.dataset
    viewer(shown.image, dataset.boxes(image_id), dataset.polygons(image_id))
    reference, known = st.columns(2, gap="large")
    with reference:
        _model(sources, choice, image_id, shown)
        _duplicates(sources, image_id)
    with known:
        st.subheader("Reference (FracAtlas)", anchor=False)
        st.table(dict(facts(sources.table, image_id)), border="horizontal")


def _toolbar(choice: Choice | None, image_id: str, ids: list[str]) -> str:
    """Draw the buttons, and return where the image stands among `ids`, in words."""
    before, after, place = neighbours(ids, image_id)
    where = f"{place:,} of {len(ids):,} matching the filters" if place else ""
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        st.button("Back to the grid", on_click=close_image, icon=":material/grid_view:", key="back", shortcut="Escape")
        st.button(
            "Previous",
            on_click=open_image,
            args=(before,),
            disabled=before is None,
            icon=":material/arrow_back:",
            key="previous",
            shortcut="Left",
        )
        st.button(
            "Next",
            on_click=open_image,
            args=(after,),
            disabled=after is None,
            icon=":material/arrow_forward:",
            key="next",
            shortcut="Right",
        )
        if choice is not None and st.button("Open in Diagnose", icon=":material/radiology:", key="diagnose"):
            samples.pick(image_id)
            st.switch_page("pages/diagnose.py")
    return where


def _shown(sources: Sources, choice: Choice | None, image_id: str, slot: DeltaGenerator) -> _Shown:
    """Read the image, and the finding where there is a bundle, unless it is the one that is open already."""
    path = sources.dataset.path(image_id)
    key = (sources.key, image_id, choice and (choice.bundle.version, choice.rule_out, choice.rule_in))
    opened = st.session_state.get("dataset_image")
    if opened is not None and opened.key == key:
        return opened
    radiograph = read_radiograph(path, accept_cut_short=True)
    if choice is None:
        shown = _Shown(key, radiograph_data(radiograph), None, "", radiograph.warnings)
    else:
        with engine_turn(lambda: slot):
            finding = predictor(choice.bundle).predict(radiograph, rule_out=choice.rule_out, rule_in=choice.rule_in)
        probability = finding.probability if finding.assessed else None
        shown = _Shown(key, finding_data(finding), probability, finding.triage, finding.warnings)
    st.session_state["dataset_image"] = shown
    return shown


def _model(sources: Sources, choice: Choice | None, image_id: str, shown: _Shown) -> None:
    st.subheader("Model", anchor=False)
    if choice is None:
        st.caption("No model is installed, so there is no prediction or heatmap.")
    else:
        answer = f"**{shown.finding.capitalize()}**"
        st.markdown(
            answer if shown.probability is None else f"{answer}, probability {format_percent(shown.probability)}"
        )
        if sources.table.at[image_id, "split"] in ("train", "left out"):
            st.caption("Not a validation or test image: the model may have been trained on it.")
    for warning in shown.warnings:
        st.caption(escape_markdown(warning))


def _duplicates(sources: Sources, image_id: str) -> None:
    st.subheader("Duplicates", anchor=False)
    if sources.audit is None:
        st.caption("Not known yet: the audit is still running.")
        return
    others = sources.audit.duplicates_of(image_id)
    if not others:
        st.caption("No duplicates.")
        return
    gallery(tiles(sources, others), "duplicates", open_image)

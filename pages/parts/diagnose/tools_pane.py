"""The tools for the open film: compare with the reference, change how it is read, report on it."""

from __future__ import annotations

import streamlit as st

from fracture_core.bundle.loading import list_bundles
from fracture_core.imaging.adjustment import Adjustment
from fracture_core.imaging.radiograph import Radiograph
from fracture_core.inference.predictor import Failure, Finding
from fracture_core.paths import models_folder
from fracture_core.reporting.demo_cases import ReferenceLabel
from fracture_core.reporting.film_session import FilmSession
from fracture_core.reporting.finding_text import READER_FINDINGS
from pages.parts.diagnose import examples
from pages.parts.diagnose.dicom_identity import offer_identity
from pages.parts.diagnose.report_menu import offer_report
from pages.parts.diagnose.uploads import remove_films
from pages.parts.shared.sidebar import Choice, model_label


def your_reading(films: FilmSession, key: str) -> None:
    """Draw the choice of what the person at the screen finds; kept for the session."""

    def keep() -> None:
        chosen = st.session_state[f"reading {key}"]
        films.readings.pop(key, None)
        if chosen and key in films:
            films.readings[key] = chosen

    st.segmented_control(
        "Your reading",
        READER_FINDINGS,
        default=films.readings.get(key),
        key=f"reading {key}",
        on_change=keep,
        help="Kept for this session, shown in the worklist, and included in its CSV and in the report.",
    )


def tools_pane(
    films: FilmSession, result: Finding | Failure, reference: ReferenceLabel | None, choice: Choice, key: str
) -> None:
    """Draw the tools for the open film."""
    film = films.film(key)
    if isinstance(result, Finding):
        if reference and st.toggle("Show reference label", key=examples.toggle_key(film), persist_state="session"):
            st.info(reference.summary_text(), icon=":material/menu_book:")
        offer_identity(result.radiograph, film.data)
        _dicom_choices(films, key, result.radiograph)
    if film.options.adjustments:
        st.button(
            "Back to the whole image",
            on_click=films.set_options,
            args=(key,),
            kwargs={"adjustments": ()},
            icon=":material/undo:",
        )
    if isinstance(result, Finding) and result.radiograph.screen_corners:
        straight = Adjustment(corners=result.radiograph.screen_corners)
        _offer(films, key, straight, "Straighten and assess again", ":material/crop_free:")
    _inversion(films, result, key)
    if isinstance(result, Finding) and not result.assessed:
        _ways_forward(films, choice, key, result.radiograph.turns_to_upright or 1)
    elif isinstance(result, Finding) and result.radiograph.turns_to_upright:
        _turn(films, key, result.radiograph.turns_to_upright)
    with st.container(horizontal=True, gap="small"):
        if isinstance(result, Finding):
            seen = [reference.seen_note] if reference and reference.seen_note else []
            offer_report(result, choice.bundle, film.data, films.readings.get(key, ""), seen)
        # Keyed by the film: what is pressed twice must not remove the next one as well.
        st.button(
            "Remove",
            key=f"remove {key}",
            on_click=remove_films,
            args=([key],),
            icon=":material/close:",
            help="Remove this radiograph.",
        )


def _inversion(films: FilmSession, result: Finding | Failure, key: str) -> None:
    """Draw the way back where an image looked inverted, and the way there again."""
    stored = films.film(key).options.greys_as_stored
    if stored or (isinstance(result, Finding) and result.turned_back):
        st.button(
            "Swap black and white if needed" if stored else "Undo the swap of black and white",
            on_click=films.set_options,
            args=(key,),
            kwargs={"greys_as_stored": not stored},
            icon=":material/invert_colors:" if stored else ":material/undo:",
        )


def truncated_choice(films: FilmSession) -> None:
    """Draw the switch that reads files as far as they go."""

    def change() -> None:
        for film in films.films:
            films.set_options(film.key, accept_cut_short=st.session_state["damaged"])

    st.checkbox(
        "Read incomplete files (part of the image is missing or wrong)",
        value=any(film.options.accept_cut_short for film in films.films),
        key="damaged",
        on_change=change,
        help="What is missing is not assessed; a warning says how much that is, as far as it is known.",
    )


def _turn(films: FilmSession, key: str, quarter_turns: int) -> None:
    icon = ":material/rotate_right:" if quarter_turns == 1 else ":material/rotate_left:"
    _offer(films, key, Adjustment(quarter_turns=quarter_turns), "Rotate by 90° and assess again", icon)


def _offer(films: FilmSession, key: str, adjustment: Adjustment, label: str, icon: str) -> None:
    """Draw a button that changes the image and has it assessed again; each state of the image has its own."""
    before = films.film(key).options.adjustments
    st.button(
        label,
        key=f"{label} {len(before)} {key}",
        on_click=films.set_options,
        args=(key,),
        kwargs={"adjustments": (*before, adjustment)},
        icon=icon,
    )


def _ways_forward(films: FilmSession, choice: Choice, key: str, quarter_turns: int) -> None:
    _turn(films, key, quarter_turns)
    for name in list_bundles(models_folder()):
        if name != choice.bundle.name:
            st.button(f"Try {model_label(name)}", key=f"try {name}", on_click=_use, args=(name,))


def _use(name: str) -> None:
    st.session_state["bundle"] = name


def _dicom_choices(films: FilmSession, key: str, radiograph: Radiograph) -> None:
    """Draw the choice of a DICOM file's frames and windows, if it has several."""
    header, options = radiograph.header, films.film(key).options
    if header is None:
        return

    def change(what: str) -> None:
        films.set_options(key, **{what: st.session_state[f"{what} {key}"]})

    choices = (
        ("frame", "Frame", [f"Frame {n + 1} of {header.number_of_frames}" for n in range(header.number_of_frames)]),
        ("window", "Window", [name or f"Window {n + 1}" for n, name in enumerate(header.windows)]),
    )
    for what, label, names in choices:
        if len(names) > 1:
            st.selectbox(
                label,
                range(len(names)),
                index=min(getattr(options, what), len(names) - 1),
                format_func=names.__getitem__,
                key=f"{what} {key}",
                on_change=change,
                args=(what,),
            )

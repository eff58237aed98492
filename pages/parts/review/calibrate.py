"""Calibrate the model to a site: choose labelled films, see what can be promised, compare, and save."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import streamlit as st

from fracture_core.bundle.saved_points import usable_points
from fracture_core.concurrency import BackgroundTask
from fracture_core.data.review.catalogue import ReviewFilters
from fracture_core.data.review.review_set import ReviewSet
from fracture_core.errors import FractureCoreError
from fracture_core.evaluation.monitoring.reference import save_reference
from fracture_core.evaluation.saved_site_calibrations import save_site_calibration
from fracture_core.evaluation.site_calibration import (
    SiteCalibration,
    calibrate_site,
    promise_text,
)
from fracture_core.evaluation.site_scores import SiteScores, score_folder
from fracture_core.paths import expand_user_path
from fracture_core.reporting.site.calibration_charts import answers_chart, reliability_chart
from fracture_core.reporting.site.calibration_text import comparison_in_words, comparison_table, parts_in_words
from pages.parts.review.films import review_films
from pages.parts.shared.chart import draw
from pages.parts.shared.predictor_cache import predictor
from pages.parts.shared.sidebar import Choice, escape_markdown, use_saved

_REVIEW, _OWN = SOURCES = ("The review set", "A folder of my own")
_TASK, _CALIBRATION, _MESSAGE = "site_scoring", "site_calibration", "site_message"


def calibrate_section(choice: Choice, review: ReviewSet | None) -> None:
    """Draw the section."""
    st.markdown(
        "Your hospital's films, labelled, set this model's probabilities and its three answers for your hospital, "
        "with a promise that holds for films like these. The model itself is not changed."
    )
    _saved_message()
    folder = _folder(review)
    if folder is None:
        return
    task = _scoring(choice, folder)
    if task is None:
        return
    scores: SiteScores = task.result
    calibration = _form(choice, scores)
    if calibration is not None:
        _result(choice, calibration, scores)


def _folder(review: ReviewSet | None) -> Path | None:
    """Draw the choice of films, and return their folder; None until one is named."""
    sources = SOURCES if review is not None else (_OWN,)
    source = st.segmented_control("Labelled films", sources, default=sources[0], required=True, key="site_source")
    if source == _REVIEW and review is not None:
        films, _ = review_films(review)
        fractured, sound, _ = films.counts(films.select(ReviewFilters()))
        st.caption(f"{fractured + sound} films have a label: {fractured} fractured, {sound} not.")
        return review.folder
    text = st.text_input(
        "Folder or csv file",
        key="site_folder",
        placeholder="/home/me/radiographs",
        help="One subfolder per class (fractured, normal), or a CSV with image, label and, if known, patient. "
        "Nothing is copied or sent anywhere.",
    ).strip()
    return expand_user_path(text) if text else None


def _scoring(choice: Choice, folder: Path) -> BackgroundTask | None:
    """Draw the scoring of the films; return it once it is done."""
    wanted = (choice.bundle.version, str(folder))
    stored = st.session_state.get(_TASK)
    task: BackgroundTask | None = stored[1] if stored and stored[0] == wanted else None

    def start() -> None:
        before = st.session_state.get(_TASK)
        if before and before[1].progress.busy:
            if before[0] == wanted:
                return  # pressed twice
            before[1].cancel()
        reader = predictor(choice.bundle)
        work = BackgroundTask(lambda step, stop: score_folder(reader, folder, progress=step))
        work.start()
        st.session_state[_TASK] = (wanted, work)
        st.session_state.pop(_CALIBRATION, None)

    if task is not None and task.progress.busy:
        task.join(1.0)
    if task is not None and task.progress.busy:
        _watch()
        return None
    again = task is not None and task.progress.state == "done"
    label = "Assess the films again" if again else "Assess the films"
    st.button(label, key="site_start", type="secondary" if again else "primary", on_click=start)
    if task is not None and task.progress.state == "failed":
        st.error(escape_markdown(task.progress.error))
    if task is not None and task.progress.state == "stopped":
        st.info("Cancelled.")
    return task if again else None


@st.fragment(run_every=0.5)
def _watch() -> None:
    task: BackgroundTask = st.session_state[_TASK][1]
    progress = task.progress
    if not progress.busy:
        st.rerun(scope="app")
    st.progress(progress.share, f"Assessing film {progress.done} of {progress.total} …" if progress.total else "…")
    st.button("Cancel", key="site_cancel", on_click=task.cancel, icon=":material/close:")


def _form(choice: Choice, scores: SiteScores) -> SiteCalibration | None:
    """Draw what to ask for; return the calibration that was made of it, None before and where it cannot be."""
    with st.form("site_form"):
        columns = st.columns(3)
        alpha = columns[0].number_input(
            "Unlikely: fractured at most (%)", 0.1, 50.0, 5.0, 0.5, key="site_alpha",
            help="Of the films called unlikely at most this share may be fractured.",
        )  # fmt: skip
        beta = columns[1].number_input(
            "Likely: fractured at least (%)", 1.0, 99.9, 80.0, 1.0, key="site_beta",
            help="Of the films called likely at least this share must be fractured.",
        )  # fmt: skip
        confidence = columns[2].number_input(
            "Confidence of each promise (%)", 50.0, 99.9, 95.0, 1.0, key="site_confidence",
            help="How sure each promise is: 95 % means that at most one calibration in 20 breaks it by chance.",
        )  # fmt: skip
        asked = st.form_submit_button("Calibrate", type="primary", key="site_calibrate")
        st.caption("Decide these before you look: a promise picked because it came out well is worth less.")
    if asked:
        table = scores.films
        try:
            st.session_state[_CALIBRATION] = calibrate_site(
                choice.bundle,
                table["image_id"].tolist(),
                table["label"].to_numpy(),
                table["logit"].to_numpy(),
                table["patient"].tolist(),
                name=scores.name,
                alpha=alpha / 100,
                beta=beta / 100,
                confidence=confidence / 100,
            )
        except FractureCoreError as error:
            st.session_state.pop(_CALIBRATION, None)
            st.error(escape_markdown(str(error)))
    calibration: SiteCalibration | None = st.session_state.get(_CALIBRATION)
    return calibration if calibration is not None and calibration.bundle == choice.bundle.version else None


def _result(choice: Choice, calibration: SiteCalibration, scores: SiteScores) -> None:
    st.subheader("What can be promised", anchor=False)
    for promise in (calibration.unlikely, calibration.likely):
        (st.success if promise.holds else st.warning)(escape_markdown(promise_text(promise)))
    st.caption(parts_in_words(calibration, scores.left_out))
    st.subheader("Before and after", anchor=False)
    st.markdown(comparison_in_words(calibration))
    st.dataframe(comparison_table(calibration), hide_index=True, key="site_table")
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown("**Answers**")
        draw(answers_chart(calibration), "site_answers", height=340, alt=comparison_in_words(calibration))
    with right:
        st.markdown("**Probabilities**: does 30 % mean 30 in 100?")
        alt = f"Calibration error {calibration.ece[0]:.3f} before, {calibration.ece[1]:.3f} after"
        draw(reliability_chart(calibration), "site_reliability", height=340, alt=alt)
    _save(choice, calibration, scores.films)


def _save(choice: Choice, calibration: SiteCalibration, films: pd.DataFrame) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.text_input("Name", key="site_name", max_chars=60, placeholder="e.g. Ward 7, 2026", width=320)

        def save() -> None:
            name = st.session_state["site_name"].strip()
            try:
                save_site_calibration(choice.bundle, replace(calibration, name=name))
                save_reference(choice.bundle, name, calibration.scale, films["logit"], films["features"].tolist())
                use_saved(name, usable_points(choice.bundle)[name])
                st.session_state[_MESSAGE] = ("saved", name)
            except FractureCoreError as error:
                st.session_state[_MESSAGE] = ("refused", str(error))

        st.button("Save with the model", key="site_save", type="primary", on_click=save)
    st.caption(
        "Saved beside the model as operating points of your site, with the number of films, the intervals and a digest "
        "of their list; no film and no name is written there. From then on they can be chosen in the sidebar, and by "
        "name on the command line; the model's own stay available."
    )


def _saved_message() -> None:
    kind, text = st.session_state.pop(_MESSAGE, ("", ""))
    if kind == "saved":
        st.success(
            f"Saved as {escape_markdown(text)} and in use now: the sidebar, Diagnose, reports and the worklist show "
            "your site's probabilities and answers."
        )
    elif kind:
        st.error(escape_markdown(text))

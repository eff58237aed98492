"""The Monitoring page: the audit log month by month, and what has moved."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import streamlit as st

from fracture_core.data.review.review_set import ReviewSet, is_review_folder
from fracture_core.errors import FractureCoreError
from fracture_core.evaluation.monitoring.agreement import monthly_agreement
from fracture_core.evaluation.monitoring.audit_history import Change, changes, films_needed, monthly, read_log
from fracture_core.evaluation.monitoring.reference import Reference, log_reference, saved_references
from fracture_core.paths import review_folder
from fracture_core.reporting.audit_log import CALIBRATED_TO, audit_log
from fracture_core.reporting.monitoring_charts import answers_chart, films_chart, stability_chart
from fracture_core.reporting.monitoring_text import agreement_text, change_text, months_table, months_text, summary_text
from pages.parts.shared.chart import draw
from pages.parts.shared.sidebar import escape_markdown, verified


def monitoring_page() -> None:
    """Draw the page, or say how to turn on the audit log if it is off or empty."""
    path = audit_log()
    if path is None or not path.exists():
        st.info(
            "Monitoring needs an audit log. Start the app with FRACTURE_AUDIT_LOG set to a file: each finding shown is "
            "then recorded as one line, without pixels, names or identifiers."
        )
        return
    status = path.stat()
    stamp = (status.st_size, status.st_mtime_ns)
    log = _log(str(path), stamp)
    if log.empty:
        st.info("The audit log has no findings yet.")
        return
    models = log["model"].unique().tolist()
    left, right = st.columns(2)
    model = left.selectbox("Model", models, index=len(models) - 1) if len(models) > 1 else models[0]
    films = log[log["model"] == model].reset_index(drop=True)
    known = {reference.title: reference for reference in _references(films, model)}
    title = (
        right.selectbox("Compare with", list(known), key=f"reference_{model}") if len(known) > 1 else next(iter(known))
    )
    months, detected = _watched(str(path), stamp, model, title, films, known[title])
    st.markdown(f"**{escape_markdown(model)}**: {summary_text(films)}")
    _findings(detected, months, films_needed(films, known[title]))
    agreement = _agreement(model)
    marks = [change.when for change in detected]
    draw(films_chart(months, marks), "monitoring films", height=220, alt="Films per day, by month")
    draw(answers_chart(months, marks), "monitoring answers", height=300, alt="Share of each answer, by month")
    draw(stability_chart(months, marks), "monitoring psi", height=240, alt="Population stability index by month")
    st.caption(
        f"Population stability index of the scores, and of the feature of the image that moved most. Compared with: "
        f"{escape_markdown(title)[:1].lower()}{escape_markdown(title)[1:]}. By convention, below 0.1 is stable and "
        "above 0.25 has shifted. Few films can reach that by chance; the warnings above and the diamonds allow for it."
    )
    if months["feature_psi"].isna().all():
        st.caption("The log has no image features for these films: an earlier version of the app wrote it.")
    table = months_table(months, agreement)
    st.dataframe(table, hide_index=True)
    st.download_button("Download as CSV", table.to_csv(index=False), "monitoring.csv", "text/csv")


def _findings(detected: list[Change], months: pd.DataFrame, needed: int) -> None:
    """List the changes, latest first, or say that there are none; not before there are `needed` more films."""
    if needed:
        st.info(f"Too few films to say whether anything has changed: {needed} more are needed.")
        return
    for change in detected[::-1]:
        st.warning(change_text(change))
    if not detected:
        st.success("No change beyond chance.")
    st.markdown(months_text(months))


def _references(films: pd.DataFrame, model: str) -> list[Reference]:
    """Return what to compare with: a site's calibration first, else the first films of the log."""
    own = log_reference(films)
    version, _, site = model.partition(CALIBRATED_TO)
    try:
        bundle = verified(version.rpartition(" ")[0])
    except FractureCoreError:
        return [own]  # the model is not here any more
    if bundle.version != version:
        return [own]
    saved = saved_references(bundle, site)
    return [*saved, own] if site else [*saved[:-1], own, saved[-1]]


def _agreement(model: str) -> pd.DataFrame | None:
    """Say how often readers agreed with the model, where there is a review folder; return the counts by month."""
    folder = review_folder()
    if folder is None or not is_review_folder(folder):
        return None
    try:
        counts = monthly_agreement(ReviewSet(folder).verdicts(), model.partition(CALIBRATED_TO)[0])
    except FractureCoreError as error:
        st.error(escape_markdown(str(error)))
        return None
    st.markdown(agreement_text(counts))
    return counts


@st.cache_data(show_spinner="Reading the audit log ...", max_entries=2)
def _log(path: str, stamp: tuple[int, int]) -> pd.DataFrame:
    return read_log(Path(path))


@st.cache_data(show_spinner="Comparing the films ...", max_entries=8)
def _watched(
    path: str, stamp: tuple[int, int], model: str, title: str, _films: pd.DataFrame, _reference: Reference
) -> tuple[pd.DataFrame, list[Change]]:
    return monthly(_films, _reference), changes(_films, _reference)

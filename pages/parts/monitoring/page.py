"""The Monitoring page: the audit log month by month, and changes."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import streamlit as st

from fracture_core.evaluation.monitoring import Change, changes, monthly, read_log
from fracture_core.reporting.audit_log import audit_log
from fracture_core.reporting.monitoring_charts import answers_chart, films_chart, stability_chart
from fracture_core.reporting.monitoring_text import change_text, months_table, summary_text
from pages.parts.shared.chart import draw
from pages.parts.shared.sidebar import escape_markdown


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
    log, months, changes = _watched(str(path), (status.st_size, status.st_mtime_ns))
    if log.empty:
        st.info("The audit log has no findings yet.")
        return
    models = log["model"].unique().tolist()
    model = st.selectbox("Model", models, index=len(models) - 1) if len(models) > 1 else models[0]
    log, months, changes = log[log["model"] == model], months[model], changes[model]
    st.markdown(f"**{escape_markdown(model)}**: {summary_text(log)}")
    if changes:
        for change in changes[::-1]:
            st.warning(change_text(change))
    else:
        st.success("No change beyond chance.")
    marks = [change.when for change in changes]
    draw(films_chart(months, marks), "monitoring films", height=220, alt="Films a day, month by month")
    draw(answers_chart(months, marks), "monitoring answers", height=300, alt="Share of each answer, month by month")
    draw(stability_chart(months, marks), "monitoring psi", height=240, alt="Population stability index by month")
    st.caption(
        "Population stability index of the scores against the first films of the log: by convention, below 0.1 is "
        "stable and above 0.25 has shifted. Few films can reach that by chance; the warnings above allow for it."
    )
    table = months_table(months)
    st.dataframe(table, hide_index=True)
    st.download_button("Download as CSV", table.to_csv(index=False), "monitoring.csv", "text/csv")


@st.cache_data(show_spinner="Reading the audit log ...", max_entries=2)
def _watched(
    path: str, stamp: tuple[int, int]
) -> tuple[pd.DataFrame, dict[str, pd.DataFrame], dict[str, list[Change]]]:
    log = read_log(Path(path))
    by_model = {str(model): films.reset_index(drop=True) for model, films in log.groupby("model", sort=False)}
    return (
        log,
        {model: monthly(films) for model, films in by_model.items()},
        {model: changes(films) for model, films in by_model.items()},
    )

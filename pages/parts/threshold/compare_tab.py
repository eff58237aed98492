"""Two bundles on the same radiographs: curves, difference in AUC, and who is right where they differ."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from fracture_core.bundle.bundle import Bundle
from fracture_core.bundle.loading import list_bundles
from fracture_core.evaluation.predictions import Predictions
from fracture_core.metrics.formatting import estimate_text, figure, p_text
from fracture_core.metrics.paired_tests import auc_difference, bootstrap_differences, disagreements, pair
from fracture_core.reporting.threshold_charts import two_curves
from fracture_core.reporting.threshold_tables import disagreements_table
from pages.parts.shared.chart import draw
from pages.parts.shared.sidebar import verified
from pages.parts.threshold.state import predictions_of


def compare_tab(bundle: Bundle, splits: Mapping[str, Predictions], shown: Predictions) -> None:
    """Draw the choice of a second bundle, and the comparison."""
    others = [name for name in list_bundles(bundle.folder.parent) if name != bundle.name]
    if not others:
        st.info("Only one model is installed. Train or add another to compare.")
        return
    other = verified(st.selectbox("Compare with", others, key="compare_with"))
    compared = _compared(bundle.version, other.version, shown.split, bundle, other)
    paired, difference, bootstrapped = compared
    left, right = st.columns([1, 1], gap="large")
    theirs = predictions_of(other.version, other)[shown.split]
    with left:
        draw(
            two_curves({bundle.name: shown.roc, other.name: theirs.roc}),
            "compare_curves",
            height=380,
            alt=f"ROC curves of {bundle.name} and {other.name} on {shown.title}",
        )
    with right:
        st.markdown(f"**{len(paired.labels)} {shown.title} radiographs scored by both models.**")
        if paired.only_first or paired.only_second:
            st.caption(f"Excluded because only one model scored them: {paired.only_first} and {paired.only_second}.")
        st.metric(f"AUC, {bundle.name}", figure(difference.first))
        st.metric(f"AUC, {other.name}", figure(difference.second))
        st.markdown(
            f"Difference **{estimate_text(difference.difference)}** by DeLong's paired test, "
            f"{p_text(difference.p_value)}; {estimate_text(bootstrapped['roc_auc'])} by paired bootstrap. "
            "If the interval includes 0, neither is shown to be better."
        )
    _disagreements(bundle, other, paired)


def _disagreements(bundle: Bundle, other: Bundle, paired) -> None:
    first_threshold, second_threshold = (b.points["single"].threshold for b in (bundle, other))
    differing = disagreements(paired, first_threshold, second_threshold)
    st.markdown(
        f"At each model's own single threshold ({first_threshold:.3f} and {second_threshold:.3f}, from validation), "
        f"they disagree on **{len(differing.rows)}** radiographs: {bundle.name} is correct on "
        f"**{differing.first_right}**, {other.name} on **{differing.second_right}** (McNemar's "
        f"exact test: {p_text(differing.p_value)})."
    )
    st.dataframe(
        disagreements_table(differing, bundle.name, other.name),
        hide_index=True,
        height=260,
        key="compare_rows",
        column_config={f"Probability, {b.name}": st.column_config.NumberColumn(format="%.3f") for b in (bundle, other)},
    )


@st.cache_resource(max_entries=8, show_spinner="Comparing …")
def _compared(first_version: str, second_version: str, split: str, _first: Bundle, _second: Bundle):
    """Return the paired table and both differences, cached for each pair of bundles because of the bootstrap."""
    first, second = (predictions_of(b.version, b)[split].table for b in (_first, _second))
    paired = pair(first, second)
    scores = (paired.labels, paired.first, paired.second)
    return paired, auc_difference(*scores), bootstrap_differences(*scores)

"""The tabs below the curves, one per question; only the open one is computed."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from fracture_core.bundle.bundle import Bundle
from fracture_core.errors import FractureCoreError
from fracture_core.evaluation.predictions import Predictions
from fracture_core.metrics.formatting import estimate_text
from fracture_core.metrics.intervals import predictive_values_at
from fracture_core.metrics.operating_points import triage_groups
from fracture_core.metrics.subgroups import subgroup_table
from fracture_core.metrics.suggestions import suggest
from fracture_core.reporting.threshold_charts import histogram_chart, prevalence_chart, reliability_chart
from fracture_core.reporting.threshold_tables import (
    TOO_FEW,
    calibration_table,
    in_1000,
    subgroups_table,
    suggestions_table,
    zones_table,
)
from pages.parts.shared.chart import draw
from pages.parts.threshold.compare_tab import compare_tab
from pages.parts.threshold.confusion_cell import cell_rows
from pages.parts.threshold.save_tab import save_tab
from pages.parts.threshold.state import CELL, Setting, go_to_point

TITLES = ("Radiographs", "Suggestions", "Triage", "Prevalence", "Calibration", "Subgroups", "Compare", "Save")
PAIR = "threshold_pair"


def tabs(bundle: Bundle, splits: Mapping[str, Predictions], shown: Predictions, setting: Setting) -> None:
    """Draw the tabs, and fill the open one."""
    matrix = shown.confusion(setting.threshold)
    fill = {
        "Radiographs": lambda: cell_rows(shown, setting.threshold, st.session_state.get(CELL)),
        "Suggestions": lambda: _suggestions(splits),
        "Triage": lambda: _triage(bundle, shown),
        "Prevalence": lambda: _prevalence(matrix, shown),
        "Calibration": lambda: _calibration(shown),
        "Subgroups": lambda: _subgroups(shown, setting),
        "Compare": lambda: compare_tab(bundle, splits, shown),
        "Save": lambda: save_tab(bundle, splits, setting, pair(bundle)),
    }
    for title, tab in zip(TITLES, st.tabs(list(TITLES), key="threshold_tab", on_change="rerun"), strict=True):
        if tab.open:
            with tab:
                try:
                    fill[title]()
                except FractureCoreError as error:
                    st.warning(str(error))


def _suggestions(splits: Mapping[str, Predictions]) -> None:
    st.markdown(
        "Each threshold below is **chosen on validation** and then **shown on test**, in parentheses. The drop from "
        "validation to test shows how optimistic the choice was."
    )
    fields = st.columns(4)
    sensitivity = fields[0].number_input("Target sensitivity", 0.5, 1.0, 0.95, 0.01, key="target_sensitivity")
    specificity = fields[1].number_input("Target specificity", 0.5, 1.0, 0.95, 0.01, key="target_specificity")
    miss = fields[2].number_input("Cost of a missed fracture", 0.0, 1000.0, 10.0, 1.0, key="miss_cost")
    look = fields[3].number_input("Cost of a false positive", 0.0, 1000.0, 1.0, 1.0, key="look_cost")
    val, test = ((splits[s].labels, splits[s].probabilities) for s in ("val", "test"))
    suggestions = suggest(
        val, test, sensitivity=sensitivity, specificity=specificity, miss_cost=miss, false_positive_cost=look
    )
    st.table(suggestions_table(suggestions), border="horizontal", hide_index=True)
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        st.caption("Use", width="content")
        for suggestion in suggestions:
            key = f"use_{suggestion.point.name}"
            st.button(suggestion.title, key=key, on_click=go_to_point, args=(suggestion.point,))


def pair(bundle: Bundle) -> tuple[float, float]:
    """Return the two triage thresholds, rule-out never above rule-in; initially the bundle's own."""
    if PAIR not in st.session_state:
        rule_in = min(bundle.points["rule_in"].threshold, 1.0)
        st.session_state[PAIR] = (min(bundle.points["rule_out"].threshold, rule_in), rule_in)
    return st.session_state[PAIR]


def _triage(bundle: Bundle, shown: Predictions) -> None:
    st.markdown(
        "Two thresholds give three categories: below the lower one a fracture is **unlikely** (rule-out), at or above "
        "the upper one it is **likely** (rule-in), and in between the result is **indeterminate**."
    )
    if st.session_state.get("triage_slider") != pair(bundle):
        st.session_state["triage_slider"] = pair(bundle)
    st.slider(
        "Rule-out and rule-in", 0.0, 1.0, step=0.001, format="%.3f", key="triage_slider", on_change=_pair_moved,
        disabled=(locked := shown.split == "test" and not st.session_state.get("threshold_unlock")),
    )  # fmt: skip
    if locked:
        st.caption("Locked on the test set: set them on validation.")
    rule_out, rule_in = pair(bundle)
    st.table(
        zones_table(triage_groups(shown.labels, shown.probabilities, rule_out, rule_in)),
        border="horizontal",
        hide_index=True,
    )
    draw(
        histogram_chart(shown, {"rule-out": rule_out, "rule-in": rule_in}),
        "triage_histogram",
        height=300,
        alt=f"Probabilities by class on {shown.title}, with rule-out and rule-in",
    )
    st.caption(f"From {shown.title}: {len(shown)} radiographs, {shown.fractured} with a fracture.")


def _pair_moved() -> None:
    st.session_state[PAIR] = st.session_state["triage_slider"]
    st.session_state["threshold_pair_split"] = st.session_state.get("threshold_split", "val")


def _prevalence(matrix, shown: Predictions) -> None:
    st.markdown(
        "PPV and NPV depend on prevalence. Enter the prevalence in your setting. Sensitivity and specificity are taken "
        f"from {shown.title} at the threshold above and may not carry over."
    )
    share = st.slider("Prevalence of fracture in your setting", 0.5, 99.5, 20.0, 0.5, key="prevalence", format="%g %%")
    prevalence = share / 100
    values = predictive_values_at(matrix, prevalence)
    counts = in_1000(matrix, prevalence)
    left, right = st.columns([1, 1], gap="large")
    with left:
        st.metric("PPV (95 % CI)", estimate_text(values["ppv"]))
        st.metric("NPV (95 % CI)", estimate_text(values["npv"]))
        st.markdown(
            f"Of **1000** radiographs, about **{counts['TP'] + counts['FN']}** have a fracture: **{counts['TP']}** are "
            f"flagged and **{counts['FN']}** missed. Of the rest, **{counts['FP']}** are false positives and "
            f"**{counts['TN']}** true negatives."
        )
    with right:
        draw(prevalence_chart(matrix, prevalence), "prevalence_chart", height=320, alt="PPV and NPV by prevalence")


def _calibration(shown: Predictions) -> None:
    before, after = shown.calibration
    st.markdown(
        "Does 30 % mean 30 in 100? On the dashed line it does. Bars are 95 % intervals. The temperature was fitted on "
        f"validation; these are the values on {shown.title}."
    )
    left, right = st.columns([1, 1], gap="large")
    with left:
        draw(
            reliability_chart(before, after),
            "reliability",
            height=380,
            alt=f"Reliability diagram on {shown.title}, before and after temperature scaling",
        )
    with right:
        st.table(calibration_table(before, after), border="horizontal", hide_index=True)
        st.caption("Lower is better. ECE: ten bins of equal size; even a perfect model scores above 0 on few images.")


def _subgroups(shown: Predictions, setting: Setting) -> None:
    st.markdown(f"{shown.title.capitalize()}, at the threshold above ({setting.threshold:.3f}), with 95 % intervals.")
    rows = subgroups_table(subgroup_table(shown.table, setting.threshold))
    st.table(rows, border="horizontal", hide_index=True)
    st.caption(f"{TOO_FEW} One image may appear in several rows.")

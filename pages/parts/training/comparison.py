"""A finished run against the bundle in use, on the same images; and the button that puts it in its place."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import streamlit as st

from fracture_core.bundle.bundle import Bundle
from fracture_core.bundle.loading import current_bundle, list_bundles
from fracture_core.errors import FractureCoreError
from fracture_core.evaluation.bundle_comparison import TARGET, BundleComparison, matched_table
from fracture_core.evaluation.part_comparison import PartComparison, forgetting_text
from fracture_core.jobs.comparison import compare_run
from fracture_core.jobs.history import bundle_of
from fracture_core.jobs.promotion import part_objections, promote, restorable
from fracture_core.jobs.status import RunStatus, losses
from fracture_core.metrics.formatting import estimate_text, figure, p_text
from fracture_core.paths import models_folder
from fracture_core.reporting.threshold_charts import two_curves
from fracture_core.reporting.threshold_tables import disagreements_table
from fracture_core.reporting.training_charts import auc_chart, loss_chart
from fracture_core.training.run_folder import RunFolder
from pages.parts.shared.chart import draw
from pages.parts.shared.sidebar import escape_markdown, verified
from pages.parts.training.worst_errors import worst


def result(runs: list[RunStatus]) -> None:
    """Draw the comparison of one finished run, and which bundle is in use."""
    finished = {run.name: (run.run, name) for run in runs if (name := _bundle_of(run.run))}
    _in_use({name for _, name in finished.values()})
    if not finished:
        st.info("No run has finished yet. Finished runs are compared here with the model in use.")
        return
    if st.session_state.get("training_result") not in finished:
        st.session_state["training_result"] = next(iter(finished))
    left, right = st.columns(2)
    run, name = finished[left.selectbox("Run", list(finished), key="training_result")]
    others = [bundle for bundle in list_bundles(models_folder()) if bundle != name]
    try:
        new = verified(name)
        if not others:
            st.info("No other model to compare with.")
        else:
            other = verified(right.selectbox("Compare with", others, key="training_against"))
            _compared_with(new, other, run)
    except FractureCoreError as error:
        st.error(escape_markdown(str(error)))
    _learning(run)


def _bundle_of(run: Path) -> str | None:
    try:
        return bundle_of(run, models_folder())
    except FractureCoreError:
        return None  # a damaged run is named among all runs; here it must not hide the others


def _in_use(from_runs: set[str]) -> None:
    """Say which bundle is in use, and offer those that need no comparison: a promotion taken back, or a shipped one."""
    names, current = list_bundles(models_folder()), current_bundle(models_folder())
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small", key="in_use"):
        st.markdown(f"**In use: {escape_markdown(current)}**" if current in names else "**No model is in use yet.**")
        if others := restorable(from_runs, models_folder()):
            other = st.selectbox("Other models", others, key="training_other", label_visibility="collapsed", width=280)
            _confirmed("Use this one instead", other, "use_other")
    if message := st.session_state.pop("training_promoted", None):
        st.success(escape_markdown(message))
    if message := st.session_state.pop("training_refused", None):
        st.error(escape_markdown(message))


def _confirmed(label: str, name: str, key: str) -> None:
    """Draw a button that asks for confirmation before the default model changes."""
    with st.popover(label, icon=_CHECK, key=f"confirm_{key}_{name}"):  # closes once another model is the default
        st.markdown(
            f"**{escape_markdown(name)}** will be the default model for all users of this app, on every page. The "
            "current one is kept and can be restored here."
        )
        # Keyed by the model: the second half of a double click must not put another one in use.
        st.button("Yes, use it", type="primary", key=f"{key} {name}", on_click=_promote, args=(name,))


def _promote(name: str) -> None:
    try:
        promoted = promote(name, models_folder())
    except FractureCoreError as error:
        st.session_state["training_refused"] = str(error)
        return
    # What this session had chosen by hand would otherwise stay.
    st.session_state["bundle"] = promoted.name
    before = f" {promoted.before} is kept and can be restored here." if promoted.before else ""
    st.session_state["training_promoted"] = f"{promoted.name} is now in use on every page.{before}"


def _compared_with(new: Bundle, other: Bundle, run: Path) -> None:
    parts = _challenge(new.version, other.version, str(run), new, other)
    several = len(parts) > 1
    if several and other.name == current_bundle(models_folder()):
        st.markdown(f"**{escape_markdown(forgetting_text(parts))}**")
    if new.name != current_bundle(models_folder()):
        if reasons := part_objections(parts):
            if several or parts[0].comparison is not None:  # else the reason is what stands below
                st.info(f"Not offered for use. {escape_markdown(' '.join(reasons))}")
        else:
            _confirmed(f"Use {escape_markdown(new.name)}", new.name, "use_this")
    for place, part in enumerate(parts):
        if several:
            st.subheader(f"On the test images of {escape_markdown(part.part)}", anchor=False)
        if part.comparison is None:
            (st.info if several else st.error)(escape_markdown(part.reason))
        else:
            _part(part, part.comparison, new, run, place)


def _part(part: PartComparison, comparison: BundleComparison, new: Bundle, run: Path, place: int) -> None:
    """Draw the comparison on one test part; `place` numbers it on the page."""
    for sentence in comparison.leakage.unfair:
        st.error(f"Biased comparison: {escape_markdown(sentence)}", icon=":material/gavel:")
    for sentence in comparison.leakage.remarks:
        st.caption(escape_markdown(sentence))
    st.markdown(f"**{escape_markdown(part.verdict)}**")
    _figures(part, comparison, place)
    st.markdown(f"**Confusion matrix on test at sensitivity {TARGET:.2f}, each model at its own validation threshold**")
    st.table(matched_table(comparison).set_index("Model").astype(str).T, border="horizontal")
    _differences(comparison, place)
    worst(new, comparison, run, place)


def _figures(part: PartComparison, comparison: BundleComparison, place: int) -> None:
    left, right = st.columns(2, gap="large")
    with left:
        alt = f"ROC curves of both on the test images of {part.part}"
        draw(two_curves(comparison.curves), f"challenge_curves_{place}", height=360, alt=alt)
    with right:
        n, fractured = len(comparison.test.labels), int(comparison.test.labels.sum())
        st.markdown(f"**{n} test radiographs scored by both models, {fractured} with a fracture.**")
        names, aucs = (comparison.new, comparison.current), (comparison.auc.first, comparison.auc.second)
        for column, name, value in zip(st.columns(2), names, aucs, strict=True):
            column.metric(f"AUC, {escape_markdown(name)}", figure(value))
        if part.too_few:
            return
        boot = comparison.bootstrapped
        st.markdown(
            f"Difference in AUC (first − second): **{estimate_text(comparison.auc.difference)}** by DeLong's paired "
            f"test, {p_text(comparison.auc.p_value)}; {estimate_text(boot['roc_auc'])} by paired bootstrap. "
            f"Average precision: {estimate_text(boot['average_precision'])}."
        )


def _differences(comparison: BundleComparison, place: int) -> None:
    differ = comparison.differ
    st.markdown(
        f"They disagree on **{len(differ.rows)}** of these radiographs: {escape_markdown(comparison.new)} is "
        f"correct on **{differ.first_right}**, {escape_markdown(comparison.current)} on **{differ.second_right}** "
        f"(McNemar's exact test: {p_text(differ.p_value)})."
    )
    if differ.rows:
        with st.expander("Radiographs on which they disagree"):
            table: pd.DataFrame = disagreements_table(differ, comparison.new, comparison.current)
            st.dataframe(table, hide_index=True, height=240, key=f"challenge_rows_{place}")


def _learning(run: Path) -> None:
    try:
        history = RunFolder(run).history()
    except FractureCoreError as error:
        st.error(escape_markdown(str(error)))
        return
    if not history:
        return
    st.subheader("Learning curves", anchor=False)
    left, right = st.columns(2)
    with left:
        draw(loss_chart(history, losses(run)), "result_loss", height=300, alt="Loss by epoch")
    with right:
        draw(auc_chart(history), "result_auc", height=300, alt="AUC on validation by epoch")


@st.cache_resource(max_entries=8, show_spinner="Comparing …")
def _challenge(new_version: str, other_version: str, run: str, _new: Bundle, _other: Bundle) -> list[PartComparison]:
    return compare_run(_new, _other, Path(run))


_CHECK = ":material/check:"

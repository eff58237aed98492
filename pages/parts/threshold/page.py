"""The slider and all that moves with it, in one fragment: a move redraws this and nothing else of the page."""

from __future__ import annotations

import streamlit as st

from fracture_core.bundle.bundle import Bundle
from fracture_core.evaluation.predictions import Predictions
from fracture_core.metrics.confusion import Confusion
from fracture_core.metrics.formatting import estimate_text
from fracture_core.reporting.threshold_charts import Chart, curve_chart, histogram_chart
from fracture_core.reporting.threshold_tables import cell_labels, figures_csv, figures_table
from pages.parts.shared.sidebar import escape_markdown
from pages.parts.threshold.confusion_cell import show_cell
from pages.parts.threshold.state import (
    Setting,
    clicked,
    controls,
    current,
    go_to_point,
    predictions_of,
    split_choice,
    unlocked,
)
from pages.parts.threshold.tabs import tabs

_CALLS = ("**called fractured**", "**not called**")
_MATRIX_STYLE = """<style>
.st-key-matrix button { min-height: 5.2rem; line-height: 1.35; }
.st-key-matrix button p { font-size: 0.95rem; }
.st-key-matrix button strong { font-size: 1.5rem; font-variant-numeric: tabular-nums; }
</style>"""


@st.fragment
def lab(bundle: Bundle) -> None:
    """Draw everything that depends on the threshold."""
    setting = current(bundle)
    splits = predictions_of(bundle.version, bundle)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="large"):
        split = split_choice()
        locked = not unlocked(split)
    shown = splits[split]
    _say_which(shown, setting, locked=locked)
    controls(setting, locked=locked)
    _points(bundle)
    matrix = shown.confusion(setting.threshold)
    left, right = st.columns([5, 6], gap="medium")
    with left:
        _matrix(matrix, shown)
    with right:
        _figures(matrix, bundle, shown, setting)
    show_cell(shown, setting.threshold)
    _curves(bundle, shown, matrix, setting)
    tabs(bundle, splits, shown, setting)


def _say_which(shown: Predictions, setting: Setting, *, locked: bool) -> None:
    counted = f"**{len(shown)} {shown.title} radiographs, {shown.fractured} of them fractured.**"
    if shown.split == "val":
        st.markdown(f"{counted} Every figure down to the tabs is from these; choose by them, then check on test.")
    elif locked:
        st.markdown(f"{counted} They took no part in any choice, so the threshold is locked while you look at them.")
    else:
        st.warning(
            f"{counted} A threshold moved by test figures is no longer tested by them: what you set now is marked.",
            icon=":material/warning:",
        )
    if setting.split == "test":
        st.warning("This threshold was set while looking at test: its test figures are too good to be relied on.")


def _points(bundle: Bundle) -> None:
    """Draw a button for each point that can be gone to: those of the bundle, and those saved."""
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        st.caption("Go to", width="content")
        for point in [*bundle.points.values(), *bundle.chosen_points()]:
            name = escape_markdown(point.name.replace("_", "-"))
            st.button(
                f"{name} {point.threshold:.3f}",
                key=f"go_{point.name}",
                on_click=go_to_point,
                args=(point,),
                help=f"{point.criterion}, chosen on {'validation' if point.split == 'val' else point.split}",
            )


def _matrix(matrix: Confusion, shown: Predictions) -> None:
    """Draw the confusion matrix as four buttons, truth by row and call by column."""
    st.subheader("Calls against truth", anchor=False)
    st.html(_MATRIX_STYLE)
    labels = cell_labels(matrix)
    rows = (("fractured", matrix.positives, ("TP", "FN")), ("not fractured", matrix.negatives, ("FP", "TN")))
    with st.container(key="matrix", gap="xsmall"):
        for column, call in zip(st.columns(2, wrap=False, gap="small"), _CALLS, strict=True):
            column.markdown(call, text_alignment="center")
        for name, n, cells in rows:
            st.caption(f"**In truth {name}: {n}**")
            for column, cell in zip(st.columns(2, wrap=False, gap="small"), cells, strict=True):
                count, words, share = labels[cell]
                column.button(
                    f"**{count}**  \n{words}  \n{share} ({cell})",
                    key=f"cell_{cell}",
                    width="stretch",
                    wrap=True,
                    type="primary" if st.session_state.get("threshold_cell") == cell else "secondary",
                    on_click=_open_cell,
                    args=(cell,),
                )
    st.caption(f"Click a cell to see its radiographs ({shown.title}).")


def _open_cell(cell: str) -> None:
    """Open a cell's radiographs; a second click closes them."""
    opened = st.session_state.get("threshold_cell")
    st.session_state["threshold_cell"] = None if opened == cell else cell
    st.session_state.pop("cell_page", None)


def _figures(matrix: Confusion, bundle: Bundle, shown: Predictions, setting: Setting) -> None:
    st.subheader(f"Figures at {setting.threshold:.3f}, {shown.title}", anchor=False)
    st.table(figures_table(matrix), border="horizontal", hide_index=True)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption("Intervals: Wilson for rates, bootstrap for the last three.", width="stretch")
        st.download_button(
            "Table as CSV",
            lambda: figures_csv(shown, setting.threshold, bundle.version),
            f"{bundle.name}-{shown.title}-{setting.threshold:.4f}.csv",
            "text/csv",
            key="figures_csv",
            on_click="ignore",
            icon=":material/download:",
        )


def _curves(bundle: Bundle, shown: Predictions, matrix: Confusion, setting: Setting) -> None:
    columns = st.columns(3)
    titles = {"roc": ("ROC", f"AUC {estimate_text(shown.auc)}")}
    titles["precision-recall"] = ("Precision-recall", f"AP {estimate_text(shown.average_precision)}")
    for column, (kind, (title, area)) in zip(columns, titles.items(), strict=False):
        chart = _chart(bundle.version, shown.split, kind, bundle)
        key = f"curve_{kind}"
        with column:
            st.markdown(f"**{title}**")
            st.caption(area)
            st.echarts_chart(
                chart.with_point(matrix, kind),
                key=key,
                height=380,
                on_select=lambda key=key, chart=chart: clicked(key, chart),
                alt=f"{kind} curve on {shown.title}; the current threshold is {setting.threshold:.3f}",
            )
    with columns[2]:
        st.markdown("**Scores by class**")
        st.caption("share of each class by probability")
        chart = histogram_chart(shown, {"threshold": setting.threshold})
        st.echarts_chart(
            chart.option,
            key="histogram",
            height=380,
            on_select=lambda chart=chart: clicked("histogram", chart),
            alt=f"Histogram of probabilities by class on {shown.title}, with the threshold",
        )
    st.caption(
        f"From {shown.title}. Click a curve, a square or a score to go there. The diamond is the reference study's "
        "published point, on its 817 test images. Point at a plot for the button that saves it as PNG."
    )


@st.cache_resource(max_entries=16, show_spinner=False)
def _chart(version: str, split: str, kind: str, _bundle: Bundle) -> Chart:
    return curve_chart(kind, predictions_of(version, _bundle)[split], list(_bundle.points.values()))

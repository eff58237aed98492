"""The card of one bundle: in short, drawn, in full, and the files it stands for."""

from __future__ import annotations

import streamlit as st

from fracture_core.bundle.bundle import Bundle
from fracture_core.evaluation.predictions import Predictions
from fracture_core.metrics.operating_points import triage_groups
from fracture_core.reporting.finding_text import LIMITS
from fracture_core.reporting.threshold_charts import curve_chart, reliability_chart
from fracture_core.reporting.threshold_tables import figure, interval, zones_table
from pages.parts.shared.chart import draw
from pages.parts.shared.sidebar import escape_markdown
from pages.parts.threshold.state import predictions_of


def card(bundle: Bundle) -> None:
    """Draw everything there is to know of a bundle, what matters most first."""
    test = predictions_of(bundle.version, bundle)["test"]
    _in_short(bundle, test)
    _drawn(bundle, test)
    # The page has its own title, and headings one step below it.
    _, _, text = bundle.card.partition("\n")
    # A picture in it would be fetched by every reader's browser, from wherever the card's writer likes.
    st.markdown(text.replace("![", "["))
    _files(bundle)


def _in_short(bundle: Bundle, test: Predictions) -> None:
    st.subheader(bundle.name, anchor=False)
    single = bundle.points["single"]
    matrix = test.confusion(single.threshold)
    columns = st.columns(3)
    columns[0].metric("AUC on test", figure(test.auc.value), border=True)
    columns[1].metric(
        "Fractures caught, one threshold", f"{matrix.tp} of {matrix.positives}", border=True, help=single.criterion
    )
    columns[2].metric(
        "False alarms, one threshold", f"{matrix.fp} of {matrix.negatives}", border=True, help=single.criterion
    )
    st.caption(f"95 % interval of the AUC: {interval(test.auc)}. All on {len(test)} test radiographs.")
    st.markdown("**Where it must not be trusted**\n\n" + "\n".join(f"- {limit}" for limit in LIMITS))
    st.markdown(f"**What its three answers were worth on {len(test)} test radiographs**")
    thresholds = bundle.points["rule_out"].threshold, bundle.points["rule_in"].threshold
    zones = triage_groups(test.labels, test.probabilities, *thresholds)
    st.table(zones_table(zones), border="horizontal", hide_index=True)


def _drawn(bundle: Bundle, test: Predictions) -> None:
    left, right = st.columns(2)
    with left:
        st.markdown("**ROC on test**, with the points chosen on validation")
        figure = curve_chart("roc", test, list(bundle.points.values()))
        draw(figure, "card_roc", height=380, alt=f"ROC curve on test, AUC {test.auc}")
    with right:
        st.markdown("**Calibration on test**: does 30 % mean 30 in 100?")
        before, after = test.calibration
        alt = f"Reliability diagram on test; expected calibration error {after.ece:.3f} after scaling"
        draw(reliability_chart(before, after), "card_reliability", height=380, alt=alt)


def _files(bundle: Bundle) -> None:
    st.subheader("Files", anchor=False)
    st.caption(
        f"Version {bundle.version}, made {escape_markdown(bundle.created)}. A model is used only while every hash fits."
    )
    st.download_button(
        "The card as Markdown", bundle.card, f"{bundle.name}-card.md", "text/markdown", on_click="ignore"
    )
    with st.expander("SHA-256 of each file"):
        st.code("\n".join(f"{digest}  {name}" for name, digest in bundle.manifest["files"].items()), language=None)
    with st.expander("The training recipe"):
        st.json(bundle.recipe.to_json())
    with st.expander("How training went"):
        st.dataframe(bundle.history(), hide_index=True)

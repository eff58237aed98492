"""The card of a model: intended use and performance on the first screen, then the details."""

from __future__ import annotations

from contextlib import suppress

import pandas as pd
import streamlit as st

from fracture_core.bundle.bundle import Bundle
from fracture_core.bundle.card_metadata import sections
from fracture_core.bundle.loading import list_bundles
from fracture_core.data.dataset import dataset_name
from fracture_core.data.fracatlas import FracAtlas
from fracture_core.data.thumbnails import thumbnails
from fracture_core.errors import FractureCoreError
from fracture_core.evaluation.predictions import Predictions
from fracture_core.evaluation.typical_cases import TypicalCase, typical_cases
from fracture_core.metrics.formatting import estimate_text, figure, interval
from fracture_core.metrics.operating_points import triage_groups
from fracture_core.metrics.subgroups import subgroup_table
from fracture_core.paths import models_folder
from fracture_core.reporting.claim_checklist import claim_items
from fracture_core.reporting.finding_text import sites_in_words
from fracture_core.reporting.model_summary import (
    INTENDED_USE,
    NOT_FOR,
    external_table,
    headline,
    recipe_table,
    side_by_side,
)
from fracture_core.reporting.threshold_charts import curve_chart, matrix_chart, reliability_chart, subgroup_chart
from fracture_core.reporting.threshold_tables import CELL_NAMES
from fracture_core.reporting.training_charts import auc_chart, loss_chart
from pages.parts.shared.chart import draw
from pages.parts.shared.fracatlas_cache import fracatlas
from pages.parts.shared.gallery import Tile, gallery
from pages.parts.shared.sidebar import escape_markdown, verified
from pages.parts.threshold.state import predictions_of

#: Sections of the card that this page draws instead of printing.
_DRAWN = (
    "",
    "Figures",
    "The three answers on test",
    "Metrics",
    "Performance by triage category",
    "Subgroups",
    "Films from other sources",
    "Films of other sources",  # in bundles made before
)


def card(bundle: Bundle) -> None:
    """Draw everything that is known about a model, the most important first."""
    splits = predictions_of(bundle.version, bundle)
    test = splits["test"]
    _first_screen(bundle, test)
    _curves(bundle, test)
    _external(bundle, test)
    _films(bundle, test)
    _text(bundle)
    _sites(bundle)
    _training(bundle)
    _claim(bundle, splits)
    _files(bundle)


def _first_screen(bundle: Bundle, test: Predictions) -> None:
    use, against = st.columns(2, gap="large")
    use.markdown("**Intended use**\n\n" + "\n".join(f"- {line}" for line in INTENDED_USE))
    against.markdown("**Not for**\n\n" + "\n".join(f"- {line}" for line in NOT_FOR))
    single = bundle.points["single"]
    st.markdown(
        f"**{escape_markdown(bundle.name)}** on {len(test)} test radiographs, {test.fractured} with a fracture, at the "
        f"threshold {single.threshold:.3f} chosen on validation"
    )
    for column, (name, value) in zip(st.columns(3), headline(test, single.threshold).items(), strict=True):
        with column.container(border=True):
            st.metric(name, figure(value.value), help=single.criterion if name != "AUC" else None)
            st.caption(f"95 % CI {interval(value)}")
    models = _models(bundle)
    if len(models) > 1:
        for column, (name, facts) in zip(st.columns(len(models)), side_by_side(models).items(), strict=True):
            lines = "  \n".join(f"{title} **{value}**" for title, value in facts.items())
            with column.container(border=True, height="stretch"):
                st.markdown(f"**{escape_markdown(name)}**  \n{lines}")


def _models(bundle: Bundle) -> dict[str, tuple[Bundle, Predictions]]:
    """Return the chosen model and the others that can be loaded, at most three in all."""
    compared = {bundle.name: (bundle, predictions_of(bundle.version, bundle)["test"])}
    for name in list_bundles(models_folder()):
        with suppress(FractureCoreError):
            if name not in compared and len(compared) < 3:
                other = verified(name)
                compared[name] = (other, predictions_of(other.version, other)["test"])
    return compared


def _curves(bundle: Bundle, test: Predictions) -> None:
    reference = dataset_name(bundle.manifest.get("provenance", {})) == FracAtlas.name
    points = list(bundle.points.values())
    before, after = test.calibration
    single = bundle.points["single"]
    st.subheader("On the test set", anchor=False)
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown("**ROC curve**")
        draw(curve_chart("roc", test, points, reference=reference), "card_roc", height=380, alt=f"AUC {test.auc}")
    with right:
        st.markdown("**Precision-recall curve**")
        alt = f"Average precision {test.average_precision}"
        draw(curve_chart("precision-recall", test, points, reference=reference), "card_pr", height=380, alt=alt)
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown(f"**Confusion matrix at {single.threshold:.3f}**")
        matrix = test.confusion(single.threshold)
        alt = f"{matrix.tp} fractures flagged, {matrix.fn} missed, {matrix.fp} false positives"
        draw(matrix_chart(matrix), "card_matrix", height=360, alt=alt)
    with right:
        st.markdown("**Calibration**: does 30 % mean 30 in 100?")
        alt = f"Reliability diagram; expected calibration error {after.ece:.3f} after scaling"
        draw(reliability_chart(before, after), "card_reliability", height=360, alt=alt)
    st.markdown("**Subgroups**: fractures of all radiographs, where there are at least ten of each class")
    alt = "Sensitivity and specificity by body part, view and hardware"
    draw(subgroup_chart(subgroup_table(test.table, single.threshold)), "card_subgroups", height=520, alt=alt)
    st.markdown(f"**Performance by triage category ({len(test)} test radiographs)**")
    thresholds = bundle.points["rule_out"].threshold, bundle.points["rule_in"].threshold
    zones = triage_groups(test.labels, test.probabilities, *thresholds)
    for column, zone in zip(st.columns(3), zones, strict=True):
        column.metric(zone.triage.capitalize(), f"{zone.n}", border=True)
        column.caption(f"{zone.fractured} with a fracture: {estimate_text(zone.fracture_rate)}")


def _external(bundle: Bundle, test: Predictions) -> None:
    """Draw what the model reaches on other sources beside its own test set, where that was measured."""
    rows = external_table(bundle, test)
    if rows.empty:
        return
    st.subheader("Films from other sources", anchor=False)
    st.caption("Read as an upload would be; thresholds from validation. Labels as collected: a trend, not a truth.")
    st.table(rows, border="horizontal", hide_index=True)


def _films(bundle: Bundle, test: Predictions) -> None:
    """Draw typical successes and failures, where the radiographs are on this machine."""
    cases = typical_cases(test, bundle.points["single"].threshold)
    try:
        dataset = fracatlas()
    except FractureCoreError:
        return
    known = [case.image_id for case in cases if case.image_id in dataset.table.index]
    images = thumbnails({image_id: dataset.path(image_id) for image_id in known})
    if not images:
        return
    st.subheader("Typical successes and failures", anchor=False)
    st.caption("For each kind, cases of average probability, neither the best nor the worst. Select one to open it.")
    if picked := st.session_state.pop("card_film", None):
        st.switch_page("pages/dataset.py", query_params={"image": picked})
    gallery([_tile(case, images) for case in cases], "card_films", _pick, width=150)


def _tile(case: TypicalCase, images: dict[str, bytes]) -> Tile:
    words = f"{CELL_NAMES[case.cell]} ({case.cell}), probability {case.probability:.3f}"
    badge = "correct" if case.right else "wrong"
    return Tile(case.image_id, images.get(case.image_id, b""), words, not case.right, badge)


def _pick(image_id: str) -> None:
    st.session_state["card_film"] = image_id


def _text(bundle: Bundle) -> None:
    """Print the sections of the card that are not drawn above."""
    for heading, text in sections(bundle.card).items():
        if heading not in _DRAWN:
            st.subheader(escape_markdown(heading), anchor=False)
            # An image in it would be fetched by every reader's browser, from wherever the card's writer likes.
            st.markdown(text.replace("![", "["))


def _sites(bundle: Bundle) -> None:
    """Print the calibrations to sites that were saved with the model, where there are any."""
    if sites := sites_in_words(bundle):
        st.subheader("Site calibrations", anchor=False)
        st.caption("To use one, choose it as the operating point in the sidebar.")
        for site in sites:
            st.markdown(f"- {escape_markdown(site)}")


def _training(bundle: Bundle) -> None:
    rows = bundle.history().to_dict("records")
    if rows:
        st.subheader("Training history", anchor=False)
        columns = st.columns(2, gap="large")
        if "loss" in rows[0]:
            with columns[1]:
                draw(loss_chart(rows), "card_loss", height=300, alt="Loss by epoch")
        with columns[0]:
            draw(auc_chart(rows), "card_auc", height=300, alt="AUC on validation by epoch")
    with st.expander("Training settings"):
        st.dataframe(recipe_table(bundle.recipe), hide_index=True, key="card_recipe")


def _claim(bundle: Bundle, splits: dict[str, Predictions]) -> None:
    if dataset_name(bundle.manifest.get("provenance", {})) != FracAtlas.name:
        return
    with st.expander("CLAIM 2024 checklist"):
        items = claim_items(bundle, splits["val"], splits["test"])
        st.table(
            pd.DataFrame(
                [(str(item.number), item.asks, item.answer) for item in items], columns=["No.", "Item", "Answer"]
            ),
            border="horizontal",
            hide_index=True,
        )


def _files(bundle: Bundle) -> None:
    st.subheader("Files", anchor=False)
    st.caption(
        f"Version {bundle.version}, created {escape_markdown(bundle.created)}. A model is loaded only if every file "
        "matches its SHA-256."
    )
    sites = "".join(f"- {site}\n" for site in sites_in_words(bundle))
    card = f"{bundle.card.rstrip()}\n\n## Site calibrations\n\n{sites}" if sites else bundle.card
    st.download_button("The card as Markdown", card, f"{bundle.name}-card.md", "text/markdown", on_click="ignore")
    with st.expander("SHA-256 of each file"):
        st.code(
            "\n".join(f"{digest}  {name}" for name, digest in bundle.manifest["files"].items()),
            language=None,
            wrap_lines=True,
        )

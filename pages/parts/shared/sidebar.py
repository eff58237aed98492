"""The frame round every page: which bundle, which operating point, and what this program is not."""

from __future__ import annotations

import re
from dataclasses import dataclass

import streamlit as st

from fracture_core.bundle.bundle import Bundle, list_bundles, load_bundle
from fracture_core.bundle.saved_points import offered as saved
from fracture_core.errors import FractureCoreError
from fracture_core.metrics.operating_points import OperatingPoint
from fracture_core.paths import models_folder
from fracture_core.reporting.finding_text import DISCLAIMER, points_in_words, thresholds_in_words

THREE_ANSWERS = "Three answers: rule-out and rule-in"
ONE_THRESHOLD = "One threshold: sensitivity 0.90 on validation"


@dataclass(frozen=True, eq=False)
class Choice:
    """What the sidebar says: a verified bundle and the two thresholds (the same one twice for two answers)."""

    bundle: Bundle
    rule_out: OperatingPoint
    rule_in: OperatingPoint


def choose() -> Choice:
    """Draw the sidebar's choices, remembered across pages; where there is no usable bundle, say so and stop."""
    names = list_bundles(models_folder())
    with st.sidebar:
        if not names:
            st.error("There is no model in models/ yet. Train one: `python -m fracture_core train`.")
            st.stop()
        name = st.selectbox("Model", names, key="bundle", persist_state="session", help="A folder under models/.")
        try:
            bundle = verified(name)
            points = operating_points(bundle)
        except FractureCoreError as error:
            st.error(escape_markdown(str(error)))
            st.stop()
        label = st.selectbox("Operating point", list(points), key="operating_point", persist_state="session")
        rule_out, rule_in = points[label]
        st.caption(
            escape_markdown(thresholds_in_words(rule_out, rule_in)),
            help=escape_markdown(points_in_words(rule_out, rule_in)),
        )
        st.caption(escape_markdown(f"{bundle.version}, made {bundle.created[:10]}"))
    return Choice(bundle, rule_out, rule_in)


def operating_points(bundle: Bundle) -> dict[str, tuple[OperatingPoint, OperatingPoint]]:
    """Give (rule-out, rule-in) by the label it is offered under: the bundle's own first, then the saved ones."""
    own = bundle.points
    offered = {
        THREE_ANSWERS: (own["rule_out"], own["rule_in"]),
        ONE_THRESHOLD: (own["single"], own["single"]),
    }
    return offered | {f"Saved: {name}": pair for name, pair in saved(bundle.chosen_points()).items()}


def verified(name: str) -> Bundle:
    """Load a bundle once for all sessions, again when it was replaced; raise BundleError, with a sentence."""
    return _verified(name, _stamp(name))


def disclaimer() -> None:
    """Draw the line that every page ends with."""
    st.divider()
    st.caption(f"**{DISCLAIMER}** Data: FracAtlas, Abedeen et al. 2023, CC BY 4.0.")


def escape_markdown(text: str) -> str:
    """Escape text from a file (a name, a header) so that Markdown shows it as it is and loads nothing."""
    return re.sub(r"([\\`*_{}\[\]()#+\-.!|<>~:$&])", r"\\\1", text)


def _stamp(name: str) -> tuple[int, ...]:
    """What tells one published bundle from the next: another file, whatever the clock says."""
    manifest = models_folder() / name / "bundle.json"
    if not manifest.is_file():
        return ()
    status = manifest.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


@st.cache_resource(max_entries=4, show_spinner=False)
def _verified(name: str, stamp: tuple[int, ...]) -> Bundle:
    return load_bundle(name, models_folder())

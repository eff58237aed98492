"""The sidebar of every page: which bundle, which operating point; and the disclaimer."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from fracture_core.bundle.bundle import Bundle
from fracture_core.bundle.loading import list_bundles, load_bundle
from fracture_core.bundle.saved_points import usable_points
from fracture_core.errors import FractureCoreError
from fracture_core.metrics.operating_points import OperatingPoint
from fracture_core.paths import models_folder
from fracture_core.reporting.finding_text import (
    DISCLAIMER,
    date_in_words,
    points_in_words,
    site_in_words,
    thresholds_in_words,
)

THREE_ANSWERS = "Three categories"
ONE_THRESHOLD = "One threshold"
#: Where the session keeps a point that was not saved: the version of its model, and the point.
IN_USE = "threshold_in_use"
#: Where it keeps the point that was chosen and has gone: deleted on another screen, or another model's.
_GONE = "operating_point_gone"


@dataclass(frozen=True, eq=False)
class Choice:
    """The choices of the sidebar: a verified bundle and two thresholds (twice the same for two categories)."""

    bundle: Bundle
    rule_out: OperatingPoint
    rule_in: OperatingPoint


def choose() -> Choice:
    """Draw the sidebar's choices, remembered across pages; without a usable bundle show an error and stop."""
    names = list_bundles(models_folder())
    with st.sidebar:
        if not names:
            st.error("No model is installed. Train one: `fracture-reader train`.")
            st.stop()
        labels = _labels(names)
        name = st.selectbox(
            "Model",
            names,
            format_func=labels.__getitem__,
            key="bundle",
            persist_state="session",
            help="AUC: on the test set of the model's own bundle, a folder under models/.",
        )
        try:
            bundle = verified(name)
            points = operating_points(bundle)
        except FractureCoreError as error:
            st.error(escape_markdown(str(error)))
            st.stop()
        if (wanted := st.session_state.get("operating_point")) not in (None, *points):
            st.session_state[_GONE] = wanted
        label = st.selectbox(
            "Operating point", list(points), key="operating_point", persist_state="session", on_change=_chosen
        )
        if gone := st.session_state.get(_GONE):
            st.warning(f"“{escape_markdown(gone)}” is not offered with this model.")
        rule_out, rule_in = points[label]
        st.caption(
            escape_markdown(thresholds_in_words(rule_out, rule_in)),
            help=escape_markdown(points_in_words(rule_out, rule_in)),
        )
        if site := site_in_words(rule_out, rule_in):
            st.caption(escape_markdown(site))
        st.caption(escape_markdown(f"{bundle.version}, created {date_in_words(bundle.created)}"))
    return Choice(bundle, rule_out, rule_in)


def _chosen() -> None:
    st.session_state.pop(_GONE, None)


def operating_points(bundle: Bundle) -> dict[str, tuple[OperatingPoint, OperatingPoint]]:
    """Return (rule-out, rule-in) by label: the bundle's own first, then the saved ones."""
    own = bundle.points
    offered = {
        THREE_ANSWERS: (own["rule_out"], own["rule_in"]),
        ONE_THRESHOLD: (own["single"], own["single"]),
    }
    offered |= {saved_label(name, pair): pair for name, pair in usable_points(bundle).items()}
    version, point = st.session_state.get(IN_USE, ("", None))
    return offered | {in_use_label(point): (point, point)} if version == bundle.version else offered


def saved_label(name: str, pair: tuple[OperatingPoint, OperatingPoint]) -> str:
    """Return what saved points are offered under."""
    return f"{'Saved' if pair[1].site is None else 'Site'}: {name}"


def use_saved(name: str, pair: tuple[OperatingPoint, OperatingPoint]) -> None:
    """Use saved points on every page of this session; call it before the sidebar is drawn."""
    st.session_state["operating_point"] = saved_label(name, pair)
    _chosen()


def use_here(bundle: Bundle, point: OperatingPoint) -> None:
    """Use a point on every page of this session, without saving it; call it before the sidebar is drawn."""
    st.session_state[IN_USE] = bundle.version, point
    st.session_state["operating_point"] = in_use_label(point)
    _chosen()


def in_use_label(point: OperatingPoint) -> str:
    """Return the label of a point of this session."""
    return f"{point.threshold:.3f}, from Threshold"


def verified(name: str) -> Bundle:
    """Load a bundle once for all sessions, again when it was replaced; raise BundleError, with a sentence."""
    return _verified(name, _stamp(name))


def model_label(name: str) -> str:
    """Return a bundle's name on screen; its folder's name if it cannot be read."""
    try:
        return _label(name, _stamp(name))
    except FractureCoreError:
        return name


def disclaimer(*, small: bool = False) -> None:
    """Draw the line that every page ends with; `small` without a rule above it."""
    if not small:
        st.divider()
    st.caption(f"**{DISCLAIMER}** Data: FracAtlas, Abedeen et al. 2023, CC BY 4.0.")


def escape_markdown(text: str) -> str:
    """Escape text from a file (a name, a header) so that Markdown shows it as it is and loads nothing."""
    return re.sub(r"([\\`*_{}\[\]()#+\-.!|<>~:$&])", r"\\\1", text)


def _stamp(name: str) -> tuple[int, ...]:
    """Return an identity of the installed bundle that changes when it is replaced."""
    manifest = models_folder() / name / "bundle.json"
    if not manifest.is_file():
        return ()
    status = manifest.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


def _labels(names: Sequence[str]) -> dict[str, str]:
    """Return the label of each bundle, with the folder's name where labels would be the same."""
    labels = {name: model_label(name) for name in names}
    shared = {label for label, count in Counter(labels.values()).items() if count > 1}
    return {name: f"{label} ({name})" if label in shared else label for name, label in labels.items()}


@st.cache_data(max_entries=64, show_spinner=False)
def _label(name: str, stamp: tuple[int, ...]) -> str:
    from fracture_core.reporting import model_names  # it reads predictions, which takes pandas

    return model_names.model_label(verified(name))


@st.cache_resource(max_entries=4, show_spinner=False)
def _verified(name: str, stamp: tuple[int, ...]) -> Bundle:
    return load_bundle(name, models_folder())

"""The diagnose page below its uploader: worklist, finding, picture, report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from fracture_core.concurrency import QueueFullError
from fracture_core.errors import FractureCoreError
from fracture_core.imaging.radiograph import read_radiograph
from fracture_core.inference.predictor import Failure, Finding
from fracture_core.inference.remote_engine import notice
from fracture_core.reporting.finding_text import FindingText, explain_finding
from fracture_core.reporting.worklist import Entry
from pages.parts.diagnose import examples as samples
from pages.parts.diagnose.dicom_identity import offer_identity
from pages.parts.diagnose.finding_card import show_finding
from pages.parts.diagnose.report_menu import offer_report
from pages.parts.diagnose.worklist_table import offer_table
from pages.parts.shared.audit_gate import recorded
from pages.parts.shared.engine_queue import turn
from pages.parts.shared.predictor_cache import reader, warm
from pages.parts.shared.sidebar import Choice, choose, disclaimer, escape_markdown
from pages.parts.shared.viewer import picture, viewer


@dataclass(frozen=True, eq=False)
class Source:
    """A file to read: `key` tells it from every other one in this session."""

    key: str
    name: str
    data: bytes


@dataclass(frozen=True, eq=False)
class Opened:
    """The one radiograph that is open, and what was prepared to show it; `key` says for what it holds."""

    key: tuple
    result: Finding | Failure
    words: FindingText | None = None
    picture: dict[str, Any] | None = None


def diagnose(uploads: Sequence[Any]) -> None:
    """Draw the page for the files in the uploader and the examples that were picked."""
    choice = choose()
    warm(choice.bundle)
    if said := notice():
        st.caption(escape_markdown(said))
    sources = [Source(f.file_id, f.name, f.getvalue()) for f in uploads]
    sources += [Source(key, name, data) for key, name, data in samples.picked()]
    if not sources:
        samples.offer(choice.bundle)
        disclaimer()
        return
    try:
        _answer(sources, choice)
    except QueueFullError as full:
        st.warning(str(full), icon=":material/hourglass:")
        st.button("Try again", icon=":material/refresh:")
    samples.offer(choice.bundle, again=True)
    disclaimer()


def _answer(sources: Sequence[Source], choice: Choice) -> None:
    """Read what is new, and draw the worklist and what is open; raise QueueFullError where too many others wait."""
    damaged = st.session_state.get("damaged", False)
    slot = st.empty()
    entries = _read(sources, choice, damaged, slot)
    if not recorded(entries, choice):
        return
    place = offer_table(entries, choice, [s.key for s in sources]) if len(sources) > 1 else 0
    # What was open before leaves the screen at once: nobody shall take its finding for that of the next.
    fresh = not _is_open(sources[place], choice, damaged)
    body = st.empty() if fresh else st.container()
    opened = _open(sources[place], choice, damaged, slot)
    with body.container() if fresh else body:
        if isinstance(opened.result, Failure):
            st.error(
                f"**{escape_markdown(opened.result.name)}** could not be read. {escape_markdown(opened.result.error)}"
            )
        else:
            _show(opened, choice, sources[place].data)
    if damaged or any(entry.error for entry in entries):
        st.checkbox(
            "Read truncated files (part of the image is missing)",
            key="damaged",
            help="The missing part is not looked at; a warning says how much it is.",
        )


def _read(sources: Sequence[Source], choice: Choice, damaged: bool, slot: DeltaGenerator) -> list[Entry]:
    """An entry for each file; those not met before are read now, with progress where there are several."""
    known: dict[tuple, Entry] = st.session_state.setdefault("entries", {})
    keys = [(s.key, choice.bundle.version, damaged) for s in sources]
    new = [(key, source) for key, source in zip(keys, sources, strict=True) if key not in known]
    for done, (key, source) in enumerate(new):
        with turn(slot):
            if len(new) > 1:
                slot.progress(done / len(new), f"Reading {done + 1} of {len(new)} …")
            result = _result(source, choice, damaged)
            known[key] = Entry.of(result)
            if len(sources) == 1:
                st.session_state["opened"] = _prepare(source, result, choice, damaged)
    slot.empty()
    for gone in set(known) - set(keys):
        del known[gone]
    return [known[key] for key in keys]


def _result(source: Source, choice: Choice, damaged: bool) -> Finding | Failure:
    try:
        model = reader(choice.bundle)
        radiograph = read_radiograph(source.data, name=source.name, accept_cut_short=damaged)
        return model.predict(radiograph, rule_out=choice.rule_out, rule_in=choice.rule_in)
    except FractureCoreError as error:
        return Failure(source.name, str(error))


def _open(source: Source, choice: Choice, damaged: bool, slot: DeltaGenerator) -> Opened:
    """Everything about one file; made again only when the file, the model or the operating point is another."""
    if not _is_open(source, choice, damaged):
        with turn(slot), slot, st.spinner("Reading …"):
            opened = _prepare(source, _result(source, choice, damaged), choice, damaged)
        st.session_state["opened"] = opened
        slot.empty()
    return st.session_state["opened"]


def _is_open(source: Source, choice: Choice, damaged: bool) -> bool:
    opened: Opened | None = st.session_state.get("opened")
    return opened is not None and opened.key == _key(source, choice, damaged)


def _prepare(source: Source, result: Finding | Failure, choice: Choice, damaged: bool) -> Opened:
    key = _key(source, choice, damaged)
    if isinstance(result, Failure):
        return Opened(key, result)
    return Opened(key, result, explain_finding(result, choice.bundle), picture(result))


def _key(source: Source, choice: Choice, damaged: bool) -> tuple:
    return source.key, choice.bundle.version, choice.rule_out, choice.rule_in, damaged


def _show(opened: Opened, choice: Choice, data: bytes) -> None:
    finding = opened.result
    truth = samples.truth(finding.radiograph, choice.bundle)
    left, right = st.columns([3, 2])
    with left:
        show_finding(finding, opened.words)
    with right:
        for warning in finding.warnings if not opened.words.reason else ():
            st.warning(escape_markdown(warning), icon=":material/warning:")
        boxes: np.ndarray | None = None
        if truth and st.toggle("Show reference label", key=f"truth {truth.image_id}"):
            st.info(truth.summary_text(), icon=":material/menu_book:")
            boxes = truth.boxes
        offer_identity(finding.radiograph, data)
        offer_report(finding, choice.bundle, data)
    viewer(opened.picture, boxes)

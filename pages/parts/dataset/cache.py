"""FracAtlas as the page holds it: one index, one audit and one catalogue for all sessions, never its images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import pandas as pd
import streamlit as st

from fracture_core.bundle.bundle import Bundle
from fracture_core.concurrency import BackgroundTask, TaskState
from fracture_core.data.audit import Audit, audit
from fracture_core.data.catalogue import catalogue
from fracture_core.data.dataset_statistics import Survey, survey
from fracture_core.data.fracatlas import FracAtlas, find_fracatlas
from fracture_core.data.split import SplitError, project_split
from fracture_core.data.thumbnails import make_all
from fracture_core.metrics.score_scale import ScoreScale

_Key = tuple[str, int]


@dataclass(frozen=True, eq=False)
class Sources:
    """What the sections draw: the dataset, its catalogue, and the audit as far as there is one."""

    key: _Key
    dataset: FracAtlas
    table: pd.DataFrame
    audit: Audit | None
    auditing: TaskState
    bundle: Bundle | None

    @cached_property
    def paths(self) -> dict[str, Path]:
        """The images' files by id."""
        return {image_id: self.dataset.path(image_id) for image_id in self.dataset.table.index}

    @property
    def survey(self) -> Survey:
        """Sizes of images and boxes, read from the headers at the first call."""
        return _survey(self.key)

    def on_scale(self, scale: ScoreScale | None) -> Sources:
        """Give the same with the model's probabilities on the scale of the operating points in use."""
        if scale is None:
            return self
        return replace(self, table=self.table.assign(probability=scale.probability(self.table["logit"])))


def sources(bundle: Bundle | None) -> Sources:
    """Give what is known now; raise DatasetError where FracAtlas is not there or not whole."""
    key = _key()
    work = _audit(key)
    found = work.result
    table = _catalogue(key, found is not None, bundle.version if bundle else "", bundle)
    return Sources(key, _dataset(key), table, found, work.progress, bundle)


def fracatlas() -> FracAtlas:
    """Return FracAtlas, read once for all pages and sessions; raise DatasetError where it is not installed."""
    return _dataset(_key())


def _key() -> _Key:
    root = find_fracatlas()
    return str(root), (root / "dataset.csv").stat().st_mtime_ns


def audit_work(key: _Key) -> BackgroundTask[Audit]:
    """Give the audit at work, to watch it or to begin it again."""
    return _audit(key)


@st.cache_resource(max_entries=2, show_spinner=False)
def _dataset(key: _Key) -> FracAtlas:
    return FracAtlas(Path(key[0]))


@st.cache_resource(max_entries=2, show_spinner=False)
def _audit(key: _Key) -> BackgroundTask[Audit]:
    """Begin the audit; what an earlier one kept is there at once, so it is waited for a moment."""
    dataset = _dataset(key)
    work = BackgroundTask(lambda step, stop: audit(dataset, progress=step))
    work.start()
    work.join(1.5)
    return work


@st.cache_resource(max_entries=2, show_spinner=False)
def thumbnails_work(key: _Key) -> BackgroundTask[int]:
    """Begin to make the thumbnails that are lacking, so that no later page has to wait for its own."""
    dataset = _dataset(key)
    paths = {image_id: dataset.path(image_id) for image_id in dataset.table.index}
    work = BackgroundTask(lambda step, stop: make_all(paths, step=step))
    work.start()
    return work


@st.cache_resource(max_entries=4, show_spinner=False)
def _catalogue(key: _Key, audited: bool, version: str, _bundle: Bundle | None) -> pd.DataFrame:
    dataset = _dataset(key)
    found = _audit(key).result if audited else None
    try:
        split = project_split(dataset, found)
    except SplitError:
        split = None
    return catalogue(dataset, split, found, _bundle.predictions() if _bundle else None)


@st.cache_resource(max_entries=2, show_spinner="Reading image sizes …")
def _survey(key: _Key) -> Survey:
    return survey(_dataset(key))

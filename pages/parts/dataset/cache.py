"""What the Dataset page knows of FracAtlas: one audit and one catalogue for all sessions, never its images."""

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
from fracture_core.data.fracatlas import FracAtlas
from fracture_core.data.split import SplitError, project_split
from fracture_core.data.thumbnails import make_all
from fracture_core.metrics.score_scale import ScoreScale
from pages.parts.shared.fracatlas_cache import Key, fracatlas_key, fracatlas_of


@dataclass(frozen=True, eq=False)
class Sources:
    """What the sections draw: the dataset, its catalogue, and the audit as far as there is one."""

    key: Key
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
        """Return the same with the model's probabilities on the scale of the operating points in use."""
        if scale is None:
            return self
        return replace(self, table=self.table.assign(probability=scale.probability(self.table["logit"])))


def sources(bundle: Bundle | None) -> Sources:
    """Return what is known now; raise DatasetError where FracAtlas is missing or incomplete."""
    key = fracatlas_key()
    work = _audit(key)
    findings = work.result
    table = _catalogue(key, findings is not None, bundle.version if bundle else "", bundle)
    return Sources(key, fracatlas_of(key), table, findings, work.progress, bundle)


def audit_work(key: Key) -> BackgroundTask[Audit]:
    """Return the running audit, to watch it or to start it again."""
    return _audit(key)


@st.cache_resource(max_entries=2, show_spinner=False)
def _audit(key: Key) -> BackgroundTask[Audit]:
    """Start the audit; the findings of an earlier one are read at once, so wait for them a moment."""
    dataset = fracatlas_of(key)
    work = BackgroundTask(lambda step, stop: audit(dataset, progress=step))
    work.start()
    work.join(1.5)
    return work


@st.cache_resource(max_entries=2, show_spinner=False)
def thumbnails_work(key: Key) -> BackgroundTask[int]:
    """Start making the missing thumbnails, so that no later page has to wait for its own."""
    dataset = fracatlas_of(key)
    paths = {image_id: dataset.path(image_id) for image_id in dataset.table.index}
    work = BackgroundTask(lambda step, stop: make_all(paths, step=step))
    work.start()
    return work


@st.cache_resource(max_entries=4, show_spinner=False)
def _catalogue(key: Key, audited: bool, version: str, _bundle: Bundle | None) -> pd.DataFrame:
    dataset = fracatlas_of(key)
    findings = _audit(key).result if audited else None
    try:
        split = project_split(dataset, findings)
    except SplitError:
        split = None
    return catalogue(dataset, split, findings, _bundle.predictions() if _bundle else None)


@st.cache_resource(max_entries=2, show_spinner="Reading image sizes …")
def _survey(key: Key) -> Survey:
    return survey(fracatlas_of(key))

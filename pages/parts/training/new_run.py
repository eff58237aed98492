"""A new run: dataset, plan, starting weights, and how long it will take."""

from __future__ import annotations

import threading
from contextlib import suppress
from functools import partial
from typing import get_args

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from fracture_core.bundle.loading import DEFAULT_BUNDLE, list_bundles
from fracture_core.concurrency import BackgroundTask
from fracture_core.data.combined.sources import Sources
from fracture_core.errors import FractureCoreError
from fracture_core.jobs import launcher as job
from fracture_core.jobs.expectation import expect
from fracture_core.jobs.lock import BusyError, current_trainer
from fracture_core.jobs.preparation import free_name
from fracture_core.paths import models_folder
from fracture_core.recipe import BackboneName, Recipe
from fracture_core.reporting.model_names import architecture
from fracture_core.reporting.training_text import copies_in_words, estimate_in_words, preset_time
from fracture_core.training.estimate import check_disk_space, estimate
from fracture_core.training.presets import GROUPS, HELP, PRESETS, Preset, group_of
from fracture_core.training.recipe_fields import RecipeChoice, choices, setting_value, with_values
from pages.parts.shared.sidebar import escape_markdown, verified
from pages.parts.training.dataset_choice import choose_dataset

_NETWORK = "The shipped models are DenseNet121 and EfficientNet-Lite2; the other networks start from ImageNet."
_STYLE = """<style>
[class*="st-key-preset_"] .stVerticalBlock, [class*="st-key-preset_"] { gap: .3rem; }
.st-key-start { border-top: 1px solid #8886; border-bottom: 1px solid #8886; padding: .6rem 0; gap: .5rem; }
</style>"""
_STARTED = "training_started"
_ELSEWHERE = {"imagenet": "ImageNet (downloaded once, 30 MB)", "none": "None (random weights)"}


def new_run() -> None:
    """Draw the form: dataset, plan, how long the run will take and its start, and below them the settings."""
    st.html(_STYLE)
    chosen = choose_dataset()
    preset = _preset(chosen)
    # Filled last: what starts, and how long it takes, depends on the settings below it.
    start = st.container(key="start")
    name = start.text_input(
        "Name", free_name("mine"), key="train_name", help="Name of the run and of the model it produces.", width=320
    )
    recipe = _recipe(preset, name, start)
    if chosen is None:
        return
    with start:
        if recipe is not None:
            _estimate(recipe, preset, *chosen)
        pressed = st.button(
            "Start", type="primary", icon=":material/play_arrow:", key="start_run", disabled=recipe is None
        )
        if recipe is not None and pressed:
            _start(recipe, *chosen)


def _start(recipe: Recipe, sources: Sources, dataset, split) -> None:
    try:
        if (needed := estimate(recipe, dataset, split)) is not None:
            check_disk_space(needed)
        with st.spinner("Starting …"):
            run = job.start(recipe, sources, recipe.name)
        st.session_state[_STARTED] = run
        if needed is not None:
            expect(run, needed.seconds)
    except BusyError as error:
        if (trainer := current_trainer()) and trainer.run == st.session_state.get(_STARTED):
            st.rerun()  # pressed twice: it has been started
        st.error(escape_markdown(str(error)))
        return
    except FractureCoreError as error:
        st.error(escape_markdown(str(error)))
        return
    st.rerun()


def _preset(chosen: tuple | None) -> Preset:
    """Draw the three plans with the time of each; return the selected one."""
    key = st.segmented_control(
        "Plan",
        list(PRESETS),
        default="try",
        required=True,
        key="train_preset",
        format_func=lambda name: PRESETS[name].title,
        wrap=True,
    )
    for column, preset in zip(st.columns(len(PRESETS)), PRESETS.values(), strict=True):
        with column.container(border=True, height="stretch", key=f"preset_{preset.key}"):
            needed = estimate(preset.recipe, *chosen[1:]) if chosen else None
            st.markdown(f"**{preset.title}**" + (" ✓ selected" if preset.key == key else ""))
            st.markdown(f"**{preset_time(needed, preset.typical)}**")
            st.caption(preset.about)
    return PRESETS[key]


def _recipe(preset: Preset, name: str, place: DeltaGenerator) -> Recipe | None:
    """Draw the settings of a plan; return its recipe, or None, and say so at `place`, if they are inconsistent."""
    base = preset.recipe
    st.markdown("**Settings of this plan**")
    left, right = st.columns(2)
    networks = get_args(BackboneName)
    backbone = left.selectbox(
        "Network",
        networks,
        networks.index(base.backbone),
        key=f"choice_{preset.key}_backbone",
        format_func=architecture,
        help=_NETWORK,
    )
    starts = [*(f"bundle:{name}" for name in _starts(backbone)), *_ELSEWHERE]
    start = right.selectbox(
        "Starting weights",
        starts,
        starts.index(base.start) if base.start in starts else 0,
        key=f"train_start_{preset.key}_{backbone}",
        format_func=lambda source: _ELSEWHERE.get(source, source.replace("bundle:", "Model ")),
    )
    values = {"backbone": backbone} | _settings(preset, base)
    try:
        return with_values(base, values).replace(name=name.strip(), start=start)
    except FractureCoreError as error:
        place.error(escape_markdown(str(error)))
        return None


def _settings(preset: Preset, base: Recipe) -> dict[str, object]:
    """Draw every other setting, in groups; return the values by key."""
    offered = [field for field in choices(base) if field.key != "backbone"]
    values = {}
    for title in GROUPS:
        with st.expander(title):
            columns = st.columns(3)
            for place, choice in enumerate(field for field in offered if group_of(field.key) == title):
                with columns[place % 3]:
                    values[choice.key] = _widget(preset.key, choice)
    return values


def _starts(backbone: str) -> list[str]:
    """Return the models with the same network, which a run can start from; the shipped one first."""
    fitting = []
    for name in list_bundles(models_folder()):
        with suppress(FractureCoreError):
            if verified(name).recipe.backbone == backbone:
                fitting.append(name)
    return sorted(fitting, key=lambda name: name != DEFAULT_BUNDLE)


def _widget(base: str, choice: RecipeChoice):
    """Draw one choice; another plan has widgets of its own, so that each shows its own values."""
    key, help_text = f"choice_{base}_{choice.key}", choice.help or HELP.get(choice.key)
    if choice.kind == "switch":
        return st.toggle(choice.label, choice.value, key=key, help=help_text)
    if choice.kind == "one of":
        return st.selectbox(
            choice.label,
            choice.options,
            choice.options.index(choice.value),
            key=key,
            format_func=partial(setting_value, choice.key),
            help=help_text,
        )
    return st.number_input(
        choice.label,
        choice.low,
        choice.high,
        choice.value,
        key=key,
        format="%g" if choice.kind == "number" else None,
        step=choice.step,
        help=help_text,
    )


def _estimate(recipe: Recipe, preset: Preset, sources: Sources, dataset, split) -> None:
    """Show how long the run will take, or offer to measure it."""
    st.caption(escape_markdown(copies_in_words(dataset, recipe.leak_free)))
    needed = estimate(recipe, dataset, split)
    words = estimate_in_words(needed) + ("" if needed else f" Typically {preset.typical} on a laptop.")
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(escape_markdown(words), width="stretch")
        st.button(
            "Measure speed",
            key="measure",
            icon=":material/timer:",
            on_click=_measuring(sources).again,
            args=(recipe, sources),
            help="Times a few training steps in a separate process (about a minute).",
        )
    measurement = _measuring(sources)
    if measurement.fresh or (measurement.work and measurement.work.progress.state == "failed"):
        _measured(sources)


@st.fragment(run_every=0.5)
def _measured(sources: Sources) -> None:
    measurement = _measuring(sources)
    if measurement.work.progress.busy:
        st.caption("Timing a few training steps …")
    elif measurement.work.progress.state == "failed":
        st.error(escape_markdown(measurement.work.progress.error))
    elif measurement.fresh:
        measurement.fresh = False
        st.rerun(scope="app")


class _Measuring:
    """The current measurement, one for all sessions."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.work: BackgroundTask | None = None
        self.fresh = False

    def again(self, recipe: Recipe, sources: Sources) -> None:
        """Start a measurement unless one is running."""
        with self._lock:
            if self.work is None or not self.work.progress.busy:
                self.fresh = True
                self.work = BackgroundTask(lambda step, stop: job.measure(recipe, sources, stop))
                self.work.start()


@st.cache_resource(show_spinner=False)
def _measuring(sources: Sources) -> _Measuring:
    return _Measuring()

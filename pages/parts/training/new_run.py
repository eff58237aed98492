"""A new run: on what, by which recipe, from where, and what that will take."""

from __future__ import annotations

import streamlit as st

from fracture_core.bundle.bundle import DEFAULT_BUNDLE, list_bundles
from fracture_core.concurrency import BackgroundTask
from fracture_core.errors import FractureCoreError
from fracture_core.jobs import launcher as job
from fracture_core.jobs.preparation import free_name
from fracture_core.paths import models_folder
from fracture_core.recipe import Recipe
from fracture_core.reporting.training_text import estimate_in_words
from fracture_core.training.estimate import check_disk_space, estimate
from fracture_core.training.recipe_fields import FRONT, RecipeChoice, about, choices, recipe_names, with_values
from pages.parts.shared.sidebar import escape_markdown
from pages.parts.training.dataset_choice import choose_dataset

_ELSEWHERE = {"imagenet": "ImageNet (downloaded once, 30 MB)", "none": "None (random weights)"}


def new_run() -> None:
    """Draw the form."""
    st.subheader("A new run", anchor=False)
    chosen = choose_dataset()
    recipe = _recipe()
    if recipe is None or chosen is None:
        return
    _estimate(recipe, *chosen)
    if st.button("Start", type="primary", icon=":material/play_arrow:", key="start_run"):
        _start(recipe, *chosen)


def _start(recipe: Recipe, folder: str | None, dataset, split) -> None:
    try:
        if (needed := estimate(recipe, dataset, split)) is not None:
            check_disk_space(needed)
        with st.spinner("Starting …"):
            job.start(recipe, folder, recipe.name)
    except FractureCoreError as error:
        st.error(escape_markdown(str(error)))
        return
    st.rerun()


def _recipe() -> Recipe | None:
    """Draw the recipe's choices; give it, or None where they make no sense."""
    left, middle, right = st.columns(3)
    base = left.selectbox("Recipe", recipe_names(), key="train_recipe")
    start = middle.selectbox(
        "Starting weights",
        [*(f"bundle:{name}" for name in _starts()), *_ELSEWHERE],
        key="train_start",
        format_func=lambda one: _ELSEWHERE.get(one, one.replace("bundle:", "Model ")),
    )
    name = right.text_input(
        "Name", free_name("mine"), key="train_name", help="Name of the run and of the model it produces."
    )
    if said := about(base):
        st.caption(escape_markdown(said))
    offered = choices(Recipe.load(base))
    values = {}
    columns = st.columns(3)
    for place, choice in enumerate(one for one in offered if one.key in FRONT):
        with columns[place % 3]:
            values[choice.key] = _widget(base, choice)
    with st.expander("All other settings"):
        columns = st.columns(3)
        for place, choice in enumerate(one for one in offered if one.key not in FRONT):
            with columns[place % 3]:
                values[choice.key] = _widget(base, choice)
    try:
        return with_values(Recipe.load(base), values).replace(name=name.strip(), start=start)
    except FractureCoreError as error:
        st.error(escape_markdown(str(error)))
        return None


def _starts() -> list[str]:
    """The bundles that a run can start from, the one that came with the project first."""
    return sorted(list_bundles(models_folder()), key=lambda name: name != DEFAULT_BUNDLE)


def _widget(base: str, choice: RecipeChoice):
    """Draw one choice; another recipe has widgets of its own, so that each shows its own values."""
    key = f"choice_{base}_{choice.key}"
    if choice.kind == "switch":
        return st.toggle(choice.label, choice.value, key=key, help=choice.help)
    if choice.kind == "one of":
        return st.selectbox(choice.label, choice.options, choice.options.index(choice.value), key=key, help=choice.help)
    return st.number_input(
        choice.label,
        choice.low,
        choice.high,
        choice.value,
        key=key,
        format="%g" if choice.kind == "number" else None,
        step=choice.step,
        help=choice.help,
    )


def _estimate(recipe: Recipe, folder: str | None, dataset, split) -> None:
    """Say what the run will take, or offer to measure it."""
    words = estimate_in_words(estimate(recipe, dataset, split))
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(escape_markdown(words), width="stretch")
        st.button(
            "Measure speed",
            key="measure",
            icon=":material/timer:",
            on_click=_measuring(folder).again,
            args=(recipe, folder),
            help="Times a few training steps in a separate process (about a minute).",
        )
    one = _measuring(folder)
    if one.fresh or (one.work and one.work.progress.state == "failed"):
        _measured(folder)


@st.fragment(run_every=0.5)
def _measured(folder: str | None) -> None:
    one = _measuring(folder)
    if one.work.progress.busy:
        st.caption("Timing a few training steps …")
    elif one.work.progress.state == "failed":
        st.error(escape_markdown(one.work.progress.error))
    elif one.fresh:
        one.fresh = False
        st.rerun(scope="app")


class _Measuring:
    """The measurement under way, one for all sessions."""

    def __init__(self) -> None:
        self.work: BackgroundTask | None = None
        self.fresh = False

    def again(self, recipe: Recipe, folder: str | None) -> None:
        """Begin, unless one is at it."""
        if self.work is None or not self.work.progress.busy:
            self.fresh = True
            self.work = BackgroundTask(lambda step, stop: job.measure(recipe, folder, stop))
            self.work.start()


@st.cache_resource(show_spinner=False)
def _measuring(folder: str | None) -> _Measuring:
    return _Measuring()

"""Radiographs of FracAtlas on the diagnose page: examples to click, and the reference label on request."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import streamlit as st

from fracture_core.bundle.bundle import Bundle
from fracture_core.errors import FractureCoreError
from fracture_core.explain.overlay import thumbnail, to_jpeg
from fracture_core.imaging.radiograph import Radiograph, read_radiograph
from fracture_core.reporting.demo_cases import BundledExample, ReferenceLabel, bundled_examples, examples, recognise
from fracture_core.reporting.film_session import Film
from pages.parts.diagnose.uploads import add_film
from pages.parts.shared.fracatlas_cache import fracatlas
from pages.parts.shared.gallery import Tile, gallery

_FOLDER = Path(__file__).parents[2] / "examples"
_ABOUT = (
    "Upload a limb radiograph: the app says how likely a fracture is, where the evidence lies, and how often "
    "radiographs with a similar score were fractured. Research demonstrator. Not a medical device; not for diagnosis."
)


def first_visit(bundle: Bundle) -> None:
    """Draw what a visitor without a film sees: what this is, and radiographs to click."""
    st.markdown(_ABOUT)
    number = st.session_state.setdefault("examples_shown", 0)
    paths = {example.image_id: example.path for example in _bundled()}
    there = _dataset_there()
    if number and there:
        paths = {image_id: fracatlas().path(image_id) for image_id in examples(bundle, 8, number)}
    paths = {image_id: path for image_id, path in paths.items() if path.is_file()}
    st.markdown("**No radiograph to hand? Click one.**")
    tiles = [Tile(key, _thumbnail(str(path)), f"Example {n}") for n, (key, path) in enumerate(paths.items(), 1)]
    with st.container(key="examples"):
        gallery(tiles, "example_tiles", lambda image_id: _open(paths[image_id]), width=120)
    unseen = all(bundle.splits.get(image_id) == "test" for image_id in paths)
    st.caption(
        "FracAtlas, Abedeen et al. 2023, CC BY 4.0."
        + (" From the test set, which the model was not trained on." if unseen else "")
        + " Reference labels are hidden until you ask."
    )
    with st.container(horizontal=True, gap="small"):
        if there:
            st.button("More examples", on_click=_turn, icon=":material/refresh:")
        else:
            st.page_link(
                "pages/dataset.py", label="Get all of FracAtlas (4,083 radiographs, 338 MB)", icon=":material/download:"
            )


def reference_label(radiograph: Radiograph, bundle: Bundle) -> ReferenceLabel | None:
    """Return what FracAtlas says of this very file, or None."""
    try:
        return recognise(fracatlas() if _dataset_there() else None, bundle, radiograph, _bundled())
    except (OSError, FractureCoreError):
        return None


def toggle_key(film: Film) -> str:
    """Return the key of the switch that shows a film's reference label."""
    return f"reference {film.key}"


def shown_boxes(film: Film, reference: ReferenceLabel | None) -> np.ndarray | None:
    """Return the dataset's boxes if they were asked for; after a crop or a turn they would lie elsewhere."""
    if reference is None or film.options.adjustments or not st.session_state.get(toggle_key(film)):
        return None
    return reference.boxes


def pick(image_id: str) -> None:
    """Add a radiograph of the dataset and open it."""
    _open(fracatlas().path(image_id))


def _open(path: Path) -> None:
    add_film(path.name, path.read_bytes())


def _turn() -> None:
    st.session_state["examples_shown"] += 1


def _dataset_there() -> bool:
    try:
        fracatlas()
    except FractureCoreError:
        return False
    return True


@st.cache_resource(show_spinner=False)
def _bundled() -> list[BundledExample]:
    return bundled_examples(_FOLDER)


@st.cache_data(max_entries=256, show_spinner=False)
def _thumbnail(path: str) -> bytes:
    return to_jpeg(thumbnail(read_radiograph(path, accept_cut_short=True).pixels, 240))

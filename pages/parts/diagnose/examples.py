"""FracAtlas on the diagnose page: examples to click, labels hidden until asked for."""

from __future__ import annotations

import streamlit as st

from fracture_core.bundle.bundle import Bundle
from fracture_core.data.fracatlas import FracAtlas, find_fracatlas
from fracture_core.errors import FractureCoreError
from fracture_core.explain.overlay import thumbnail, to_png
from fracture_core.imaging.radiograph import Radiograph, read_radiograph
from fracture_core.paths import dataset_folder
from fracture_core.reporting.demo_cases import ReferenceLabel, examples, recognise


def picked() -> list[tuple[str, str, bytes]]:
    """Give (key, file name, bytes) of each example that was clicked in this session and is still there."""
    found = []
    for image_id in st.session_state.get("examples", ()):
        try:
            path = _dataset().path(image_id)
            found.append((f"example {image_id}", path.name, path.read_bytes()))
        except (OSError, FractureCoreError):
            st.warning(f"The example {image_id} is no longer there: FracAtlas has moved.")
    return found


def offer(bundle: Bundle, *, again: bool = False) -> None:
    """Draw the examples, or how to get FracAtlas where it is not on disk; `again` folds them away."""
    try:
        _dataset()
    except FractureCoreError:
        if not again:
            st.info(
                "No radiograph at hand? FracAtlas (4,083 radiographs, CC BY 4.0, 338 MB) gives examples to click. "
                "Get it with `python -m fracture_core download`, or set `FRACATLAS_DIR` to the folder that has it.",
                icon=":material/download:",
            )
        return
    with st.expander("Examples from FracAtlas", expanded=not again, icon=":material/collections:"):
        st.caption("From the test images, which the model never saw. What the dataset says stays hidden until asked.")
        turn = st.session_state.setdefault("examples_shown", 0)
        chosen = [i for i in examples(bundle, 8, turn) if _dataset().path(i).is_file()]
        with st.container(horizontal=True, gap="small"):
            for number, image_id in enumerate(chosen, 1):
                with st.container(width=120, gap="small"):
                    st.image(_thumbnail(image_id), width=120, alt=f"Example {number}, a radiograph")
                    st.button(f"Read {number}", key=f"read {image_id}", on_click=pick, args=(image_id,), width=120)
        with st.container(horizontal=True, gap="small"):
            st.button("Other examples", on_click=_turn, icon=":material/refresh:")
            if st.session_state.get("examples"):
                st.button("Put the examples away", on_click=_clear, icon=":material/close:")


def truth(radiograph: Radiograph, bundle: Bundle) -> ReferenceLabel | None:
    """Give what FracAtlas says of this very file, or None."""
    try:
        return recognise(_dataset(), bundle, radiograph)
    except (OSError, FractureCoreError):
        return None


def pick(image_id: str) -> None:
    st.session_state.setdefault("examples", []).append(image_id)
    st.session_state["open"] = f"example {image_id}"
    st.session_state["examples"] = list(dict.fromkeys(st.session_state["examples"]))


def _turn() -> None:
    st.session_state["examples_shown"] += 1


def _clear() -> None:
    st.session_state["examples"] = []


def _dataset() -> FracAtlas:
    find_fracatlas()
    return _index(str(dataset_folder()))


@st.cache_resource(max_entries=1, show_spinner=False)
def _index(location: str) -> FracAtlas:
    return FracAtlas(location)


@st.cache_data(max_entries=256, show_spinner=False)
def _thumbnail(image_id: str) -> bytes:
    return to_png(thumbnail(read_radiograph(_dataset().path(image_id), accept_cut_short=True).pixels, 240))

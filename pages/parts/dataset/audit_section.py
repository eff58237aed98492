"""The audit, readable: each kind of defect, what it means for training, what was done, and the files themselves."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from fracture_core.concurrency import TaskState
from fracture_core.data.catalogue import choice_name
from fracture_core.data.defects import DEFECTS, Defect, defect_text, ids_by_defect, pair_words, summary
from pages.parts.dataset.cache import Sources, audit_work
from pages.parts.dataset.image_view import open_image
from pages.parts.dataset.one_of import one_of
from pages.parts.dataset.tiles import leaf, tiles
from pages.parts.shared.gallery import gallery
from pages.parts.shared.sidebar import escape_markdown

_PAGE = 24
_PAIRS = 8


def watch_audit(sources: Sources) -> None:
    """Draw the progress of an audit that is under way, on every section, until it is done."""
    if sources.auditing.busy:
        _watch(sources)
    elif sources.auditing.state != "done":
        st.warning(f"The audit failed. {escape_markdown(sources.auditing.error)}")
        st.button("Run the audit again", on_click=audit_work(sources.key).start, key="audit_again")


@st.fragment(run_every=1.0)
def _watch(sources: Sources) -> None:
    progress: TaskState = audit_work(sources.key).progress
    if not progress.busy:
        st.rerun(scope="app")
    st.progress(progress.share, "Auditing the dataset (once only): damaged files, duplicates, conflicting labels …")
    st.caption("Until it finishes, images cannot be filtered by defect and the split is the reference study's.")


def defects(sources: Sources) -> None:
    """Draw every kind of defect that the audit looked for, found or not."""
    audit = sources.audit
    if audit is None:
        st.info("The audit has not finished.")
        return
    ids = ids_by_defect(audit)
    kinds = {defect.name: defect for defect in DEFECTS}
    name = one_of("Kind of defect", list(kinds), "kind", words=choice_name, on_change=_first_page)
    _explain(kinds[name], summary(sources.table, audit, name))
    if not ids[name]:
        return
    if name in ("duplicate", "opposite labels"):
        _pairs(sources, name)
    else:
        _files(sources, name, ids[name])


def _first_page() -> None:
    st.session_state["audit_page"] = 1


def _explain(defect: Defect, summary: str) -> None:
    st.subheader(defect.title, anchor=False)
    st.markdown(f"{defect.what} {summary}")
    st.markdown(f"**What it means for training.** {defect.training}")
    st.markdown(f"**What this project did.** {defect.done}")


def _files(sources: Sources, name: str, ids: Sequence[str]) -> None:
    place, page = leaf(ids, _PAGE, "audit_page")
    words = {image_id: defect_text(sources.audit, name, image_id) for image_id in page.ids}
    with place:
        gallery(tiles(sources, page.ids, words), "defective", open_image, width=168)


def _pairs(sources: Sources, name: str) -> None:
    """Pairs side by side, the two images of one exposure in one frame."""
    pairs = sources.audit.duplicate_pairs
    if name == "opposite labels":
        labels = sources.table["label"]
        pairs = [pair for pair in pairs if labels[pair.first] != labels[pair.second]]
    st.caption(f"{len(pairs)} pairs, most certain first. Click an image to open it.")
    place, page = leaf(range(len(pairs)), _PAIRS, "audit_page")
    columns = place.columns(2, gap="medium")
    for count, number in enumerate(page.ids):
        pair = pairs[number]
        with columns[count % 2].container(border=True):
            st.caption(pair_words(pair))
            gallery(tiles(sources, (pair.first, pair.second)), f"pair_{number}", open_image, width=160)

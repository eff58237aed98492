"""Drop radiographs; see the finding, the evidence, and how far to trust it."""

import streamlit as st

from pages.parts.diagnose.layout import CARD_STYLE, DESK_STYLE
from pages.parts.diagnose.uploads import offer_upload, take_stray
from pages.parts.shared.page_header import page_header, title_bar

TITLE = "Diagnose"
page_header(TITLE, wide=True)
st.html(DESK_STYLE + CARD_STYLE)
take_stray()
if st.session_state.get("films"):
    from pages.parts.diagnose.page import show_films

    show_films(TITLE)
else:
    # In the place that the films take over at once when the first one comes.
    with st.container():
        offer_upload(title_bar(TITLE))

        # Imported here, not above: the page is on screen before the libraries behind it are in memory.
        from pages.parts.diagnose.page import show_first_visit

        show_first_visit()

"""The page list. Run with `make app`, or `streamlit run streamlit_app.py`."""

import streamlit as st

# Without icons: named ones would make the browser fetch a favicon from a font server.
pages = [
    st.Page("pages/diagnose.py", title="Diagnose", default=True),
    st.Page("pages/dataset.py", title="Dataset"),
]
st.navigation(pages).run()

"""The page list. Run with `make app`, or `streamlit run streamlit_app.py`."""

import streamlit as st

# Without icons: named ones would make the browser fetch a favicon from a font server.
pages = [
    st.Page("pages/diagnose.py", title="Diagnose", default=True),
    st.Page("pages/dataset.py", title="Dataset"),
    st.Page("pages/threshold.py", title="Threshold"),
    st.Page("pages/model_card.py", title="Model card"),
]
st.navigation(pages).run()

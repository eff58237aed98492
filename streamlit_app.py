"""The page list, behind a login where one is set up. Run with `make app`, or `streamlit run streamlit_app.py`."""

import os

import streamlit as st

from pages.parts.shared.auth import keep_uploads_in_memory, login_page, may_enter, offer_logout
from pages.parts.shared.error_boundary import error_boundary

keep_uploads_in_memory()
# Without icons: named ones would make the browser fetch a favicon from a font server.
pages = [
    st.Page("pages/diagnose.py", title="Diagnose", default=True),
    st.Page("pages/review.py", title="Review"),
    st.Page("pages/dataset.py", title="Dataset"),
    st.Page("pages/threshold.py", title="Threshold"),
    st.Page("pages/training.py", title="Training"),
    st.Page("pages/model_card.py", title="Model card"),
]
if os.environ.get("FRACTURE_AUDIT_LOG"):
    pages.insert(-1, st.Page("pages/monitoring.py", title="Monitoring"))
if may_enter():
    offer_logout()
    with error_boundary():
        st.navigation(pages).run()
else:
    # A page list all the same: without one Streamlit would offer whatever lies in the folder named pages.
    st.navigation([st.Page(login_page, title="Log in", default=True)], position="hidden").run()

"""Move the decision threshold and see what it does, on radiographs whose truth is known."""

import streamlit as st

st.set_page_config(page_title="Threshold", page_icon=":material/tune:", layout="wide")
st.title("Choose the threshold", anchor=False)

from pages.parts.frame import choose, disclaimer  # noqa: E402
from pages.parts.threshold_lab import lab  # noqa: E402

lab(choose().bundle)
disclaimer()

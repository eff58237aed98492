"""What the chosen model is, what it was made from, its figures, and where it must not be trusted."""

import streamlit as st

st.set_page_config(page_title="Model card", page_icon=":material/badge:", layout="wide")
st.title("Model card", anchor=False)

from pages.parts.card import card  # noqa: E402
from pages.parts.frame import choose, disclaimer  # noqa: E402

card(choose().bundle)
disclaimer()

"""Look through FracAtlas: its radiographs, what it is made of, what is wrong with it, and where the model errs."""

from pages.parts.shared.page_header import page_header

page_header("Dataset")

# Imported here, not above: the page is on screen before the libraries behind it are in memory.
from pages.parts.dataset.page import dataset_page  # noqa: E402
from pages.parts.shared.sidebar import disclaimer  # noqa: E402

dataset_page()
disclaimer()

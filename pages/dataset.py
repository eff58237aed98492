"""Browse FracAtlas: its radiographs, composition, defects, and the model's errors."""

from pages.parts.shared.page_header import page_header

page_header("Dataset")

# Imported here, not above: the page is on screen before the libraries behind it are in memory.
from pages.parts.dataset.page import dataset_page  # noqa: E402
from pages.parts.shared.sidebar import disclaimer  # noqa: E402

dataset_page()
disclaimer()

"""Train a network on FracAtlas or on one's own radiographs, hold it against the one in use, and put it in its place."""

from pages.parts.shared.page_header import page_header

page_header("Training")

# Imported here, not above: the page is on screen before the libraries behind it are in memory.
from pages.parts.shared.sidebar import disclaimer  # noqa: E402
from pages.parts.training.page import training_page  # noqa: E402

training_page()
disclaimer()

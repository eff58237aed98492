"""Train a network on FracAtlas or on your own radiographs, compare it with the one in use, and promote it."""

from pages.parts.shared.page_header import page_header

page_header("Training")

# Imported here, not above: the page is on screen before the libraries behind it are in memory.
from pages.parts.shared.sidebar import disclaimer  # noqa: E402
from pages.parts.training.page import training_page  # noqa: E402

training_page()
disclaimer()

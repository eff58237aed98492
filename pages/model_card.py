"""The Model card page."""

from pages.parts.shared.page_header import page_header

page_header("Model card")

# Imported here, not above: the page is on screen before the libraries behind it are in memory.
from pages.parts.model_card.page import card  # noqa: E402
from pages.parts.shared.sidebar import choose, disclaimer  # noqa: E402

card(choose().bundle)
disclaimer()

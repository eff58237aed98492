"""Review films: give verdicts, outline fractures, and browse the site's verdicts."""

from pages.parts.shared.page_header import page_header

page_header("Review")

# Imported here, not above: the page is on screen before the libraries behind it are in memory.
from pages.parts.review.page import review_page  # noqa: E402
from pages.parts.shared.sidebar import choose, disclaimer  # noqa: E402

review_page(choose())
disclaimer()

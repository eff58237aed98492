"""Move the decision threshold and see its effect on radiographs with reference labels."""

from pages.parts.shared.page_header import page_header

page_header("Threshold")

# Imported here, not above: the page is on screen before the libraries behind it are in memory.
from pages.parts.shared.sidebar import choose, disclaimer  # noqa: E402
from pages.parts.threshold.page import lab, scores  # noqa: E402

choice = choose()
scores(choice.bundle)
lab(choice)
disclaimer()

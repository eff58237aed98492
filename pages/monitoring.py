"""Monitor the audit log: films, answers and scores month by month, and changes."""

from pages.parts.shared.page_header import page_header

page_header("Monitoring")

# Imported here, not above: the page is on screen before the libraries behind it are in memory.
from pages.parts.monitoring.page import monitoring_page  # noqa: E402
from pages.parts.shared.sidebar import disclaimer  # noqa: E402

monitoring_page()
disclaimer()

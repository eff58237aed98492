"""Drop radiographs; see the finding, the evidence, and how far to trust it."""

from pages.parts.diagnose.uploads import offer_upload
from pages.parts.shared.page_header import page_header

bar = page_header("Diagnose", wide=True)
offer_upload(bar)

# Imported here, not above: the page is on screen before the libraries behind it are in memory.
from pages.parts.diagnose.page import diagnose  # noqa: E402

diagnose(bar)

"""The app as it is, but that its training processes train the tiny network: `python -m tests.browser.tiny_app PORT`."""

from __future__ import annotations

import sys

from streamlit.web import cli

from fracture_core.jobs import launcher as job
from fracture_core.jobs import promotion

if __name__ == "__main__":
    job.COMMAND = (sys.executable, "-m", "tests.support.tiny_command")
    promotion.FEWEST_TEST_IMAGES = 1  # its datasets are miniatures
    options = ["--server.headless", "true", "--server.port", sys.argv[1]]
    sys.argv = ["streamlit", "run", "streamlit_app.py", *options]
    sys.exit(cli.main())

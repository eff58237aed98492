"""Take the README's screenshots in a real browser, of a real radiograph.

    python -m studies.screenshots [IMAGE_ID]

Needs FracAtlas on disk and Chromium. The radiographs shown are FracAtlas's, CC BY 4.0.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from fracture_core.bundle.loading import load_bundle
from fracture_core.cli.exit_status import exit_status
from fracture_core.data.fracatlas import FracAtlas
from fracture_core.imaging.radiograph import read_radiograph
from fracture_core.inference.predictor import Predictor
from tests.browser.app import Server, chromium

HERE = Path(__file__).resolve().parents[1] / "docs"
#: What the worklist shows beside the radiograph in question.
EXAMPLES = sorted((HERE.parent / "pages" / "examples").glob("*.jpg"))
SIZES = {"diagnose": (1440, 900)}


def clearest_test_fracture(dataset: FracAtlas) -> str:
    """Return the fractured test image that the bundle is most certain of, among those without a warning."""
    bundle = load_bundle()
    reader = Predictor(bundle)
    test = bundle.predictions().query("split == 'test' and label == 1").sort_values("probability", ascending=False)
    for image_id in test["image_id"]:
        finding = reader.predict(read_radiograph(dataset.path(image_id), accept_cut_short=True))
        if finding.assessed and not finding.warnings:
            return str(image_id)
    raise SystemExit("No fractured test image gets an answer without a remark.")


def main() -> None:
    """Take every screenshot, dark and light, wide and narrow."""
    dataset = FracAtlas()
    path = dataset.path(sys.argv[1] if len(sys.argv) > 1 else clearest_test_fracture(dataset))
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        for theme in ("dark", "light"):
            server = Server(Path(folder) / "log", "--theme.base", f".streamlit/{theme}.toml")
            server.wait()
            for name, (width, height) in SIZES.items():
                page = browser.new_page(viewport={"width": width, "height": height})
                page.goto(server.url)
                page.locator("input[type=file]").first.set_input_files([str(path), *map(str, EXAMPLES)])
                page.get_by_role("option", name=path.name).click(timeout=120_000)
                page.locator(f'.drawn img[alt*="{path.name}"]').wait_for(timeout=120_000)
                page.wait_for_timeout(2000)
                page.locator("[data-testid=stStatusWidget]").wait_for(state="detached", timeout=120_000)
                page.screenshot(path=HERE / f"{name}-{theme}.png")
                page.close()
            server.stop()


if __name__ == "__main__":
    raise SystemExit(exit_status(main))

"""A hospital's way through the app in a real browser: choose a folder, read films, browse, calibrate, report, train.

One review set goes the whole way. Its last stage trains a tiny network on sixty images of FracAtlas and the forty films
that were read, because a real run takes hours; all before it is done with the bundles that ship.
"""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pypdf import PdfReader
from sklearn.model_selection import train_test_split

from fracture_core.bundle.loading import load_bundle
from fracture_core.data.fracatlas import FracAtlas
from fracture_core.data.review.export import reviewed_films
from fracture_core.data.review.review_set import FILE, ReviewSet
from fracture_core.evaluation.external_validation import ExternalValidationError, external_folder
from fracture_core.metrics.score_scale import ScoreScale
from fracture_core.training.run_folder import RunFolder
from tests.browser.app import ROOT, Server
from tests.browser.forms import choose, fill, open_groups
from tests.browser.looks import faint_chart_text, serious_findings

WAIT = 180_000
pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(1800)]
KEYS = {1: "y", 0: "n"}


@dataclass(frozen=True)
class Labelled:
    """A film on the reader's machine, and what the reader will say of it."""

    path: Path
    label: int


@pytest.fixture(scope="module")
def films(fracatlas_dir, tmp_path_factory) -> list[Labelled]:
    """Forty films: 24 of FracAtlas's validation part, half of them fractured, and 16 from elsewhere."""
    try:
        folder = external_folder()
    except ExternalValidationError as missing:
        pytest.skip(str(missing))
    table = load_bundle(root=ROOT / "models").predictions().query("split == 'val'")
    chosen = []
    for label, place in ((1, "Fractured"), (0, "Non_fractured")):
        for name in table[table["label"] == label]["image_id"][:12]:
            chosen.append(Labelled(fracatlas_dir / "images" / place / f"{name}.jpg", label))
    with (folder / "list.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for fractured, label in (("1", 1), ("0?", 0)):
        chosen += [Labelled(folder / row["file"], label) for row in rows if row["fractured"] == fractured][:8]
    assert len(chosen) == 40 and all(film.path.is_file() for film in chosen)
    return chosen


@pytest.fixture(scope="module")
def hospital(films, tmp_path_factory):
    """The app with the shipped bundles, nothing chosen yet, and the folders that it may write to."""
    root = tmp_path_factory.mktemp("hospital")
    shutil.copytree(ROOT / "models", root / "models", ignore=shutil.ignore_patterns("current.json", "chosen_points*"))
    environment = {
        "FRACTURE_MODELS_DIR": str(root / "models"),
        "FRACTURE_SETTINGS": str(root / "settings" / "settings.json"),
        "FRACTURE_CACHE_DIR": str(root / "cache"),
        "FRACTURE_RUNS_DIR": str(root / "runs"),
        "STREAMLIT_THEME_BASE": os.environ.get("FRACTURE_WALK_THEME", ".streamlit/light.toml"),
        "FRACATLAS_DIR": os.environ["FRACATLAS_DIR"],
    }
    running = Server(root / "log", **environment)
    running.wait()
    yield running, root, environment
    running.stop()


def shot(page, name: str) -> None:
    """Keep a screenshot where FRACTURE_SCREENSHOTS names a folder, to look at."""
    if folder := os.environ.get("FRACTURE_SCREENSHOTS"):
        page.wait_for_timeout(1500)
        page.screenshot(path=str(Path(folder) / f"{name}.png"))


def draw_box(page, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Drag in the viewer; places are shares of the pane's sides."""
    frame = page.locator(".port:visible").first.bounding_box()
    points = [(frame["x"] + x * frame["width"], frame["y"] + y * frame["height"]) for x, y in (start, end)]
    page.mouse.move(*points[0])
    page.mouse.down()
    page.mouse.move(*points[1], steps=5)
    page.mouse.up()


def draw_box_by_finger(page, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Do the same by touch."""
    frame = page.locator(".port:visible").first.bounding_box()
    points = [
        (frame["x"] + (start[0] + k / 4 * (end[0] - start[0])) * frame["width"],
         frame["y"] + (start[1] + k / 4 * (end[1] - start[1])) * frame["height"])
        for k in range(5)
    ]  # fmt: skip
    device = page.context.new_cdp_session(page)
    for kind, at in (("touchStart", points[:1]), *(("touchMove", [point]) for point in points[1:]), ("touchEnd", [])):
        device.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y} for x, y in at]})
    device.detach()


def change_the_box(page) -> None:
    """Move the box by mouse and by key, resize it by both, delete it and take that back."""
    ((x, y, width, height),) = boxes(page)
    draw_box(page, (0.48, 0.5), (0.56, 0.5))
    ((moved, *_),) = boxes(page)
    assert moved > x + 0.4 * width
    draw_box(page, (0.63, 0.6), (0.7, 0.7))  # its lower right corner
    ((_, top, wider, higher),) = boxes(page)
    assert wider > 1.3 * width and higher > 1.3 * height and top == y
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Shift+ArrowLeft")
    ((left, lower, narrower, _),) = boxes(page)
    assert left == moved and lower > y and narrower < wider
    page.keyboard.press("Delete")
    assert boxes(page) == []
    page.keyboard.press("Control+z")
    assert len(boxes(page)) == 1


def boxes(page) -> list[list[float]]:
    return json.loads(page.locator(".viewer").get_attribute("data-outlines"))


def link(page, name: str) -> None:
    page.get_by_role("link", name=name, exact=True).click()


def test_from_nothing_to_the_sites_points_on_a_report(browser, hospital, films):
    server, root, environment = hospital
    context = browser.new_context(viewport={"width": 1440, "height": 1000}, accept_downloads=True)
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(server.url)
    page.locator("input[type=file]").wait_for(state="attached", timeout=WAIT)
    choose_a_folder(page, root)
    read_the_films(page, films)
    review = ReviewSet(root / "review")
    check_what_was_kept(review, films)
    browse(page)
    calibrate(page)
    assert not caches_that_name(review, root)
    check_the_report(page, root)
    assert not faults

    server.stop()  # the choice of the folder outlives the app
    few_of_fracatlas(root / "atlas")
    command = [sys.executable, "-m", "tests.browser.tiny_app", "{port}"]
    again = Server(root / "log-2", command=command, **environment | {"FRACATLAS_DIR": str(root / "atlas")})
    try:
        again.wait()
        page.goto(f"{again.url}/training")
        train_on_both(page, root, review)
        switch_off(page, root)
        assert len(review.verdicts()) == 40 and not faults
    finally:
        context.close()
        again.stop()
        holder = root / "runs" / ".training.json"
        if holder.exists():  # a run that did not end
            os.kill(json.loads(holder.read_text())["pid"], signal.SIGKILL)


def few_of_fracatlas(root: Path) -> None:
    """Put sixty images of FracAtlas into a folder, such that its split agrees with the one that the bundles know."""
    whole = FracAtlas()
    predictions = load_bundle(root=ROOT / "models").predictions()
    labels, places = np.array([1, 0, 0] * 20), np.arange(60)
    _, later = train_test_split(places, test_size=0.3, random_state=42, stratify=labels)
    val, test = train_test_split(later, test_size=0.6667, random_state=42, stratify=labels[later])
    ids = {part: predictions.loc[predictions["split"] == part, "image_id"][::-1] for part in ("val", "test")}
    ids["train"] = whole.table.index.difference(predictions["image_id"])
    # From the end, because the first of the validation part are among the films that were read.
    waiting = {
        (part, label): iter([one for one in known if whole.table.at[one, "label"] == label])
        for part, known in ids.items()
        for label in (0, 1)
    }
    parts = {**dict.fromkeys(places, "train"), **dict.fromkeys(val, "val"), **dict.fromkeys(test, "test")}
    chosen = [next(waiting[parts[place], int(labels[place])]) for place in places]
    for image_id in chosen:
        target = root / whole.table.at[image_id, "path"]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(whole.path(image_id).resolve())
    rows = pd.read_csv(whole.root / "dataset.csv").set_index("image_id")
    rows.loc[[f"{image_id}.jpg" for image_id in chosen]].to_csv(root / "dataset.csv")
    folder = root / "Annotations" / "COCO JSON"
    folder.mkdir(parents=True)
    (folder / "COCO_fracture_masks.json").symlink_to(whole.sources[1].resolve())


def train_on_both(page, root: Path, review: ReviewSet) -> None:
    page.locator(".st-key-start_run").wait_for(timeout=WAIT)
    page.get_by_text("FracAtlas and my films", exact=True).click()
    site = page.locator(".st-key-train_site input")
    site.wait_for(timeout=WAIT)
    assert site.input_value() == str(review.folder)
    page.get_by_text("60 radiographs of FracAtlas").wait_for(timeout=WAIT)
    assert "40 of review" in page.get_by_text("60 radiographs of FracAtlas").inner_text()
    choose(page, "train_start_try_densenet121", "None (random weights)")
    open_groups(page)
    for key, value in (("image_size", "32"), ("epochs", "1"), ("batch_size", "8")):
        fill(page, f"choice_try_{key}", value)
    page.locator(".st-key-start_run button").click()
    page.get_by_role("heading", name="On the test images of FracAtlas").wait_for(timeout=5 * WAIT)
    page.get_by_role("heading", name="On the test images of review").wait_for(timeout=WAIT)
    (run,) = (root / "runs").glob("*-mine")
    fracatlas, site_part = RunFolder(run).record()["comparison"]
    for part in (fracatlas, site_part):
        said = f"{part['n']} test radiographs scored by both models, {part['fractured']} with"
        page.get_by_text(said).wait_for(timeout=WAIT)
    assert fracatlas["n"] > 10 and site_part["n"] > 4
    assert caches_that_name(review, root) <= {"audit"}  # as SECURITY.md says
    cached = {path.name.partition(".")[0] for path in (root / "cache").iterdir()}
    assert cached <= {"audit", "features", "pictures", "speed"}
    shot(page, "10-trained")


def switch_off(page, root: Path) -> None:
    link(page, "Review")
    page.get_by_label("Your name or initials").wait_for(timeout=WAIT)
    page.get_by_role("button", name="Review folder").click()
    page.get_by_role("button", name="Switch reviewing off").click()
    page.get_by_text("Reviewing is off").wait_for(timeout=WAIT)
    assert json.loads((root / "settings" / "settings.json").read_text()) == {}


def choose_a_folder(page, root: Path) -> None:
    link(page, "Review")
    page.get_by_text("What will be written there").wait_for(timeout=WAIT)
    shot(page, "1-folder")
    assert not (root / "review").exists() and not (root / "settings").exists()
    field = page.get_by_label("Review folder", exact=True)
    field.fill(str(root / "review"))
    field.press("Enter")
    page.get_by_role("button", name="Write verdicts there").click()
    page.get_by_label("Your name or initials").wait_for(timeout=WAIT)
    link(page, "Diagnose")
    page.locator("input[type=file]").wait_for(state="attached", timeout=WAIT)


def read_the_films(page, films: list[Labelled]) -> None:
    page.locator("input[type=file]").set_input_files([str(film.path) for film in films])
    page.locator(".worklist .row, .list .row").nth(39).wait_for(state="attached", timeout=4 * WAIT)
    name = page.get_by_label("Your name or initials")
    name.wait_for(timeout=WAIT)
    name.fill("AB")
    name.press("Enter")
    page.get_by_text("0 of 40 read").wait_for(timeout=WAIT)
    labels = {film.path.name: film.label for film in films}
    drawn = 0
    page.locator(".viewer[data-review]").wait_for(timeout=WAIT)
    for done in range(40):
        film = named_by_the_viewer(page)
        if labels[film] and drawn < 2:
            if not drawn:
                page.locator(".port:visible").first.focus()
                page.keyboard.press("d")
            (draw_box if drawn else draw_box_by_finger)(page, (0.42, 0.4), (0.55, 0.6))
            assert len(boxes(page)) == 1
            if not drawn:
                change_the_box(page)
            drawn += 1
            shot(page, f"2-box-{drawn}")
        before = page.locator(".viewer").get_attribute("data-review")
        page.keyboard.press(KEYS[labels[film]])
        page.get_by_text(f"{done + 1} of 40 read").wait_for(timeout=WAIT)
        page.locator(f".viewer[data-review]:not([data-review='{before}'])").wait_for(timeout=WAIT)
        if done == 9:
            order_by_value(page)
    shot(page, "3-read")


def named_by_the_viewer(page) -> str:
    """Return the file that is seen; the worklist marks the next one a moment later."""
    seen = page.locator(".viewer .plain img").get_attribute("alt")
    return seen.removeprefix("Radiograph ").removesuffix(", the original as read")


def order_by_value(page) -> None:
    """Switch to the most instructive films first and back: the ten that were read, topmost so far, come last."""
    rows = "els => els.map(el => el.title.split(': ')[0])"
    plain = page.locator(".row").evaluate_all(rows)
    page.get_by_text("11 of 40", exact=True).wait_for(timeout=WAIT)
    page.get_by_text("Most instructive first").click()
    page.locator(".row:last-child[title^='" + plain[9] + "']").wait_for(state="attached", timeout=WAIT)
    ordered = page.locator(".row").evaluate_all(rows)
    assert ordered[30:] == plain[:10] and ordered[:30] != plain[10:] and sorted(ordered) == sorted(plain)
    page.locator(f".row[aria-selected=true][title^='{plain[10]}']").wait_for(timeout=WAIT)  # stays open
    page.get_by_text("Most instructive first").click()
    page.get_by_text("11 of 40", exact=True).wait_for(timeout=WAIT)


def check_what_was_kept(review: ReviewSet, films: list[Labelled]) -> None:
    verdicts = review.verdicts()
    assert len(verdicts) == 40 and {verdict.reader for verdict in verdicts} == {"AB"}
    assert sum(verdict.verdict == "fracture" for verdict in verdicts) == sum(film.label for film in films)
    assert [len(verdict.boxes) for verdict in verdicts].count(1) == 2
    assert len(list((review.folder / "images").glob("*.png"))) == len(reviewed_films(verdicts))
    written = {path.relative_to(review.folder).parts[0] for path in review.folder.rglob("*") if path.is_file()}
    assert written == {"README.txt", "secret.key", "images", FILE, f".{FILE}.lock"}


def caches_that_name(review: ReviewSet, root: Path) -> set[str]:
    """Return the folders of the cache in which a film of the review set is named by its digest."""
    digests = [verdict.image.encode() for verdict in review.verdicts()]
    files = [path for path in (root / "cache").rglob("*") if path.is_file()]
    named = [path for path in files if any(digest in path.read_bytes() for digest in digests)]
    return {path.relative_to(root / "cache").parts[0] for path in named}


def browse(page) -> None:
    link(page, "Dataset")
    page.get_by_text("Review set", exact=True).click()
    page.get_by_text("40 of 40 films").wait_for(timeout=WAIT)
    shot(page, "4-browse")
    page.get_by_text("No fracture", exact=True).first.click()
    page.get_by_text("20 of 40 films").wait_for(timeout=WAIT)
    page.locator(".gallery button").first.click()
    page.get_by_role("heading", name="Verdicts").wait_for(timeout=WAIT)
    page.locator(".viewer .plain img").wait_for(state="attached", timeout=WAIT)
    shot(page, "5-film")
    page.get_by_role("button", name="Back to the grid").click()
    page.get_by_text("20 of 40 films").wait_for(timeout=WAIT)


def calibrate(page) -> None:
    link(page, "Review")
    page.get_by_text("Calibrate to your site", exact=True).click()
    page.get_by_text("40 films have a label: 20 fractured, 20 not.").wait_for(timeout=WAIT)
    page.get_by_role("button", name="Assess the films").click()
    for label, value in (
        ("Unlikely: fractured at most (%)", "30"),
        ("Likely: fractured at least (%)", "50"),
        ("Confidence of each promise (%)", "60"),
    ):
        field = page.get_by_role("spinbutton", name=label, exact=True)
        field.wait_for(timeout=2 * WAIT)
        field.fill(value)
        field.press("Tab")
    page.get_by_role("button", name="Calibrate", exact=True).click()
    page.get_by_role("heading", name="What can be promised").wait_for(timeout=WAIT)
    page.get_by_text("films that took no part").first.wait_for(timeout=WAIT)
    shot(page, "6-calibrated")
    for chart in ("answers", "reliability"):
        plot = page.locator(f".st-key-chart_site_{chart} .js-plotly-plot").first
        plot.locator(".ytick text").first.wait_for(timeout=WAIT)
    plot.scroll_into_view_if_needed()
    assert not faint_chart_text(page) and not serious_findings(page)
    shot(page, "6-charts")
    name = page.get_by_label("Name", exact=True)
    name.fill("Ward 7")
    name.press("Enter")
    page.get_by_role("button", name="Save with the model").click()
    page.get_by_text("Saved as Ward 7 and in use now").wait_for(timeout=WAIT)
    page.locator("[data-testid=stSidebar]").get_by_text("Calibrated to Ward 7").first.wait_for(timeout=WAIT)
    shot(page, "7-saved")


def check_the_report(page, root: Path) -> None:
    link(page, "Diagnose")
    page.locator(".answer .share").get_by_text("calibrated to Ward 7").wait_for(timeout=WAIT)
    shot(page, "8-diagnose")
    page.get_by_role("button", name="Report").click()
    with page.expect_download(timeout=WAIT) as got:
        page.get_by_role("button", name="PDF").click()
    text = " ".join(one.extract_text() for one in PdfReader(got.value.path()).pages)
    text = " ".join(text.split())
    (entry,) = json.loads(next((root / "models").glob("*/site_calibrations.json")).read_text())
    assert entry["films"]["all"] > 30  # of the 40, those that the model assesses
    assert f"{entry['films']['all']} labelled films, {entry['fractured']['all']} fractured" in text
    assert "Calibrated to Ward 7" in text and entry["digest"][:12] in text
    page.keyboard.press("Escape")
    with page.expect_download(timeout=WAIT) as got:
        page.get_by_role("button", name="Download as CSV").click()
    rows = list(csv.DictReader(io.StringIO(Path(got.value.path()).read_text("utf-8"))))
    assert len(rows) == 40 and all("Ward 7" in row["points"] for row in rows)
    scale = ScoreScale(entry["scale"]["temperature"], entry["scale"]["offset"])
    for row in rows:
        if row["probability"]:
            expected = float(scale.probability(float(row["logit"])))
            assert float(row["probability"]) == pytest.approx(expected, abs=2e-6)
    page.get_by_role("link", name="Model card", exact=True).click()
    page.get_by_role("heading", name="Site calibrations").wait_for(timeout=WAIT)
    shot(page, "9-card")
    name = next((root / "models").glob("*/site_calibrations.json")).parent.name
    assert load_bundle(name, root / "models").chosen_points()[0].site.digest == entry["digest"]

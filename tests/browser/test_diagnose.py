"""The page a clinician lives on, used as one would use it."""

from __future__ import annotations

import csv
import io
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pypdf import PdfReader

from benchmarks.crowd import Truth
from fracture_core.bundle.loading import load_bundle
from fracture_core.bundle.manifest import write_manifest
from fracture_core.explain.overlay import contour_paths
from fracture_core.formatting import format_percent
from fracture_core.inference.predictor import load_predictor
from fracture_core.reporting.finding_text import DISCLAIMER, capitalised
from fracture_core.reporting.model_names import model_label
from tests.browser.app import Server, eventually, steady
from tests.support import dicom_files as made
from tests.support.web_session import WebSession

WAIT = 90_000


def upload(page, *paths) -> None:
    page.locator("input[type=file]").set_input_files([str(path) for path in paths])


def answer(page) -> str:
    card = page.locator(".answer")
    card.wait_for(timeout=WAIT)
    return card.inner_text()


def drawn(page) -> bytes:
    """What the pane with the overlay looks like."""
    port = page.locator(".drawn .port")
    steady(page, port.bounding_box)
    return port.screenshot()


def saved(page, button: str) -> bytes:
    """What a button downloads."""
    with page.expect_download(timeout=WAIT) as download:
        page.get_by_role("button", name=button, exact=True).click(timeout=WAIT)
    return Path(download.value.path()).read_bytes()


def pdf_text(data: bytes) -> str:
    return " ".join(PdfReader(io.BytesIO(data)).pages[0].extract_text().split())


def difference(one: bytes, other: bytes) -> float:
    """Mean absolute difference of two screenshots, in grey levels."""
    a, b = (np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), float) for png in (one, other))
    return float(np.abs(a - b).mean())


@pytest.fixture
def opened(page, known):
    upload(page, known[0])
    answer(page)
    page.locator(".viewer .heat").wait_for(state="attached", timeout=WAIT)
    for _ in range(300):
        if page.locator(".viewer img").evaluate_all("all => all.length >= 3 && all.every(i => i.naturalWidth)"):
            # The untrained localiser of the small bundle draws nothing.
            page.locator(".viewer select").select_option("grad-cam")
            page.locator("[data-view=side]").click()
            page.wait_for_timeout(1000)
            return page
        page.wait_for_timeout(100)
    raise AssertionError("the pictures did not load")


def test_the_answer_is_the_cores_own(page, known, findings):
    upload(page, known[0])
    finding = findings[known[0]]
    said = answer(page)
    assert finding.triage in said.lower()
    assert f"Probability {format_percent(finding.probability)}" in said
    page.get_by_text("In the test set,").wait_for(timeout=WAIT)
    page.get_by_text(DISCLAIMER).wait_for(timeout=WAIT)
    # An answer is seen beside its own film alone: of another film it would be hidden at once.
    card = page.locator("[data-answer]")
    own = card.get_attribute("data-answer")
    card.evaluate("card => { card.dataset.answer = 'of another film'; }")
    card.wait_for(state="hidden", timeout=WAIT)
    card.evaluate("(card, own) => { card.dataset.answer = own; }", own)
    card.wait_for(state="visible", timeout=WAIT)


def test_overlay_goes_at_a_touch_and_the_original_never_changes(opened):
    original = opened.locator(".plain .port").screenshot()
    with_overlay = drawn(opened)
    assert with_overlay != original
    opened.locator("[data-toggle=overlay]").click()
    without = drawn(opened)
    assert without != with_overlay
    opened.keyboard.press("o")
    assert difference(drawn(opened), with_overlay) < 0.2 < difference(without, with_overlay)
    assert opened.locator(".plain .port").screenshot() == original


def test_sliders_and_keys_change_the_picture_without_the_server(opened):
    sent = []
    opened.on("websocket", lambda socket: sent.append("opened"))
    opened.evaluate("""() => {
        const send = WebSocket.prototype.send;
        window.sent = 0;
        WebSocket.prototype.send = function (data) { window.sent += 1; return send.call(this, data); };
    }""")
    opened.keyboard.press("l")
    first = drawn(opened)
    seen = {first}
    opened.locator("[data-range=opacity]").fill("100")
    seen.add(drawn(opened))
    opened.keyboard.press("l")
    seen.add(drawn(opened))
    opened.keyboard.press("w")
    opened.keyboard.press("i")
    seen.add(drawn(opened))
    opened.locator("[data-range=level]").fill("80")
    seen.add(drawn(opened))
    opened.locator("[data-range=contrast]").fill("80")
    seen.add(drawn(opened))
    opened.locator("[data-act=in]").click()
    seen.add(drawn(opened))
    assert len(seen) == 7
    opened.keyboard.press("0")
    opened.keyboard.press("l")
    opened.keyboard.press("w")
    # Chromium may resample a filtered image by a grey level or so.
    assert difference(drawn(opened), first) < 1 < min(difference(other, first) for other in seen - {first})
    assert opened.evaluate("window.sent") == 0
    assert not sent


def test_zoom_and_pan_keep_both_panes_together(opened):
    def transforms():
        return opened.locator(".stage").evaluate_all("stages => stages.map(s => s.style.transform)")

    before = transforms()
    port = opened.locator(".plain .port")
    port.dblclick(position={"x": 100, "y": 120})
    zoomed = transforms()
    assert len(set(zoomed)) == 1
    assert zoomed != before
    opened.wait_for_timeout(100)
    box = port.bounding_box()
    opened.mouse.move(box["x"] + 200, box["y"] + 200)
    opened.mouse.down()
    opened.mouse.move(box["x"] + 150, box["y"] + 230, steps=4)
    opened.mouse.up()
    eventually(opened, lambda: len(set(transforms())) == 1 and transforms() != zoomed)


def test_swipe_uncovers_the_overlay_and_moves_by_keys(opened):
    opened.locator("[data-view=swipe]").click()
    assert not opened.locator(".plain").is_visible()
    divider = opened.locator(".divider")
    before = int(divider.get_attribute("aria-valuenow"))
    half = drawn(opened)
    divider.press("ArrowRight")
    divider.press("ArrowRight")
    assert int(divider.get_attribute("aria-valuenow")) == before + 4
    assert drawn(opened) != half


def test_pictures_have_words_for_those_who_cannot_see_them(opened, known, findings):
    alts = opened.locator(".stage > img:not(.heat)").evaluate_all("images => images.map(i => i.alt)")
    assert known[0].name in alts[0]
    assert findings[known[0]].triage in alts[1]
    opened.keyboard.press("o")
    assert "without overlay" in opened.locator(".drawn .stage > img").first.get_attribute("alt")


@pytest.mark.parametrize(
    ("name", "data"),
    [("notes.txt", b"Dear colleague,\n"), ("empty.jpg", b""), ("broken.png", b"\x89PNG\r\n\x1a\n" + bytes(50))],
)
def test_a_bad_file_gets_a_sentence_and_no_traceback(page, tmp_path, name, data):
    path = tmp_path / name
    path.write_bytes(data)
    upload(page, path)
    said = answer(page)
    assert said.startswith("Not read: the file could not be opened")
    assert said.rstrip().endswith(".")
    page.get_by_role("option", name=name).wait_for(timeout=WAIT)
    assert "Traceback" not in page.locator("body").inner_text()


def rows(page):
    return page.locator("[role=listbox][aria-label=Worklist] [role=option]")


def marked(page, row: int) -> None:
    """Wait until the worklist marks this row, from 0, and no other."""
    for _ in range(300):
        if rows(page).evaluate_all("all => all.findIndex(r => r.getAttribute('aria-selected') === 'true')") == row:
            return
        page.wait_for_timeout(200)
    raise AssertionError(f"{rows(page).evaluate_all('all => all.map(r => r.ariaSelected)')}, not row {row}")


def test_twenty_make_a_worklist_that_a_bad_file_does_not_stop(page, known, findings, tmp_path):
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"nothing")
    chosen = [*list(findings)[:19], bad]
    upload(page, *chosen)
    page.get_by_text("1 of 20").wait_for(timeout=WAIT)
    answer(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download as CSV").click()
    table = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text())))
    assert {row["file"] for row in table} == {path.name for path in chosen}
    unread = [row["finding"].startswith("not read") for row in table]
    assert "bad.jpg" in {row["file"] for row, not_read in zip(table, unread, strict=True) if not_read}
    assert unread == sorted(unread, reverse=True)
    shares = [float(row["probability"]) for row in table if row["probability"]]
    assert shares == sorted(shares, reverse=True)
    by_name = {path.name: finding for path, finding in findings.items()}
    first = next(row for row in table if row["probability"])
    assert shares[0] == pytest.approx(by_name[first["file"]].probability, abs=1e-3)
    assert rows(page).locator(".name").all_inner_texts() == [row["file"] for row in table]
    page.locator("body").press("ArrowRight")
    page.get_by_text("2 of 20").wait_for(timeout=WAIT)
    marked(page, 1)
    rows(page).nth(3).click()
    page.get_by_text("4 of 20").wait_for(timeout=WAIT)
    marked(page, 3)


def test_what_the_model_did_not_read_is_never_called_normal(page, tmp_path, known):
    blank = tmp_path / "blank.png"
    Image.new("L", (300, 400), 90).save(blank)
    upload(page, known[0], blank)
    page.get_by_text("1 of 2").wait_for(timeout=WAIT)
    said = answer(page)
    assert said.startswith("Not read: the image is blank")
    assert "%" not in said and "Possible implant" not in page.locator("body").inner_text()
    assert "Needs you" in rows(page).first.inner_text()
    assert page.locator(".viewer .port:visible").count() == 1
    assert not page.locator("[data-toggle=overlay]").is_visible()
    page.get_by_role("button", name="Rotate by 90°").wait_for(timeout=WAIT)
    topmost = next(csv.DictReader(io.StringIO(saved(page, "Download as CSV").decode())))
    assert topmost["file"] == "blank.png" and topmost["finding"].startswith("not read") and not topmost["probability"]
    page.get_by_role("button", name="Report").click()
    assert "Not read: the image is blank" in pdf_text(saved(page, "PDF"))


def test_the_sidebar_follows_what_the_film_asks_for(tab, vocal_models, tmp_path):
    """The films are drawn anew without the sidebar; what concerns it has to have the whole page drawn."""
    models = tmp_path / "models"
    for name in ("small", "other"):
        shutil.copytree(vocal_models / "small", models / name)
        temperature = load_bundle("small", vocal_models).temperature
        write_manifest(models / name, temperature=temperature, created="2024-05-06T07:08:09+00:00", provenance={})
    blank = tmp_path / "blank.png"
    Image.new("L", (300, 400), 90).save(blank)
    running = Server(tmp_path / "log", FRACTURE_MODELS_DIR=str(models), FRACTURE_CACHE_DIR=str(tmp_path / "cache"))
    page = tab
    page.set_viewport_size({"width": 1280, "height": 900})
    try:
        running.wait()
        page.goto(running.url)
        upload(page, blank)
        assert answer(page).startswith("Not read")
        sidebar = page.locator("[data-testid=stSidebar]")
        away = "small" if sidebar.get_by_text("other ").count() else "other"
        page.get_by_role("button", name="Try ").click(timeout=WAIT)
        sidebar.get_by_text(f"{away} ").and_(sidebar.get_by_text("created 6 May 2024")).wait_for(timeout=WAIT)
        page.locator(".answer").get_by_text("Not read").wait_for(timeout=WAIT)
        write_manifest(models / away, temperature=temperature, created="2024-07-08T09:10:11+00:00", provenance={})
        page.get_by_text("Cannot tell", exact=True).click(timeout=WAIT)
        sidebar.get_by_text("created 8 July 2024").wait_for(timeout=WAIT)
        page.get_by_role("button", name="Remove").click(timeout=WAIT)
        page.locator(".gallery button").first.wait_for(timeout=WAIT)
    finally:
        running.stop()


#: In every frame in which another model reads: whether the list and its file can be seen.
WATCH = """() => {
    window.seen = [];
    const look = () => {
        if (document.querySelector(".another-model")) {
            const places = document.querySelectorAll(".st-key-worklist-pane, .st-key-topbar .stDownloadButton");
            window.seen.push([...places].map((place) => getComputedStyle(place).visibility));
        }
        requestAnimationFrame(look);
    };
    look();
}"""


def test_the_list_of_the_model_before_is_hidden_while_another_model_reads(tab, vocal_models, findings, tmp_path):
    models = tmp_path / "models"
    temperature = load_bundle("small", vocal_models).temperature
    for name, times in (("small", 1), ("other", 3)):
        shutil.copytree(vocal_models / "small", models / name)
        created = f"2024-05-0{times}T07:08:09+00:00"
        write_manifest(models / name, temperature=times * temperature, created=created, provenance={})
    running = Server(tmp_path / "log", FRACTURE_MODELS_DIR=str(models), FRACTURE_CACHE_DIR=str(tmp_path / "cache"))
    page = tab
    page.set_viewport_size({"width": 1280, "height": 900})

    def shares() -> list[str]:
        text = saved(page, "Download as CSV").decode()
        return sorted(row["probability"] for row in csv.DictReader(io.StringIO(text)))

    try:
        running.wait()
        page.goto(running.url)
        upload(page, *list(findings)[:12])
        page.get_by_text("1 of 12").wait_for(timeout=WAIT)
        answer(page)
        before = shares()
        page.evaluate(WATCH)
        menu = page.get_by_role("combobox", name="Model", exact=True)
        away = "small" if "created 3 May" in page.locator("[data-testid=stSidebar]").inner_text() else "other"
        menu.click(timeout=WAIT)
        page.get_by_role("option", name=f"{away} ").click(timeout=WAIT)
        eventually(page, lambda: page.evaluate("window.seen.length") > 0)
        page.locator(".another-model").wait_for(state="detached", timeout=WAIT)
        page.locator(".st-key-worklist-pane").wait_for(state="visible", timeout=WAIT)
        seen = page.evaluate("window.seen")
        assert {visibility for frame in seen for visibility in frame} == {"hidden"}
        assert not set(before) & set(shares()) - {""}
    finally:
        running.stop()


def test_a_radiograph_that_the_model_learned_from_says_so(page, findings, small_models):
    splits = load_bundle("small", small_models).predictions().set_index("image_id")["split"]
    upload(page, next(path for path, finding in findings.items() if finding.assessed and path.stem not in splits.index))
    answer(page)
    page.locator(".cautions").get_by_text("Training image:").wait_for(timeout=WAIT)


def test_one_screen_without_scrolling_and_nothing_jumps(app_tab, server, known):
    page = app_tab
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(server.url)
    upload(page, *known[:3])
    page.locator(".viewer .heat").wait_for(state="attached", timeout=WAIT)
    page.get_by_role("button", name="Report").wait_for(timeout=WAIT)
    main = page.locator("[data-testid=stMain]")
    fits = "m => m.scrollHeight <= m.clientHeight && m.scrollWidth <= m.clientWidth"
    eventually(page, lambda: main.evaluate(fits))
    port = steady(page, page.locator(".drawn .port").bounding_box)
    assert port["height"] > 550
    rows(page).nth(1).click()
    page.get_by_text("2 of 3").wait_for(timeout=WAIT)
    answer(page)
    assert steady(page, page.locator(".drawn .port").bounding_box) == port


def test_films_and_readings_stay_whatever_page_is_visited(page, known):
    upload(page, *known[:2])
    page.get_by_text("1 of 2").wait_for(timeout=WAIT)
    page.get_by_text("No fracture", exact=True).click()
    rows(page).filter(has_text="No fracture").wait_for(timeout=WAIT)
    page.get_by_role("link", name="Model card").click()
    page.get_by_role("heading", name="Model card").first.wait_for(timeout=WAIT)
    page.get_by_role("link", name="Diagnose").click()
    page.get_by_text("1 of 2").wait_for(timeout=WAIT)
    rows(page).filter(has_text="No fracture").wait_for(timeout=WAIT)
    page.get_by_role("button", name="Clear all").click()
    page.get_by_text("Click one").wait_for(timeout=WAIT)
    assert not rows(page).count()


def test_a_double_click_removes_the_film_that_is_seen_and_no_other(page, known):
    page.locator("input[type=file]").first.set_input_files([str(path) for path in known[:4]])
    rows = page.locator(".list .row")
    eventually(page, lambda: rows.count() == 4)
    removed = page.locator(".list .row[aria-selected=true]").get_attribute("title")
    button = page.get_by_role("button", name="Remove", exact=True)
    box = steady(page, button.bounding_box)
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    for half in (1, 2):
        page.mouse.down(click_count=half)
        page.mouse.up(click_count=half)
    eventually(page, lambda: rows.count() < 4)
    # What is asked for next is answered after the second half of the double click.
    other = page.locator(".list .row[aria-selected=false]").first.get_attribute("data-key")
    page.locator(f".list .row[data-key='{other}']").click()
    page.locator(f".list .row[data-key='{other}'][aria-selected=true]").wait_for(timeout=WAIT)
    assert rows.count() == 3 and removed not in [row.get_attribute("title") for row in rows.all()]


def test_the_viewer_opens_with_outlines_and_keeps_the_film_itself_in_sight(opened):
    assert opened.locator("[data-toggle=lines]").get_attribute("aria-pressed") == "true"
    assert opened.locator(".heat").evaluate("e => getComputedStyle(e).display") == "none"
    assert opened.locator("svg.marks path").count() >= 1
    label = opened.locator(".drawn .labels.model").inner_text()
    # Where no box was drawn, the strongest evidence is marked whatever the answer; no label says more than the answer.
    flagged = opened.locator(".answer").inner_text().startswith(("Fracture likely", "Above threshold"))
    assert label == "Most suspicious area" or (flagged and label in ("Look here", "Fracture likely here"))
    opened.keyboard.press("o")
    assert not opened.locator(".drawn .labels.model").inner_text()


def test_the_wheel_zooms_over_the_film_and_the_page_stays(opened):
    box = opened.locator(".plain .port").bounding_box()
    opened.mouse.move(box["x"] + 60, box["y"] + 60)
    opened.mouse.wheel(0, -400)
    eventually(opened, lambda: float(opened.locator(".zoom").inner_text().split()[0]) > 1.5)
    assert opened.locator("[data-testid=stMain]").evaluate("m => m.scrollTop") == 0
    opened.keyboard.press("z")
    assert opened.locator(".zoom").inner_text() == "1.0 ×"


def test_ruler_and_angle_measure_the_image_not_the_screen(opened):
    port = opened.locator(".plain .port")
    box = port.bounding_box()
    scale = port.locator(".stage").evaluate("s => new DOMMatrix(s.style.transform).a")

    def at(x, y):
        return box["x"] + x, box["y"] + y

    opened.keyboard.press("m")
    opened.mouse.move(*at(100, 100))
    opened.mouse.down()
    opened.mouse.move(*at(180, 160), steps=3)
    opened.mouse.up()
    label = opened.locator(".plain .labels .measure")
    assert label.inner_text() == f"{100 / scale:.0f} px"
    opened.keyboard.press("m")
    opened.keyboard.press("Delete")
    opened.keyboard.press("a")
    for point in ((200, 100), (100, 100), (100, 200)):
        opened.mouse.move(*at(*point))
        opened.mouse.down()
        opened.mouse.up()
    assert label.inner_text() == "90°"


def test_the_ruler_says_millimetres_where_the_file_has_them(page, tmp_path):
    spaced = {"PixelSpacing": ["0.5", "0.25"], "PixelSpacingCalibrationType": "GEOMETRY"}
    film = made.dataset(np.tile(np.arange(0, 4000, 10, dtype=np.uint16), (500, 1)), **spaced)
    path = tmp_path / "spaced.dcm"
    path.write_bytes(made.file_bytes(film))
    upload(page, path)
    port = page.locator(".drawn .port")
    port.wait_for(timeout=WAIT)
    stage = port.locator(".stage").first
    scale = steady(page, lambda: stage.evaluate("s => new DOMMatrix(s.style.transform).a"))
    box = steady(page, port.bounding_box)
    page.keyboard.press("m")
    # Its rows were doubled, so that its pixels are square.
    for (dx, dy), millimetres in (((120, 0), 0.25 * 120 / scale), ((0, 120), 0.25 * 120 / scale)):
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + dx, y + dy, steps=3)
        page.mouse.up()
        said = page.locator(".drawn .labels .measure").last.inner_text()
        assert said.endswith(" mm")
        assert float(said.split()[0]) == pytest.approx(millimetres, abs=0.3)


def test_a_part_can_be_cropped_turned_and_read_again(opened, known, findings):
    before = findings[known[0]].radiograph.pixels.shape
    middle = opened.locator(".plain .port").bounding_box()
    opened.keyboard.press("m")
    opened.mouse.move(middle["x"] + middle["width"] / 2, middle["y"] + middle["height"] / 2)
    opened.mouse.down()
    opened.mouse.move(middle["x"] + middle["width"] / 2 + 40, middle["y"] + middle["height"] / 2, steps=3)
    opened.mouse.up()
    assert opened.locator(".plain .labels .measure").count() == 1
    opened.keyboard.press("r")
    opened.keyboard.press("c")
    port = opened.locator(".plain .port")
    box = port.bounding_box()
    scale = abs(port.locator(".stage").evaluate("s => new DOMMatrix(s.style.transform).b"))
    opened.mouse.move(box["x"] + box["width"] / 2 - 60, box["y"] + box["height"] / 2 - 50)
    opened.mouse.down()
    opened.mouse.move(box["x"] + box["width"] / 2 + 60, box["y"] + box["height"] / 2 + 50, steps=4)
    opened.mouse.up()
    opened.get_by_role("button", name="Assess this part").click()
    opened.get_by_role("button", name="Back to the whole image").wait_for(timeout=WAIT)
    image = opened.locator(".drawn .stage > img").first
    expected = [pytest.approx(120 / scale, abs=2), pytest.approx(100 / scale, abs=2)]
    eventually(opened, lambda: image.evaluate("i => [i.naturalWidth, i.naturalHeight]") == expected)
    assert image.evaluate("i => [i.naturalHeight, i.naturalWidth]") != list(before)
    # The new image is turned already, and a ruler on the old one measures nothing here.
    turn = "s => { const m = new DOMMatrix(s.style.transform); return [m.b, m.c]; }"
    eventually(opened, lambda: opened.locator(".plain .stage").evaluate(turn) == [0, 0])
    assert not opened.locator(".plain .labels .measure").count()


def test_keys_are_listed_and_tools_are_one_tab_stop_each(opened):
    helper = opened.locator(".rail [data-act=help]")
    helper.focus()
    helper.press("Enter")
    assert opened.get_by_role("dialog", name="Keys").is_visible()
    assert opened.locator(".keys button:focus").count() == 1  # a dialog takes the focus, and gives it back
    opened.keyboard.press("Escape")
    assert not opened.get_by_role("dialog", name="Keys").is_visible()
    assert opened.locator(".rail [data-act=help]:focus").count() == 1
    opened.keyboard.press("?")
    assert opened.get_by_role("dialog", name="Keys").is_visible()
    opened.keyboard.press("?")
    assert not opened.get_by_role("dialog", name="Keys").is_visible()
    for bar in opened.locator(".viewer [role=toolbar]").all():
        stops = bar.locator("button, select, input").evaluate_all("all => all.filter(e => e.tabIndex === 0).length")
        assert stops == 1
    first = opened.locator(".rail button").first
    first.focus()
    first.press("ArrowDown")
    focused = "() => document.querySelector('.stBidiComponent') && [...document.querySelectorAll('*')]"
    focused += ".map(e => e.shadowRoot?.activeElement).find(Boolean)?.dataset.act"
    assert opened.evaluate(focused) == "fit"


def test_on_a_phone_the_viewer_swipes_over_what_is_drawn(browser, server, known, findings):
    """The small network is another one in each run: its first heatmap may leave nothing to uncover."""
    finding = findings[known[0]]
    method = finding.methods[0]
    drawn = contour_paths(finding.heatmap(method), finding.full_colour(method)) or finding.marks()
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.goto(server.url)
    upload(page, known[0])
    answer(page)
    page.locator(f".viewer[data-view={'swipe' if drawn else 'one'}]").wait_for(timeout=WAIT)
    context.close()


def test_the_sidebar_folds_below_1100_px(app_tab, server):
    app_tab.set_viewport_size({"width": 1060, "height": 800})
    app_tab.goto(server.url)
    app_tab.locator("[data-testid=stSidebar][data-collapsed=true]").wait_for(state="attached", timeout=WAIT)


def test_the_report_opens_and_says_the_same(opened, known, findings):
    opened.get_by_role("button", name="Report").click()
    text = pdf_text(saved(opened, "PDF"))
    finding = findings[known[0]]
    assert finding.radiograph.sha256 in text
    assert f"{capitalised(finding.triage)}, probability {format_percent(finding.probability)}" in text
    assert "Page 1 of 1" in text and "Signature" in text
    assert saved(opened, "PNG").startswith(b"\x89PNG")


def test_the_report_of_a_dicom_file_begins_with_the_patient(page, tmp_path):
    patient = {"PatientName": "Doe^Jane", "PatientBirthDate": "19800203", "StudyDate": "20260105"}
    path = tmp_path / "film.dcm"
    path.write_bytes(
        made.file_bytes(made.dataset(np.tile(np.arange(0, 4000, 10, dtype=np.uint16), (500, 1)), **patient))
    )
    upload(page, path)
    headline = answer(page).split("\n")[0]
    page.get_by_role("button", name="Report").click()
    assert "Jane" not in pdf_text(saved(page, "PDF"))
    page.get_by_text("Include patient details").click()
    page.get_by_role("checkbox", name="Include patient details").and_(page.locator(":checked")).wait_for(
        state="attached", timeout=WAIT
    )
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for(timeout=WAIT)
    text = pdf_text(saved(page, "PDF"))
    assert -1 < text.find("Jane") < text.index(headline) and "3 February 1980" in text


def test_the_model_menu_says_what_each_model_reaches(page, vocal_models):
    label = model_label(load_bundle("small", vocal_models))
    assert ", AUC " in label
    page.get_by_role("combobox", name="Model", exact=True).click(timeout=WAIT)
    page.get_by_role("option", name=label).wait_for(timeout=WAIT)


def test_an_example_is_the_button_and_hides_its_label_until_asked(page):
    tiles = page.locator(".gallery button")
    tiles.first.wait_for(timeout=WAIT)
    assert tiles.count() == 8
    tiles.first.click()
    answer(page)
    assert "Reference label (FracAtlas)" not in page.locator("body").inner_text()
    page.get_by_text("Show reference label").click()
    page.get_by_text("Reference label (FracAtlas)").wait_for(timeout=WAIT)


def test_one_threshold_says_above_or_below_it(page, known):
    upload(page, known[0])
    answer(page)
    page.get_by_role("combobox", name="Operating point").click()
    page.get_by_role("option", name="One threshold").click()
    page.get_by_text("Look again at").wait_for(timeout=WAIT)
    eventually(page, lambda: answer(page).startswith(("Above threshold: look again", "Below threshold")))


@pytest.mark.parametrize("width", [390, 820, 1280])
def test_nothing_sticks_out_sideways(app_tab, server, known, width):
    page = app_tab
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(server.url)
    page.locator("input[type=file]").wait_for(state="attached", timeout=WAIT)
    upload(page, known[0])
    answer(page)
    page.locator(".drawn .port").wait_for(timeout=WAIT)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.locator("[data-testid=stMain]").evaluate("m => m.scrollWidth <= m.clientWidth")
    box = page.locator(".drawn .port").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width


def test_ten_at_once_each_see_their_own(browser, server, known, findings, vocal_models):
    """Three of the ten in a browser; the server is told and asked the same by the others, which draw nothing."""
    chosen = [known[number % len(known)] for number in range(10)]
    truth = Truth(load_predictor("small", vocal_models))
    contexts = [browser.new_context(viewport={"width": 1100, "height": 700}) for _ in range(3)]
    pages = [context.new_page() for context in contexts]
    for page in pages:
        page.goto(server.url)
    for page in pages:
        page.locator("input[type=file]").wait_for(state="attached", timeout=WAIT)
    others = [WebSession(server.url, WAIT / 1000) for _ in chosen[3:]]

    def ask(session: WebSession, path: Path) -> str:
        session.upload(path.name, path.read_bytes())
        session.until(lambda: session.finished)
        return truth.fault(session, path)

    with ThreadPoolExecutor(len(others)) as pool:
        faults = pool.map(ask, others, chosen[3:])
        for page, path in zip(pages, chosen, strict=False):
            upload(page, path)
        assert not any(faults)
    for page, path in zip(pages, chosen, strict=False):
        assert f"Probability {format_percent(findings[path].probability)}" in answer(page)
        image = page.locator(".plain .stage > img")
        image.wait_for(state="attached", timeout=WAIT)
        assert path.name in image.get_attribute("alt")
    assert server.memory() < 1.5 * 2**30
    for visitor in (*contexts, *others):
        visitor.close()
    assert "Traceback" not in server.log.read_text()

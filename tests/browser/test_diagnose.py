"""The page a clinician lives on, used as one would use it."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pypdf import PdfReader

from fracture_core.reporting.finding_text import DISCLAIMER, percent

WAIT = 90_000


def upload(page, *paths) -> None:
    page.locator("input[type=file]").set_input_files([str(path) for path in paths])


def answer(page) -> str:
    card = page.locator(".answer")
    card.wait_for(timeout=WAIT)
    return card.inner_text()


def drawn(page) -> bytes:
    """What the pane with the overlay looks like."""
    page.wait_for_timeout(250)
    return page.locator(".drawn .port").screenshot()


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
            page.wait_for_timeout(1000)
            return page
        page.wait_for_timeout(100)
    raise AssertionError("the pictures did not load")


def test_the_answer_is_the_cores_own(page, known, findings):
    upload(page, known[0])
    finding = findings[known[0]]
    said = answer(page)
    assert finding.triage in said.lower()
    assert f"probability {percent(finding.probability)}" in said
    assert "Of 100 radiographs like this in the test set" in said
    page.get_by_text(DISCLAIMER).wait_for(timeout=WAIT)


def test_overlay_goes_at_a_touch_and_the_original_never_changes(opened):
    original = opened.locator(".plain .port").screenshot()
    with_overlay = drawn(opened)
    assert with_overlay != original
    opened.locator("[data-toggle=overlay]").click()
    without = drawn(opened)
    assert without != with_overlay
    opened.keyboard.press("o")
    assert drawn(opened) == with_overlay
    assert opened.locator(".plain .port").screenshot() == original


def test_sliders_and_keys_change_the_picture_without_the_server(opened):
    sent = []
    opened.on("websocket", lambda socket: sent.append("opened"))
    opened.evaluate("""() => {
        const send = WebSocket.prototype.send;
        window.sent = 0;
        WebSocket.prototype.send = function (data) { window.sent += 1; return send.call(this, data); };
    }""")
    first = drawn(opened)
    seen = {first}
    opened.locator("[data-range=opacity]").fill("100")
    seen.add(drawn(opened))
    opened.keyboard.press("l")
    seen.add(drawn(opened))
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
    # Chromium may resample a filtered picture by a grey level or so.
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
    box = port.bounding_box()
    opened.mouse.move(box["x"] + 200, box["y"] + 200)
    opened.mouse.down()
    opened.mouse.move(box["x"] + 150, box["y"] + 230, steps=4)
    opened.mouse.up()
    assert len(set(transforms())) == 1
    assert transforms() != zoomed


def test_swipe_uncovers_the_overlay_and_moves_by_keys(opened):
    opened.locator("[data-view=swipe]").click()
    assert not opened.locator(".plain").is_visible()
    divider = opened.locator(".divider")
    assert divider.get_attribute("aria-valuenow") == "50"
    half = drawn(opened)
    divider.press("ArrowLeft")
    assert divider.get_attribute("aria-valuenow") == "48"
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
    alert = page.get_by_role("alert").filter(has_text="could not be read")
    alert.wait_for(timeout=WAIT)
    said = alert.inner_text()
    assert name in said
    assert said.rstrip().endswith(".")
    assert "Traceback" not in page.locator("body").inner_text()


def marked(page, row: int) -> None:
    """Wait until the table marks this row, from 0, and no other; to those who listen it counts from 1, header first."""
    chosen = page.locator("[data-testid=stDataFrame] [role=row][aria-selected=true]")
    for _ in range(300):
        if chosen.evaluate_all("rows => rows.map(r => r.getAttribute('aria-rowindex'))") == [str(row + 2)]:
            return
        page.wait_for_timeout(200)
    raise AssertionError(f"{chosen.evaluate_all('rows => rows.map(r => r.outerHTML.slice(0, 200))')}, not row {row}")


def test_twenty_make_a_worklist_that_a_bad_file_does_not_stop(page, known, findings, tmp_path):
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"nothing")
    chosen = [*list(findings)[:19], bad]
    upload(page, *chosen)
    page.get_by_text("1 of 20").wait_for(timeout=WAIT)
    answer(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Table as CSV").click()
    rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text())))
    assert {row["file"] for row in rows} == {path.name for path in chosen}
    assert rows[-1]["file"] == "bad.jpg"
    assert rows[-1]["error"]
    shares = [float(row["probability"]) for row in rows if row["probability"]]
    assert shares == sorted(shares, reverse=True)
    by_name = {path.name: finding for path, finding in findings.items()}
    assert shares[0] == pytest.approx(by_name[rows[0]["file"]].probability, abs=1e-3)
    page.keyboard.press("ArrowRight")
    page.get_by_text(f"2 of 20: {rows[1]['file']}").wait_for(timeout=WAIT)
    marked(page, 1)
    # The fourth row of the table: the header is 36 px high, a row 44.
    page.locator("[data-testid=stDataFrame]").click(position={"x": 16, "y": 36 + 3 * 44 + 22})
    page.get_by_text(f"4 of 20: {rows[3]['file']}").wait_for(timeout=WAIT)
    marked(page, 3)


def test_the_report_opens_and_says_the_same(opened, known, findings):
    opened.get_by_role("button", name="Report").click()
    with opened.expect_download(timeout=WAIT) as download:
        opened.get_by_role("button", name="PDF", exact=True).click()
    text = " ".join(PdfReader(download.value.path()).pages[0].extract_text().split())
    finding = findings[known[0]]
    assert finding.radiograph.sha256 in text
    assert f"{finding.triage}, probability {percent(finding.probability)}" in text
    with opened.expect_download(timeout=WAIT) as download:
        opened.get_by_role("button", name="PNG", exact=True).click()
    assert Path(download.value.path()).read_bytes().startswith(b"\x89PNG")


def test_examples_hide_what_the_dataset_says_until_asked(page):
    page.get_by_role("button", name="Read 1", exact=True).click()
    answer(page)
    assert "Reference label (" not in page.locator("body").inner_text()
    page.get_by_text("Show what FracAtlas says").click()
    page.get_by_text("Reference label (FracAtlas): ").wait_for(timeout=WAIT)


def test_operating_point_changes_the_words(page, known, findings):
    upload(page, known[0])
    answer(page)
    page.get_by_role("combobox", name="Operating point").click()
    page.get_by_role("option", name="One threshold").click()
    page.get_by_text("Fracture likely from").wait_for(timeout=WAIT)
    page.wait_for_timeout(500)
    assert "indeterminate" not in answer(page).lower()


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_sticks_out_sideways(browser, server, known, width):
    context = browser.new_context(viewport={"width": width, "height": 800})
    page = context.new_page()
    page.goto(server.url)
    page.locator("input[type=file]").wait_for(state="attached", timeout=WAIT)
    upload(page, known[0])
    answer(page)
    page.locator(".viewer .port").first.wait_for(timeout=WAIT)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    box = page.locator(".drawn .port").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width
    context.close()


def test_ten_at_once_each_see_their_own(browser, server, known, findings):
    contexts = [browser.new_context(viewport={"width": 1100, "height": 700}) for _ in range(10)]
    pages = [context.new_page() for context in contexts]
    for page in pages:
        page.goto(server.url)
    for page in pages:
        page.locator("input[type=file]").wait_for(state="attached", timeout=WAIT)
    chosen = [known[number % len(known)] for number in range(10)]
    for page, path in zip(pages, chosen, strict=True):
        upload(page, path)
    for page, path in zip(pages, chosen, strict=True):
        assert f"probability {percent(findings[path].probability)}" in answer(page)
        image = page.locator(".plain .stage > img")
        image.wait_for(state="attached", timeout=WAIT)
        assert path.name in image.get_attribute("alt")
    assert server.memory() < 1.5 * 2**30
    for context in contexts:
        context.close()
    assert "Traceback" not in server.log.read_text()

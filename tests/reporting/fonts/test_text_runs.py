"""Names in the scripts of the world, as they are printed on a report."""

from __future__ import annotations

import io
import re
import unicodedata
from html import unescape
from pathlib import Path

import numpy as np
import pypdfium2
import pytest
from pypdf import PdfReader
from reportlab.lib.styles import ParagraphStyle
from reportlab.platypus import Paragraph, SimpleDocTemplate

from fracture_core.reporting.fonts import text_runs
from fracture_core.reporting.fonts.text_runs import CANNOT_BE_PRINTED, markup

NAMES = {
    "Japanese": "山田^太郎 やまだ ヤマダ",
    "Chinese, simplified": "张^伟 国语",
    "Chinese, traditional": "李^國語 體",
    "Korean": "김^철수 뷁",
    "Cyrillic": "Иванов^Сергей Щё",
    "Thai": "สมชาย^ใจดี",
    "Greek": "Γεώργιος",
    "Vietnamese": "Nguyễn^Thị",
    "Polish": "Łukasz Żółć",
}
RIGHT_TO_LEFT = {"Hebrew": "כהן^שלום", "Arabic": "محمد^بن سلمان"}


def pdf(words: str) -> bytes:
    page = io.BytesIO()
    style = ParagraphStyle("body", fontName="Helvetica", fontSize=20, leading=30)
    SimpleDocTemplate(page).build([Paragraph(f"<b>{markup(words)}</b>", style)])
    return page.getvalue()


def text_in(made: bytes) -> str:
    return "".join(PdfReader(io.BytesIO(made)).pages[0].extract_text().split())


def embedded(made: bytes) -> set[str]:
    """The fonts whose outlines are in the file."""
    fonts = PdfReader(io.BytesIO(made)).pages[0]["/Resources"]["/Font"].values()
    described = [font.get_object().get("/FontDescriptor") for font in fonts]
    return {str(one.get_object()["/FontName"]) for one in described if one and "/FontFile2" in one.get_object()}


def without_spaces(words: str) -> str:
    return "".join(words.split())


@pytest.mark.parametrize("script", NAMES)
def test_names_are_printed_in_an_embedded_font(script):
    made = pdf(NAMES[script])
    assert text_in(made) == without_spaces(NAMES[script])
    assert embedded(made)
    assert CANNOT_BE_PRINTED not in markup(NAMES[script])


@pytest.mark.parametrize("script", RIGHT_TO_LEFT)
def test_names_from_right_to_left_are_turned_into_the_order_of_the_page(script):
    printed = re.sub(r"</?font[^>]*>", "", markup(RIGHT_TO_LEFT[script]))
    # On the page the first letter stands at the right; Arabic letters are there in the forms that join.
    assert bool(re.search("[\ufe70-\ufeff]", printed)) == (script == "Arabic")
    assert unicodedata.normalize("NFKC", printed[::-1]) == RIGHT_TO_LEFT[script]
    assert embedded(pdf(RIGHT_TO_LEFT[script]))


def test_brackets_and_numbers_keep_their_sense_in_a_name_from_right_to_left():
    assert re.sub("<[^>]*>", "", markup("שלום (123)")) == "(123) םולש"


def test_every_glyph_is_drawn_and_none_is_an_empty_box():
    """The ink of each name differs from that of characters that no font has, and there is some of it."""
    drawn = {}
    for script, name in (NAMES | RIGHT_TO_LEFT).items():
        page = pypdfium2.PdfDocument(pdf(name))[0].render(scale=2).to_numpy()
        ink = (page.min(-1) < 128).sum()
        drawn[script] = page.tobytes()
        assert ink > 30 * len(without_spaces(name)), script
    assert len(set(drawn.values())) == len(drawn)


def test_a_word_keeps_to_one_font():
    assert markup("Nguyễn") == '<font name="DejaVuSans">Nguyễn</font>'
    assert markup("Müller") == "Müller"
    assert re.findall('name="([^"]*)"', markup("太郎")) == ["DroidSansFallbackFull"]


def test_what_no_font_has_is_said_to_be_missing():
    for words in ("अमित", "\U00012000 x", "Anna \u1200"):
        said = markup(words)
        assert "?" in said and said.endswith(f"({CANNOT_BE_PRINTED})")
        assert not embedded(pdf(words)) or "?" in text_in(pdf(words))


def test_markup_and_control_characters_in_a_name_are_only_text():
    for words in ("<b>&amp; 太<郎> \x00\x1b[31m", "א<font name='x'>ב & ג"):
        plain = re.sub(r"</?font[^>]*>", "", markup(words))
        assert "<" not in plain.replace("&lt;", "")
        assert (
            sorted(unescape(plain).replace(" ", "")) == sorted(c for c in words if c.isprintable() and c != " ")
            or "א" in words
        )
        assert np.frombuffer(pdf(words), np.uint8).size


def test_each_font_has_its_licence_text_beside_it():
    folder = Path(text_runs.__file__).parent
    fonts = sorted(folder.glob("*.ttf"))
    assert fonts
    for font in fonts:
        words = (folder / f"LICENCE-{font.stem}.txt").read_text("utf-8")
        assert len(words) > 3000 and ("AS IS" in words)


@pytest.mark.parametrize("name", ["عبد الله", "محمد بن عبدالله", "الله", "لله", "لا إله", "سلام"])
def test_an_arabic_name_lacks_no_ligature(name: str) -> None:
    """Abdullah is the commonest of names, and the font has no glyph for the whole of the word in it."""
    assert CANNOT_BE_PRINTED not in markup(name)
    assert "?" not in markup(name)

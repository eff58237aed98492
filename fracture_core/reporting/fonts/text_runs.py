"""Text in any common script as markup for a report's page: each stretch in a font that has its characters.

A PDF names glyphs of fonts, so each character needs a font that has it, embedded in the file. Arabic letters take the
form that their place in the word asks for, and scripts that run from right to left are put into the order of the page.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from itertools import groupby
from pathlib import Path
from xml.sax.saxutils import escape

#: Tried in this order, after the page's own font. Han characters come last, so that Korean ones are drawn alike.
_FONTS = ("DejaVuSans", "NotoSansThai", "NanumGothic", "DroidSansFallbackFull")
#: What stands for a character that no font has.
_MISSING = "?"
CANNOT_BE_PRINTED = "has characters that cannot be printed here"


def markup(words: str) -> str:
    """Return text as ReportLab's markup, escaped, in the order in which it is printed.

    A character that no font has becomes a question mark, and a note at the end says so.

    Args:
        words: The text.

    Returns:
        The markup.
    """
    shown = _in_print_order("".join(c if c.isprintable() else " " for c in unicodedata.normalize("NFC", words)))
    if _is_western(shown):
        return escape(shown)
    marked = "".join(map(_word, re.split(r"(\s+)", shown)))
    missing = any(not _is_western(c) and _font_of(c) is None for c in shown)
    return f"{marked} ({CANNOT_BE_PRINTED})" if missing else marked


def _word(word: str) -> str:
    """Mark a word up in one font where one has all of it, else each stretch, else each character."""
    if _is_western(word):
        return escape(word)
    if _font_of(word) == _FONTS[0]:
        return _in_font(_FONTS[0], word)
    markup = ""
    for western, characters in groupby(word, key=_is_western):
        stretch = "".join(characters)
        if western:
            markup += escape(stretch)
        elif font := _font_of(stretch):
            markup += _in_font(font, stretch)
        else:
            markup += "".join(_in_font(font, c) if (font := _font_of(c)) else _MISSING for c in stretch)
    return markup


def _in_font(font: str, text: str) -> str:
    return f'<font name="{font}">{escape(text)}</font>'


def _font_of(text: str) -> str | None:
    """Return the first font that has every character, None where none has."""
    return next((name for name in _FONTS if _characters(name).issuperset(map(ord, text))), None)


def _is_western(text: str) -> bool:
    """Tell whether the page's own font has every character: those of Windows' western encoding."""
    try:
        text.encode("cp1252")
    except UnicodeEncodeError:
        return False
    return True


@cache
def _characters(name: str) -> frozenset[int]:
    """Register a font with ReportLab, and return the code points that it has."""
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFont

    font = TTFont(name, str(Path(__file__).parent / f"{name}.ttf"))
    pdfmetrics.registerFont(font)
    # There is one weight of each; a name in bold type is printed in it all the same.
    pdfmetrics.registerFontFamily(name, normal=name, bold=name, italic=name, boldItalic=name)
    return frozenset(font.face.charToGlyph)


def _in_print_order(text: str) -> str:
    """Return text with Arabic letters joined, and what runs from right to left turned round."""
    if not any(unicodedata.bidirectional(c) in ("R", "AL", "AN") for c in text):
        return text
    from arabic_reshaper import ArabicReshaper
    from bidi.algorithm import get_display

    # The font has the ligatures of lam and alef, which must be joined, and not that of the name of God.
    joined = ArabicReshaper({"ARABIC LIGATURE ALLAH": False}).reshape(text)
    return str(get_display(joined))

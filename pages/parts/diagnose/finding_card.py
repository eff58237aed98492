"""The answer card: the finding in words, colour and shape, and where it stands between the operating points."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import streamlit as st

from fracture_core.formatting import format_percent
from fracture_core.inference.predictor import Finding
from fracture_core.reporting.finding_text import MEANINGS, WAYS_FORWARD, FindingText, probability_in_words

# Blue, orange and vermilion of Okabe and Ito 2008 are told apart by every kind of colour vision; shape says it again.
SHAPES = {
    "likely": ("#e0671b", "polygon(50% 5%, 100% 95%, 0 95%)"),
    "indeterminate": ("#e69f00", "polygon(50% 0, 100% 50%, 50% 100%, 0 50%)"),
    "unlikely": ("#3d93d1", "circle(46%)"),
    "not-read": ("#cc79a7", "inset(6%)"),
}
SHAPES |= {"above": SHAPES["likely"], "below": SHAPES["unlikely"]}


def show_finding(finding: Finding, words: FindingText, notes: Sequence[str] = (), answer: str = "") -> None:
    """Draw the card of a finding.

    An image that was not read gets the reason in place of an answer: no score, no warnings, no guesses. `notes` are
    sentences that belong beside the answer, such as that the model was trained on this very radiograph. `answer` names
    the card, which the viewer of the same name shows.
    """
    if words.reason:
        _card("not-read", words.headline, _reason(words.reason, WAYS_FORWARD), _cautions(notes), answer)
        return
    sign = '<span aria-hidden="true">⚠\ufe0e</span>'
    caution = f'<p class="caution">{sign} {escape(words.caution)}</p>' if words.caution else ""
    share = f'{caution}<p class="share">Probability {escape(probability_in_words(finding))}</p>'
    body = f"{share}<p>{escape(MEANINGS[words.kind])}</p>{_scale(finding)}"
    alike = f'<p class="alike">{escape(words.like_this)}</p>'
    _card(words.kind, words.headline, body, alike + _cautions([*notes, *finding.warnings]), answer)


def show_not_read(headline: str, reason: str, ways_forward: str, answer: str = "") -> None:
    """Draw the card of what nobody has read: why, and what to do."""
    _card("not-read", headline, _reason(reason, ways_forward), "", answer)


def _reason(reason: str, ways_forward: str) -> str:
    return f"<p>{escape(reason)}</p><p>{escape(ways_forward)}</p>"


def _card(kind: str, headline: str, body: str, below: str, answer: str) -> None:
    colour, shape = SHAPES[kind]
    head = f'<i style="clip-path:{shape}" aria-hidden="true"></i><strong>{escape(headline)}</strong>'
    card = f'<div class="answer" role="status" style="--tone:{colour}"><div class="head">{head}</div>{body}</div>'
    st.html(f'<div data-answer="{escape(answer)}">{card}{below}</div>')


def _cautions(sentences: Sequence[str]) -> str:
    items = "".join(f"<p>{escape(sentence)}</p>" for sentence in sentences)
    return f'<div class="cautions" role="note" aria-label="Warnings">{items}</div>' if items else ""


#: The share of the scale's width that a label needs.
_ROOM = 0.16


def _scale(finding: Finding) -> str:
    """Probability from 0 to 100 %, the zones of the answers, and a mark where this radiograph stands."""
    low, high = sorted((finding.rule_out.threshold, finding.rule_in.threshold))
    if finding.rule_out.threshold > finding.rule_in.threshold:
        low = high = finding.rule_in.threshold
    high = min(high, 1.0)  # a site's point that calls no film likely lies beyond the scale
    zones = (("unlikely", 0.0, low), ("indeterminate", low, high), ("likely", high, 1.0))
    bars = "".join(
        f'<i style="flex:{end - start:.4f} 0 0;--zone:{SHAPES[kind][0]}"></i>'
        for kind, start, end in zones
        if end > start
    )
    label = (
        f"Probability scale with marks at {format_percent(low)} and {format_percent(high)}; "
        f"this radiograph {format_percent(finding.probability)}"
    )
    return (
        f'<div class="points" role="img" aria-label="{label}"><div class="zones">{bars}</div>'
        f'<b style="left:{finding.probability:.2%}"></b>{_legend(low, high)}</div>'
    )


def _legend(low: float, high: float) -> str:
    """Say what the zones at the ends mean; with one threshold, where it lies."""
    if low < high:
        return (
            f'<span class="first">unlikely &lt; {format_percent(low)}</span>'
            f'<span class="last">likely ≥ {format_percent(high)}</span>'
        )
    ends = '<span class="first">0 %</span>' if low > _ROOM else ""
    ends += '<span class="last">100 %</span>' if high < 1 - _ROOM else ""
    place = min(max(high, _ROOM / 2), 1 - _ROOM / 2)
    return f'{ends}<span style="left:{place:.2%}">{format_percent(high)}</span>'

"""The answer card: the finding in words, colour and shape, and where it stands between the operating points."""

from __future__ import annotations

import streamlit as st

from fracture_core.inference.predictor import Finding
from fracture_core.reporting.finding_text import WAYS_FORWARD, FindingText, percent

# Blue, orange and vermilion of Okabe and Ito 2008 are told apart by every kind of colour vision; shape says it again.
_SHAPES = {
    "likely": ("#e0671b", "polygon(50% 5%, 100% 95%, 0 95%)"),
    "indeterminate": ("#e69f00", "polygon(50% 0, 100% 50%, 50% 100%, 0 50%)"),
    "unlikely": ("#3d93d1", "circle(46%)"),
    "not-read": ("#c77dab", "inset(8%)"),
}
_SHAPES |= {"above": _SHAPES["likely"], "below": _SHAPES["unlikely"]}

_STYLE = """<style>
.answer { border-left: 6px solid var(--tone); padding: .1rem 0 .1rem .9rem; }
.answer .head { display: flex; flex-wrap: wrap; align-items: center; gap: .2rem .7rem; }
.answer .head i { width: 1.5rem; height: 1.5rem; background: var(--tone); }
.answer .head strong { font-size: 1.7rem; line-height: 1.2; display: inline-block; }
.answer .head strong::first-letter { text-transform: uppercase; }
.answer .head span { font-size: 1.35rem; font-variant-numeric: tabular-nums; }
.answer p { margin: .35rem 0 0; }
.answer .alike { font-size: .85rem; opacity: .85; border-top: 1px solid #8886; padding-top: .4rem; }
.points { position: relative; height: 2.9rem; margin: .6rem .4rem 0; font-size: .75rem; }
.points .zones { position: absolute; inset: .75rem 0 auto; height: .55rem; display: flex; border-radius: 3px;
  overflow: hidden; }
.points .zones i { background: var(--zone); }
.points b { position: absolute; top: .3rem; width: 4px; height: 1.45rem; margin-left: -2px; border-radius: 2px;
  background: currentColor; box-shadow: 0 0 0 2px var(--st-background-color, #0f1418); }
.points span { position: absolute; top: 1.75rem; transform: translateX(-50%); white-space: nowrap; }
.points span.first { transform: none; } .points span.last { transform: translateX(-100%); }
</style>"""


def show_finding(finding: Finding, words: FindingText) -> None:
    """Draw the card; an image that was not read gets the reason in place of an answer."""
    colour, shape = _SHAPES[words.kind]
    mark = f'<i style="clip-path:{shape}" aria-hidden="true"></i>'
    if words.reason:
        body = f"<strong>{words.headline}</strong></div><p>{words.reason}</p><p>{WAYS_FORWARD}</p>"
    else:
        body = (
            f"<strong>{words.headline}</strong><span>probability {percent(finding.probability)}</span></div>"
            f'{_scale(finding)}<p class="alike">{words.like_this}</p>'
        )
    head = f'<div class="answer" role="status" style="--tone:{colour}"><div class="head">{mark}'
    st.html(f"{_STYLE}{head}{body}</div>")


#: The share of the scale's width that a label needs.
_ROOM = 0.1


def _apart(low: float, high: float) -> tuple[float, ...]:
    return (low, high) if high - low > _ROOM else (high,)


def _scale(finding: Finding) -> str:
    """Probability from 0 to 100 %, the zones of the answers, and a mark where this radiograph stands."""
    low, high = sorted((finding.rule_out.threshold, finding.rule_in.threshold))
    if finding.rule_out.threshold > finding.rule_in.threshold:
        low = high = finding.rule_in.threshold
    zones = (("unlikely", 0.0, low), ("indeterminate", low, high), ("likely", high, 1.0))
    bars = "".join(
        f'<i style="flex:{end - start:.4f} 0 0;--zone:{_SHAPES[kind][0]}"></i>' for kind, start, end in zones
    )
    label = (
        f"Scale of probability with marks at {percent(low)} and {percent(high)}; "
        f"this radiograph {percent(finding.probability)}"
    )
    marks = ['<span class="first" style="left:0">0 %</span>'] if low > _ROOM else []
    marks += [f'<span style="left:{point:.2%}">{percent(point)}</span>' for point in _apart(low, high)]
    marks += ['<span class="last" style="left:100%">100 %</span>'] if high < 1 - _ROOM else []
    return (
        f'<div class="points" role="img" aria-label="{label}"><div class="zones">{bars}</div>'
        f'<b style="left:{finding.probability:.2%}"></b>{"".join(marks)}</div>'
    )

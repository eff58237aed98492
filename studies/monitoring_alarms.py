"""Count the Monitoring page's false alarms, and how late it sees a planted change; write docs/monitoring_alarms.md.

Audit logs of two years are made from seeds that no test uses: some in which nothing moves, and for each kind of change
some in which it is planted on the first day of month 14. Each log is watched as the page watches it, against its first
films.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fracture_core.cli.common import bar
from fracture_core.cli.exit_status import exit_status
from fracture_core.evaluation.monitoring.audit_history import FALSE_ALARMS, MARKED_BY_CHANCE, WINDOW, changes, monthly
from fracture_core.files import write_text
from fracture_core.metrics.intervals import wilson
from tests.support.made_logs import KINDS, MONTH_14, made_log

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "monitoring_alarms.md"
_FIRST_SEED = 10_000
_WORDS = {
    "scores": "logits 1.5 higher",
    "not read": "25% of films not read, in place of 3%",
    "prevalence": "65% fractured, in place of 20%",
    "machine": "one feature a standard deviation higher",
    "noise": "one feature with 2.5 times the spread",
}


@dataclass(frozen=True)
class Watched:
    """One log and what was said of it.

    Attributes:
        films: Films in the log.
        alarms: Alarms before the change, or in all if there is none.
        marked: Whether a whole month before the change was marked.
        delay: Films from the first that changed to the one at which it was said; None if it never was, or none changed.
    """

    films: int
    alarms: int
    marked: bool
    delay: int | None


def main() -> None:
    """Make the logs, watch them, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--still", type=int, default=200, help="logs without a change")
    parser.add_argument("--changed", type=int, default=50, help="logs with a change, of each kind")
    asked = parser.parse_args()
    total, progress = asked.still + len(KINDS) * asked.changed, bar("watching")
    seeds = iter(range(_FIRST_SEED, _FIRST_SEED + total))

    def watched(kind: str) -> Watched:
        seed = next(seeds)
        one = watch(seed, kind)
        progress(seed - _FIRST_SEED + 1, total)
        return one

    still = [watched("") for _ in range(asked.still)]
    changed = {kind: [watched(kind) for _ in range(asked.changed)] for kind in KINDS}
    text = page(still, changed)
    print(text)
    write_text(DOCUMENT, text)


def watch(seed: int, kind: str = "") -> Watched:
    """Make a log and watch it.

    Args:
        seed: Of the log.
        kind: One of KINDS, planted in month 14; "" for none.

    Returns:
        What was said of it.
    """
    log, first = made_log(seed, change_on=MONTH_14 if kind else None, kind=kind)
    said = [change.film for change in changes(log)]
    early = [film for film in said if not kind or film < first]
    months = monthly(log)["moved"].to_numpy() != ""
    later = [film - first + 1 for film in said if kind and film >= first]
    before = months[: 13 if kind else None]  # the month of the change is the fourteenth
    return Watched(films=len(log), alarms=len(early), marked=bool(before.any()), delay=min(later, default=None))


def page(still: Sequence[Watched], changed: dict[str, Sequence[Watched]]) -> str:
    """Return the page.

    Args:
        still: Logs without a change.
        changed: Logs with a change, by kind.

    Returns:
        Markdown.
    """
    films, alarms = sum(log.films for log in still), sum(log.alarms for log in still)
    alarmed, marked = sum(log.alarms > 0 for log in still), sum(log.marked for log in still)
    rows: list[dict[str, object]] = []
    for kind, logs in changed.items():
        delays = [log.delay for log in logs if log.delay is not None]
        seen = sum(delay <= WINDOW for delay in delays)
        rows.append(
            {
                "change": _WORDS[kind],
                "logs": len(logs),
                f"seen within {WINDOW} films": f"{seen} ({_interval(seen, len(logs))})",
                "median delay, films": f"{np.median(delays):.0f}" if delays else "-",
                "longest": max(delays) if len(delays) == len(logs) else "not seen in all",
                "alarms before it": sum(log.alarms for log in logs),
            }
        )
    return (
        "# False alarms of the Monitoring page, and how late it is\n\n"
        f"Written by `python -m studies.monitoring_alarms`: made audit logs of two years, about ten films a day, from "
        "seeds that no test and no choice of a level has used. Intervals are Wilson's.\n\n"
        f"**Nothing moved.** {len(still)} logs, {films:,} films: {alarms} false alarm{'s' * (alarms != 1)}, in "
        f"{alarmed} logs ({_interval(alarmed, len(still))} of logs), {10_000 * alarms / films:.4f} in 10,000 films (at "
        f"most {FALSE_ALARMS} promised). A month was marked in {marked} logs ({_interval(marked, len(still))}; at most "
        f"{MARKED_BY_CHANCE:.0%} of logs promised).\n\n"
        "**A change on the first day of month 14.** The delay is counted from the first film after it.\n\n"
        f"{_table(rows)}\n\n"
        "The logs are made, not a hospital's: real films also change with the season, the rota and the referrals, "
        "which is a change and is reported as one.\n\n"
        "A research demonstrator. Not a medical device; not for diagnosis.\n"
    )


def _table(rows: Sequence[dict[str, object]]) -> str:
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(row.values()) for row in rows)]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _interval(count: int, of: int) -> str:
    share = wilson(count, of)
    return f"95 % CI {share.low:.1%} to {share.high:.1%}"


if __name__ == "__main__":
    raise SystemExit(exit_status(main))

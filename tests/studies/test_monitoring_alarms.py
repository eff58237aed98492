"""The page says what the watch of the logs said."""

from __future__ import annotations

from studies.monitoring_alarms import Watched, page, watch


def test_alarms_before_and_after_the_change_are_told_apart():
    still, changed = watch(3), watch(3, "machine")
    assert (still.alarms, still.marked, still.delay) == (0, False, None) and 7000 < still.films < 7600
    assert (changed.alarms, changed.marked) == (0, False) and 20 < changed.delay <= 100


def test_the_page_counts_logs_and_alarms():
    still = [Watched(7000, 0, False, None)] * 18 + [Watched(7000, 2, True, None), Watched(7000, 1, False, None)]
    changed = [Watched(7000, 0, False, delay) for delay in (50, 90, 120)] + [Watched(7000, 1, False, None)]
    text = page(still, {"scores": changed})
    assert "20 logs, 140,000 films: 3 false alarms, in 2 logs" in text and "A month was marked in 1 logs" in text
    assert "0.2143 in 10,000 films" in text
    (row,) = [line for line in text.splitlines() if line.startswith("| logits")]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[1] == "4" and cells[2].startswith("2 (") and cells[3:] == ["90", "not seen in all", "1"]

"""What a page looks like to a ruler: findings of axe-core, text that is cut off, and what sticks out sideways."""

from __future__ import annotations

from pathlib import Path

import axe_playwright_python

_AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text("utf-8")
_CUT_OFF = Path(__file__).with_name("cut_off.js").read_text("utf-8")
_RUN = """async () => {
  const { violations } = await axe.run(document, { resultTypes: ["violations"], preload: false });
  const grave = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  const why = (node) => [...node.any, ...node.all, ...node.none].map((check) => check.message).join(" ");
  return grave.flatMap(({ id, nodes }) => nodes.map((node) =>
    [id, node.target.flat().join(" "), node.html.slice(0, 200), why(node).slice(0, 200)].join(": ")));
}"""


def serious_findings(page) -> list[str]:
    """Return axe-core's serious and critical findings on what the page shows now."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(_AXE)
    return page.evaluate(_RUN)


def cut_off(page) -> list[str]:
    """Return the texts that are cut off or stick out of the window, and the boxes that scroll sideways."""
    return page.evaluate(_CUT_OFF)

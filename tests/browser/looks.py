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


_FAINT = """() => {
  const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => channels(colour).slice(0, 3).map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, k) => sum + c * [0.2126, 0.7152, 0.0722][k], 0);
  const solid = (colour) => colour && channels(colour)[3] !== 0 && colour !== "none";
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const { backgroundColor } = getComputedStyle(at);
      if (solid(backgroundColor)) return backgroundColor;
    }
    return "rgb(255, 255, 255)";
  };
  return [...document.querySelectorAll(".js-plotly-plot")].flatMap((plot) => {
    const ground = light(behind(plot));
    return [...plot.querySelectorAll("svg text")].filter((text) => text.textContent.trim()).flatMap((text) => {
      const ink = light(getComputedStyle(text).fill);
      const contrast = (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05);
      return contrast < 4.5 ? [`${text.textContent}: ${contrast.toFixed(1)}`] : [];
    });
  });
}"""


def faint_chart_text(page) -> list[str]:
    """Return the texts of charts with a contrast below 4.5, which axe-core does not measure."""
    return page.evaluate(_FAINT)

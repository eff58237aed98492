"""What a page looks like to a ruler: findings of axe-core, text that is cut off, and what sticks out sideways."""

from __future__ import annotations

from pathlib import Path

import axe_playwright_python

_AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text("utf-8")
_RUN = """async () => (await axe.run(document, { resultTypes: ["violations"], preload: false })).violations
  .filter(({ impact }) => impact === "serious" || impact === "critical")
  .flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.target.flat().join(" ")}: ${node.html.slice(0, 200)}: ${
    node.any.concat(node.all, node.none).map((check) => check.message).join(" ").slice(0, 200)}`))"""

#: Text that a box hides in part, and text or boxes beyond the window's sides. What lies wholly outside belongs to a
#: sidebar that is folded away, and a box of a pixel to screen readers alone; what scrolls within its own box can be
#: reached.
_CUT_OFF = """() => {
  const found = [], all = [];
  const walk = (root) => { for (const e of root.querySelectorAll("*")) { all.push(e); if (e.shadowRoot) walk(e.shadowRoot); } };
  const above = (e) => e.assignedSlot ?? e.parentElement ?? e.getRootNode().host ?? null;
  const name = (e) => `${e.tagName.toLowerCase()}.${e.getAttribute("class") ?? ""}`.slice(0, 60);
  walk(document.body);
  for (const e of all) {
    const texts = [...e.childNodes].filter((n) => n.nodeType === 3 && n.textContent.trim());
    if (!texts.length || ["STYLE", "SCRIPT", "OPTION", "TITLE"].includes(e.tagName)) continue;
    if (!e.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
    const range = document.createRange();
    for (const node of texts) {
      range.selectNodeContents(node);
      let box = range.getBoundingClientRect();
      box = { left: box.left, right: box.right, top: box.top, bottom: box.bottom };
      if (box.right <= 0 || box.left >= innerWidth || box.right - box.left < 1) continue;
      const words = node.textContent.trim().slice(0, 60);
      let reachable = false, unseen = false, cut = "";
      for (let a = e; a && a !== document.documentElement; a = above(a)) {
        const style = getComputedStyle(a), edge = a.getBoundingClientRect();
        if ((edge.width <= 1 || edge.height <= 1) && style.overflow !== "visible") unseen = true;
        if (style.display === "inline" || style.display === "contents") continue;
        if (a.hasAttribute("data-shortened")) break;
        if (/auto|scroll/.test(style.overflowX) && a.scrollWidth > a.clientWidth + 1) reachable = true;
        else if (style.overflowX !== "visible" && !reachable && (box.right > edge.right + 1.5 || box.left < edge.left - 1.5)) cut ||= `sideways by ${name(a)}`;
        if (/auto|scroll/.test(style.overflowY) && a.scrollHeight > a.clientHeight + 1) break;
        if (style.overflowY !== "visible" && (box.bottom > edge.bottom + 3 || box.top < edge.top - 3)) cut ||= `in height by ${name(a)}`;
      }
      if (unseen) continue;
      if (cut) found.push(`"${words}" is cut off ${cut}`);
      else if (!reachable && (box.right > innerWidth + 1 || box.left < -1)) found.push(`"${words}" sticks out of the window`);
    }
  }
  for (const e of [document.scrollingElement, ...all]) {
    const style = getComputedStyle(e), wide = e.clientWidth > innerWidth / 2;
    if ((e === document.scrollingElement || (wide && /auto|scroll/.test(style.overflowX))) && e.scrollWidth > e.clientWidth + 1)
      found.push(`${name(e)} scrolls sideways: ${e.scrollWidth} > ${e.clientWidth}`);
  }
  return [...new Set(found)];
}"""


def serious_findings(page) -> list[str]:
    """Return axe-core's serious and critical findings on what the page shows now."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(_AXE)
    return page.evaluate(_RUN)


def cut_off(page) -> list[str]:
    """Return the texts that are cut off or stick out of the window, and the boxes that scroll sideways."""
    return page.evaluate(_CUT_OFF)

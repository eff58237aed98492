// What a ruler finds on a page: text that a box hides in part, what sticks out of the window, and boxes that scroll
// sideways. What lies wholly outside belongs to a sidebar that is folded away, and a box of a pixel to screen readers
// alone; what scrolls within its own box can be reached. Tables of rows that can be selected scroll within theirs.
() => {
  const found = new Set();
  const all = [];
  const walk = (root) => {
    for (const element of root.querySelectorAll("*")) {
      all.push(element);
      if (element.shadowRoot) walk(element.shadowRoot);
    }
  };
  walk(document.body);
  const above = (e) => e.assignedSlot ?? e.parentElement ?? e.getRootNode().host ?? null;
  const name = (e) => `${e.tagName.toLowerCase()}.${e.getAttribute("class") ?? ""}`.slice(0, 60);
  const scrolls = (overflow, content, room) => /auto|scroll/.test(overflow) && content > room + 1;

  const judge = (element, box, words) => {
    let reachable = false;
    let cut = "";
    for (let e = element; e && e !== document.documentElement; e = above(e)) {
      const style = getComputedStyle(e);
      const edge = e.getBoundingClientRect();
      if ((edge.width <= 1 || edge.height <= 1) && style.overflow !== "visible") return;
      if (e.hasAttribute("data-shortened")) return; // the whole of it is told another way
      if (style.display === "inline" || style.display === "contents") continue;
      const aside = box.right > edge.right + 1.5 || box.left < edge.left - 1.5;
      const beneath = box.bottom > edge.bottom + 3 || box.top < edge.top - 3;
      if (scrolls(style.overflowX, e.scrollWidth, e.clientWidth)) reachable = true;
      else if (style.overflowX !== "visible" && !reachable && aside) cut ||= `sideways by ${name(e)}`;
      if (scrolls(style.overflowY, e.scrollHeight, e.clientHeight)) break;
      if (style.overflowY !== "visible" && beneath) cut ||= `in height by ${name(e)}`;
    }
    if (cut) found.add(`"${words}" is cut off ${cut}`);
    else if (!reachable && (box.right > innerWidth + 1 || box.left < -1)) found.add(`"${words}" leaves the window`);
  };

  for (const element of all) {
    if (["STYLE", "SCRIPT", "OPTION", "TITLE"].includes(element.tagName)) continue;
    const texts = [...element.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE && node.textContent.trim());
    if (!texts.length || !element.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
    const range = document.createRange();
    for (const node of texts) {
      range.selectNodeContents(node);
      const box = range.getBoundingClientRect();
      if (box.right > 0 && box.left < innerWidth && box.width >= 1) judge(element, box, node.textContent.trim().slice(0, 60));
    }
  }
  for (const e of document.querySelectorAll("input[role=combobox]")) {
    const folded = e.closest('[data-testid="stSidebar"][data-collapsed="true"]');
    if (!folded && e.checkVisibility() && e.scrollWidth > e.clientWidth + 1) found.add(`the choice "${e.value}" is cut off`);
  }
  for (const e of [document.scrollingElement, ...all]) {
    const page = e === document.scrollingElement;
    const wide = e.clientWidth > innerWidth / 2 && !e.closest(".stDataFrame");
    if (e.scrollWidth > e.clientWidth + 1 && (page || (wide && /auto|scroll/.test(getComputedStyle(e).overflowX)))) {
      found.add(`${name(e)} scrolls sideways: ${e.scrollWidth} > ${e.clientWidth}`);
    }
  }
  return [...found];
}

// The worklist: a thumbnail a radiograph, what nobody has read first. A click, or Enter, opens one.

export default function ({ parentElement, data, setTriggerValue }) {
  const list = parentElement.querySelector(".list");
  const focused = list.contains(parentElement.activeElement ?? parentElement.getRootNode().activeElement);
  // Rows stay as long as they say the same: to make them anew has the browser decode and style every one again.
  const kept = new Map([...list.children].map((item) => [item.dataset.key, item]));
  const items = data.rows.map(({ open, ...row }) => {
    const said = JSON.stringify(row);
    let item = kept.get(row.key);
    if (item?.said !== said) item = Object.assign(made(row), { said });
    if (item.getAttribute("aria-selected") !== `${open}`) item.setAttribute("aria-selected", open);
    item.tabIndex = open ? 0 : -1;
    item.onclick = () => setTriggerValue("picked", row.key);
    return item;
  });
  if (items.length !== list.children.length || items.some((item, at) => item !== list.children[at])) {
    list.replaceChildren(...items);
  }
  list.onkeydown = (event) => {
    const place = items.indexOf(event.target.closest(".row"));
    const to = { ArrowDown: place + 1, ArrowUp: place - 1, Home: 0, End: items.length - 1 }[event.key];
    if (to === undefined || !items[to]) return;
    event.preventDefault();
    event.stopPropagation();
    for (const item of items) item.tabIndex = item === items[to] ? 0 : -1;
    items[to].focus();
  };
  const open = list.querySelector('[aria-selected="true"]');
  // Within the list alone: the page itself must not move.
  const above = open ? open.offsetTop - list.scrollTop : 0;
  // A row that is seen stays where it is: the next press must not fall on another.
  const seen = above >= 0 && above + (open?.clientHeight ?? 0) <= list.clientHeight;
  if (open && !seen) list.scrollTop = Math.max(0, open.offsetTop - list.clientHeight / 2 + open.clientHeight / 2);
  if (focused && open) open.focus({ preventScroll: true });
}

function made(row) {
  const item = make("button", "", `row ${row.kind}`);
  item.type = "button";
  item.dataset.key = row.key;
  item.setAttribute("role", "option");
  item.title = [row.name, row.words].join(": ");
  const film = picture(row.thumbnail, "film", "no image");
  const text = make("span", "", "text");
  const answer = make("span", "", "share");
  const shape = make("i");
  shape.style.cssText = `background:${row.colour};clip-path:${row.shape}`;
  answer.append(shape, make("b", row.share || row.short));
  if (row.caution) {
    const sign = make("em", "⚠\ufe0e");
    sign.ariaHidden = "true"; // the words say it
    answer.append(sign);
  }
  text.append(answer, make("span", row.words, "sr"), named(row.name));
  if (row.reading) text.append(make("span", `✓ ${row.reading}`, "reading"));
  item.append(film, text);
  return item;
}

/** A file's name that breaks before its ending, if it has to. */
function named(name) {
  const line = make("span", "", "name"), ending = name.match(/\.[^.]*$/)?.[0] ?? "";
  line.append(name.slice(0, name.length - ending.length), make("wbr"), ending);
  return line;
}

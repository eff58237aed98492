// A grid of radiographs; a click, or Enter on the focused one, tells the server which.

export default function ({ parentElement, data, setTriggerValue }) {
  const list = parentElement.querySelector(".gallery");
  list.style.setProperty("--tile", `${data.width}px`);
  list.replaceChildren(...data.tiles.map((tile) => {
    const item = make("div", "", "item");
    item.setAttribute("role", "listitem");
    const button = make("button", "", tile.marked ? "marked" : "");
    button.type = "button";
    const text = make("div", "", "text");
    const id = make("div", "", "id");
    id.append(make("span", tile.name), make("span", tile.badge, "badge"));
    text.append(id, make("div", tile.words.replaceAll(" %", "\u00a0%"), "words"));
    button.append(picture(tile.src, "picture", "This file cannot be shown."), text);
    button.onclick = () => setTriggerValue("picked", tile.id);
    item.append(button);
    return item;
  }));
}

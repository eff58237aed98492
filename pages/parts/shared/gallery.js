// A grid of radiographs; a click, or Enter on the focused one, tells the server which.

export default function ({ parentElement, data, setTriggerValue }) {
  const list = parentElement.querySelector(".gallery");
  list.style.setProperty("--tile", `${data.width}px`);
  list.replaceChildren(...data.tiles.map((tile) => {
    const item = make("div", "item");
    item.setAttribute("role", "listitem");
    const button = make("button", tile.marked ? "marked" : "");
    button.type = "button";
    const picture = make("div", "picture");
    if (tile.src) {
      const image = make("img");
      image.src = tile.src;
      image.alt = "";
      picture.append(image);
    } else picture.append(make("span", "", "This file cannot be shown."));
    const text = make("div", "text");
    const id = make("div", "id");
    id.append(make("span", "", tile.name), make("span", "badge", tile.badge));
    text.append(id, make("div", "words", tile.words));
    button.append(picture, text);
    button.onclick = () => setTriggerValue("picked", tile.id);
    item.append(button);
    return item;
  }));
}

function make(tag, name = "", text = "") {
  const element = document.createElement(tag);
  element.className = name;
  element.textContent = text;
  return element;
}

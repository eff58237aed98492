// The radiographs of the open cell, a page at a time, beside the confusion matrix.

/** Draw them; `say` tells the server which film was picked, or which page to turn to. */
export function drawFilms(place, films, say) {
  const list = make("ul");
  list.setAttribute("role", "list");
  list.append(...films.tiles.map((tile) => {
    const item = make("li"), button = make("button");
    button.type = "button";
    button.onclick = () => say("film", tile.id);
    button.append(picture(tile.src, "film", "no image"), make("span", `${tile.id} ${tile.probability}`));
    item.append(button);
    return item;
  }));
  const nav = make("nav");
  nav.setAttribute("aria-label", "Pages of radiographs");
  if (films.pages > 1) {
    const turn = (label, name, by) => {
      const button = make("button", label), to = films.page + by;
      Object.assign(button, { type: "button", disabled: to < 1 || to > films.pages, onclick: () => say("page", to) });
      button.setAttribute("aria-label", name);
      return button;
    };
    nav.append(turn("‹", "Previous page", -1), make("span", `${films.page} of ${films.pages}`), turn("›", "Next page", 1));
  }
  place.replaceChildren(make("h3", films.title), make("p", films.note), list, nav);
}

// What the scripts of several components build their elements with.

/** A new element with a text and a class. */
export function make(tag, words = "", name = "") {
  return Object.assign(document.createElement(tag), { className: name, textContent: words });
}

/** A radiograph in a box of this class; where there is no image, the words say so. */
export function picture(src, name, words) {
  const box = make("span", "", name);
  box.append(src ? Object.assign(make("img"), { src, alt: "" }) : make("span", words));
  return box;
}

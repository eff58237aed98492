// The second half of a double click, and a key that is held, are no second press: by then another control may stand
// there, or the same one may be for something else, such as the next radiograph. Only steps may be pressed that fast.

const ACTS = "[data-testid=stButton], [data-testid=stDownloadButton], [data-testid=stFormSubmitButton]";
const CONTROLS = "button, a, label, summary, [role=button], [role=option]";
const pressed = { at: null, words: "" };

function drop(event) {
  event.preventDefault();
  event.stopImmediatePropagation();
}

function clicked(event) {
  const path = event.composedPath();
  const at = path.find((one) => one.matches?.(CONTROLS)) ?? path[0];
  const words = at.textContent ?? "";
  if (event.detail < 2) {
    if (event.detail) Object.assign(pressed, { at, words });
    return;
  }
  // A button with a shortcut (<kbd>) turns to the next or the previous one.
  const acts = at.closest?.(ACTS) && !at.querySelector("kbd");
  if (acts || at !== pressed.at || words !== pressed.words) drop(event);
}

function held(event) {
  const [at] = event.composedPath();
  if (!event.repeat || !at.matches) return;
  if (event.key === "Enter" ? at.matches("button, summary, input, [role=button]") : event.key === " " && at.matches("button")) drop(event);
}

if (!window.fracturePress) {
  window.fracturePress = true;
  window.addEventListener("click", clicked, true);
  window.addEventListener("keydown", held, true);
}

// The radiograph viewer. Looking happens in the browser alone: no slider or key asks the server anything, and the
// original's pixels are only ever filtered for display. Only "read again" tells the server something.

const DEFAULTS = { view: null, overlay: true, lines: true, boxes: true, polygons: true, smooth: true, opacity: 60 };
const REST = { zoom: 1, x: 0.5, y: 0.5, level: 50, contrast: 50, invert: false, turns: 0, mirrored: false };
// Brightness and contrast, 0 to 100 each.
const PRESETS = { read: [50, 50], bone: [36, 68], soft: [66, 68], contrast: [50, 74] };
// What a reader prefers stays from one radiograph to the next; what was done to one image does not.
const preferences = { ...DEFAULTS, method: null };
// Below this width, in pixels, there is no room for two panes or for tools beside the image.
const NARROW = 470;
const viewers = new WeakMap();

export default function (component) {
  const { parentElement, data, setTriggerValue } = component;
  let viewer = viewers.get(parentElement);
  if (!viewer) viewers.set(parentElement, (viewer = new Viewer(parentElement)));
  viewer.readAgain = (how) => setTriggerValue("read", how);
  viewer.sendVerdict = (verdict) => setTriggerValue("verdict", verdict);
  viewer.show(data);
  return () => {
    viewer.close();
    viewers.delete(parentElement);
  };
}

class Viewer {
  constructor(parent) {
    this.root = parent.querySelector(".viewer");
    this.ports = [...this.root.querySelectorAll(".port")];
    this.stages = [...this.root.querySelectorAll(".stage")];
    this.divider = this.one(".divider");
    this.state = { ...REST };
    this.split = 50;
    this.pointers = new Map();
    this.measuring = new Measuring();
    this.stop = new AbortController();
    this.listen();
    this.resizing = new ResizeObserver(() => this.draw());
    this.resizing.observe(this.root);
    this.answers = new MutationObserver(() => this.match());
    for (const bar of this.root.querySelectorAll("[role=toolbar]")) this.rove(bar, null);
  }

  one(selector) {
    return this.root.querySelector(selector);
  }

  close() {
    this.stop.abort();
    this.resizing.disconnect();
    this.answers.disconnect();
    this.data = null;
    this.match();
  }

  // An answer is seen beside its own film alone: the page may have drawn one of the two and not yet the other.
  match() {
    for (const said of document.querySelectorAll("[data-answer]")) {
      said.style.visibility = !this.data?.answer || said.dataset.answer === this.data.answer ? "" : "hidden";
    }
  }

  // A new radiograph, or the same one with other words.
  show(data) {
    // Another film, or the same one cropped or turned: what was measured or turned on screen does not fit it.
    const fresh = data.id !== this.data?.id || data.original !== this.data.original;
    this.data = data;
    if (fresh) {
      this.state = { ...REST };
      this.measuring.clear();
      // Who draws boxes goes on drawing them on the next film.
      if (this.measuring.tool !== "outline") this.measuring.tool = null;
      this.outlines = null;
      this.reviewed = null;
      // Swiping begins left of what the model marks, so that the mark is seen whole.
      const box = this.layer()?.marks[0]?.box;
      this.split = box ? Math.round(Math.max(5, Math.min(50, (100 * box[0]) / data.width - 8))) : 50;
    }
    for (const image of this.images()) {
      if (image.getAttribute("src") !== data.original) image.src = data.original;
    }
    this.one(".plain img").alt = `Radiograph ${data.name}, the original as read`;
    for (const stage of this.stages) {
      stage.style.width = `${data.width}px`;
      stage.style.height = `${data.height}px`;
    }
    this.one("select").replaceChildren(...data.layers.map((layer) => new Option(layer.title, layer.method)));
    // Without a heatmap there is nothing to lay over, to outline, to fade or to compare with: one pane.
    for (const name of ["[data-toggle=overlay]", "[data-toggle=lines]"]) {
      this.one(name).hidden = !data.layers.length;
    }
    this.one('[aria-label="Arrangement"]').hidden = !data.layers.length && !data.boxes.length && !data.polygons.length;
    this.one(".method").hidden = data.layers.length < 2;
    for (const name of ["boxes", "polygons"]) this.one(`[data-toggle="${name}"]`).hidden = !data[name].length;
    for (const name of ["crop"]) this.one(`[data-tool="${name}"]`).hidden = !data.again;
    this.paths(this.one("svg.boxes"), data.boxes.map((box) => ({ d: boxPath(...box), stroke: "#56b4e9" })));
    this.paths(
      this.one("svg.polygons"), data.polygons.map((points) => ({ d: `M${points.join(" ")}Z`, stroke: "#5fd38d" })));
    this.one(".scale i").style.backgroundImage = `linear-gradient(90deg, ${data.legend.join(",")})`;
    this.drawnLayer = null;
    this.showReview(data.review);
    this.draw();
    this.answers.disconnect();
    const pane = data.answer && document.querySelector(".st-key-answer-pane");
    if (pane) this.answers.observe(pane, { childList: true, subtree: true, attributeFilter: ["data-answer"] });
    this.match();
  }

  images() {
    return this.root.querySelectorAll(".stage > img:not(.heat)");
  }

  layer() {
    const { layers } = this.data;
    return layers.find((layer) => layer.method === preferences.method) ?? layers[0];
  }

  // Unless the reader chose: two panes where both are large enough; on a phone swiping, where there is something to
  // uncover: else the divider would only lie over the film.
  view() {
    if (this.one('[aria-label="Arrangement"]').hidden) return "one";
    if (preferences.view) return preferences.view;
    if (this.root.clientWidth < NARROW || window.matchMedia("(pointer: coarse)").matches) {
      const { contours = [], marks = [] } = this.layer() ?? {};
      return contours.length || marks.length || this.data.boxes.length || this.data.polygons.length ? "swipe" : "one";
    }
    return this.root.clientWidth >= 1000 ? "side" : "one";
  }

  draw() {
    if (!this.data) return;
    this.root.toggleAttribute("data-narrow", this.root.clientWidth < NARROW);
    this.controls();
    this.place();
    this.drawLayers();
    this.drawMeasures();
    this.drawOutlines();
    // Last: a button that has just been hidden or disabled must not be the only one that the Tab key reaches.
    for (const bar of this.root.querySelectorAll("[role=toolbar]")) {
      const stops = this.stops(bar);
      if (!stops.some((control) => control.tabIndex === 0)) this.rove(bar, stops[0]);
    }
  }

  controls() {
    const { state } = this;
    const view = this.view();
    this.root.dataset.view = view;
    for (const button of this.root.querySelectorAll("button[data-view]")) {
      button.setAttribute("aria-checked", button.dataset.view === view);
    }
    for (const button of this.root.querySelectorAll("[data-toggle]")) {
      const on = button.dataset.toggle === "invert" ? state.invert : preferences[button.dataset.toggle];
      button.setAttribute("aria-pressed", on);
    }
    for (const button of this.root.querySelectorAll("[data-tool]")) {
      button.setAttribute("aria-pressed", button.dataset.tool === this.measuring.tool);
    }
    this.one('[data-act="window"]').setAttribute("aria-expanded", !this.one(".panel.window").hidden);
    this.one('.rail [data-act="help"]').setAttribute("aria-expanded", !this.one(".panel.keys").hidden);
    this.one('[data-range="opacity"]').value = preferences.opacity;
    this.one('[data-range="level"]').value = state.level;
    this.one('[data-range="contrast"]').value = state.contrast;
    for (const button of this.root.querySelectorAll("[data-preset]")) {
      const [level, contrast] = PRESETS[button.dataset.preset];
      button.setAttribute("aria-pressed", level === state.level && contrast === state.contrast);
    }
    if (this.layer()) this.one("select").value = this.layer().method;
    this.one(".zoom").textContent = `${state.zoom.toFixed(1)} ×`;
    this.divider.style.left = `${this.split}%`;
    this.divider.setAttribute("aria-valuenow", Math.round(this.split));
    this.offerReading();
  }

  // What "read again" would read: the marked part, and the image as it was turned.
  offerReading() {
    const panel = this.one(".panel.again");
    const { turns, mirrored } = this.state;
    const part = this.measuring.part(this.data.width, this.data.height);
    const cropping = this.measuring.tool === "crop";
    panel.hidden = !this.data.again || !(cropping || turns || mirrored);
    const turned = turns || mirrored ? "as it is turned" : "";
    panel.querySelector(".what").textContent = part
      ? `Part of ${part[2]} × ${part[3]} pixels ${turned}`
      : cropping ? `Drag over the part to assess, or assess what is shown ${turned}` : `Turned on screen only: the model assessed it as it was`;
    panel.querySelector("[data-act=again]").textContent = part
      ? "Assess this part" : cropping ? "Assess what is shown" : "Assess as turned";
  }

  say(words) {
    this.one(".sr").textContent = words;
  }

  toggle(name) {
    const where = name === "invert" ? this.state : preferences;
    where[name] = !where[name];
    this.say(`${name} ${where[name] ? "on" : "off"}`);
    this.draw();
  }

  reset() {
    this.state = { ...REST };
    preferences.opacity = DEFAULTS.opacity;
    this.split = 50;
    this.measuring.clear();
    this.measuring.tool = null;
    this.say("view reset");
    this.draw();
  }

  act(name) {
    if (name === "reset") return this.reset();
    if (name === "fit") Object.assign(this.state, { zoom: 1, x: 0.5, y: 0.5 });
    else if (name === "full") this.fullScreen();
    else if (name === "rotate") this.turn((this.state.turns + 1) % 4, this.state.mirrored);
    else if (name === "flip") this.turn((4 - this.state.turns) % 4, !this.state.mirrored);
    else if (name === "window") this.open(".panel.window");
    else if (name === "help") this.open(".panel.keys");
    else if (name === "again") this.sendReading();
    else if (name === "cancel") this.leaveTool(true);
    else return this.zoom(name === "in" ? 1.25 : 0.8, this.visiblePort());
    this.draw();
  }

  turn(turns, mirrored) {
    Object.assign(this.state, { turns, mirrored, zoom: 1, x: 0.5, y: 0.5 });
    this.say(turns || mirrored ? "turned" : "as read");
  }

  open(selector) {
    const panel = this.one(selector);
    panel.hidden = !panel.hidden;
    for (const other of this.root.querySelectorAll(".panel.window, .panel.keys")) if (other !== panel) other.hidden = true;
    if (panel.hidden) return this.goBack();
    this.cameFrom = this.root.getRootNode().activeElement;
    panel.querySelector("input, button:not([data-preset])").focus({ preventScroll: true });
  }

  // Where the keyboard was before a panel opened.
  goBack() {
    if (this.root.contains(this.cameFrom)) this.cameFrom.focus({ preventScroll: true });
    this.cameFrom = null;
  }

  fullScreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else this.root.requestFullscreen?.().catch(() => this.say("full screen is not allowed here"));
  }

  leaveTool(turnBack = false) {
    this.measuring.choose(this.measuring.tool);
    this.measuring.crop = null;
    if (turnBack) Object.assign(this.state, { turns: 0, mirrored: false });
    const open = [...this.root.querySelectorAll(".panel.window, .panel.keys")].filter((panel) => !panel.hidden);
    for (const panel of open) panel.hidden = true;
    if (open.length) this.goBack();
  }

  sendReading() {
    const { data, measuring, state } = this;
    if (this.asked === data) return; // pressed twice: the answer is on its way
    this.asked = data;
    let crop = measuring.part(data.width, data.height);
    if (!crop && measuring.tool === "crop") {
      const port = this.visiblePort();
      measuring.crop = [this.toImage([0, 0]), this.toImage([port.clientWidth, port.clientHeight])];
      crop = measuring.part(data.width, data.height);
    }
    this.readAgain({ crop, mirrored: state.mirrored, turns: state.turns });
    this.leaveTool();
  }

  // Zoom so that the point under the cursor (pixels from the port's corner) stays where it is.
  zoom(factor, port, at) {
    const { state } = this;
    const lies = this.orientation();
    const before = this.scale;
    const [dx, dy] = at ? [at[0] - port.clientWidth / 2, at[1] - port.clientHeight / 2] : [0, 0];
    state.zoom = Math.min(16, Math.max(1, state.zoom * factor));
    const after = this.fit(port) * state.zoom;
    state.x += (dx / before - dx / after) / lies.across;
    state.y += (dy / before - dy / after) / lies.down;
    this.draw();
  }
}

// The radiograph viewer. Everything here happens in the browser: no slider or key asks the server anything, and the
// original's pixels are only ever filtered for display.

const DEFAULTS = { view: "side", overlay: true, lines: false, boxes: true, polygons: true, opacity: 60 };
const REST = { zoom: 1, x: 0.5, y: 0.5, level: 50, contrast: 50, invert: false };
// What a reader prefers stays from one radiograph to the next; what was done to one picture does not.
const preferences = { ...DEFAULTS, method: null };
const viewers = new WeakMap();

export default function (component) {
  const { parentElement, data } = component;
  let viewer = viewers.get(parentElement);
  if (!viewer) viewers.set(parentElement, (viewer = new Viewer(parentElement)));
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
    this.stop = new AbortController();
    this.listen();
    this.resizing = new ResizeObserver(() => this.draw());
    this.resizing.observe(this.root);
  }

  one(selector) {
    return this.root.querySelector(selector);
  }

  close() {
    this.stop.abort();
    this.resizing.disconnect();
  }

  // A new radiograph, or the same one with other words.
  show(data) {
    const fresh = data.id !== this.data?.id;
    this.data = data;
    if (fresh) this.state = { ...REST };
    for (const image of this.root.querySelectorAll(".stage > img:not(.heat)")) {
      if (image.src !== data.original) image.src = data.original;
    }
    this.one(".plain img").alt = `Radiograph ${data.name}, the original as read`;
    for (const stage of this.stages) {
      stage.style.width = `${data.width}px`;
      stage.style.height = `${data.height}px`;
    }
    const select = this.one("select");
    select.replaceChildren(...data.layers.map((layer) => new Option(layer.title, layer.method)));
    // Without a heatmap there is nothing to lay over, to outline or to fade.
    for (const name of ["[data-toggle=overlay]", "[data-toggle=lines]", ".opacity"]) {
      this.one(name).hidden = !data.layers.length;
    }
    this.one(".method").hidden = data.layers.length < 2;
    for (const name of ["boxes", "polygons"]) this.one(`[data-toggle="${name}"]`).hidden = !data[name].length;
    this.frame(this.one("svg.boxes"), data.boxes.map(([x, y, w, h]) => `M${x} ${y}h${w}v${h}h${-w}z`), ["#56b4e9"]);
    this.frame(this.one("svg.polygons"), data.polygons.map((points) => `M${points.join(" ")}Z`), ["#5fd38d"]);
    this.one(".scale i").style.backgroundImage = `linear-gradient(90deg, ${data.legend.join(",")})`;
    this.draw();
  }

  frame(svg, paths, colours) {
    svg.setAttribute("viewBox", `0 0 ${this.data.width} ${this.data.height}`);
    svg.replaceChildren(...paths.map((d, i) => {
      const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
      path.setAttribute("d", d);
      path.setAttribute("stroke", colours[i % colours.length]);
      return path;
    }));
  }

  layer() {
    const { layers } = this.data;
    return layers.find((layer) => layer.method === preferences.method) ?? layers[0];
  }

  draw() {
    if (!this.data) return;
    this.controls();
    this.place();
    this.drawLayers();
  }

  controls() {
    const { state } = this;
    this.root.dataset.view = preferences.view;
    for (const button of this.root.querySelectorAll("button[data-view]")) {
      button.setAttribute("aria-checked", button.dataset.view === preferences.view);
    }
    for (const button of this.root.querySelectorAll("[data-toggle]")) {
      const on = button.dataset.toggle === "invert" ? state.invert : preferences[button.dataset.toggle];
      button.setAttribute("aria-pressed", on);
    }
    this.one('[data-range="opacity"]').value = preferences.opacity;
    this.one('[data-range="level"]').value = state.level;
    this.one('[data-range="contrast"]').value = state.contrast;
    if (this.layer()) this.one("select").value = this.layer().method;
    this.one(".zoom").textContent = `${state.zoom.toFixed(1)} ×`;
    this.divider.style.left = `${this.split}%`;
    this.divider.setAttribute("aria-valuenow", Math.round(this.split));
  }

  // Zoom and pan, the same in every pane.
  place() {
    const { width, height } = this.data;
    const { state } = this;
    const shown = this.ports.filter((port) => port.offsetParent !== null);
    const room = Math.max(240, Math.min(window.innerHeight * 0.72, 900));
    for (const port of shown) port.style.height = `${Math.min(room, (port.clientWidth * height) / width)}px`;
    const [port] = shown;
    if (!port) return;
    const fit = Math.min(port.clientWidth / width, port.clientHeight / height);
    this.scale = fit * state.zoom;
    for (const [axis, side, pixels] of [["x", port.clientWidth, width], ["y", port.clientHeight, height]]) {
      // The middle of the view keeps to where the picture still fills it.
      const half = Math.min(0.5, side / 2 / (pixels * this.scale));
      state[axis] = Math.min(1 - half, Math.max(half, state[axis]));
    }
    const left = port.clientWidth / 2 - state.x * width * this.scale;
    const top = port.clientHeight / 2 - state.y * height * this.scale;
    for (const stage of this.stages) stage.style.transform = `translate(${left}px, ${top}px) scale(${this.scale})`;
    for (const each of this.ports) each.classList.toggle("zoomed", state.zoom > 1);
    const filter = this.window();
    for (const image of this.root.querySelectorAll(".stage > img:not(.heat)")) {
      image.style.filter = filter;
      // Beyond twice its size the reader wants to see pixels, not a blur.
      image.style.imageRendering = this.scale * window.devicePixelRatio > 3 ? "pixelated" : "auto";
    }
    for (const svg of this.root.querySelectorAll("svg")) svg.style.strokeWidth = `${2 / this.scale}px`;
  }

  // Window [low, high] of grey values 0..1, as CSS: brightness(1 / (low + high)) then contrast((high + low) / (high -
  // low)) maps low to black and high to white exactly, because contrast turns about 1/2.
  window() {
    const { level, contrast, invert } = this.state;
    const width = contrast <= 50 ? 1 : Math.max(0.04, 1 - (contrast - 50) / 50);
    const centre = 1 - level / 100;
    const low = Math.max(0, centre - width / 2);
    const high = Math.min(1, centre + width / 2);
    const soft = contrast < 50 ? ` contrast(${0.3 + (0.7 * contrast) / 50})` : "";
    const slope = `brightness(${1 / (low + high)}) contrast(${(high + low) / (high - low)})`;
    return `${low > 0 || high < 1 ? slope : ""}${soft}${invert ? " invert(1)" : ""}`.trim() || "none";
  }

  drawLayers() {
    const layer = this.layer();
    const on = preferences.overlay && Boolean(layer);
    const heat = this.one(".heat");
    const rings = this.one("svg.rings");
    const swiped = preferences.view === "swipe";
    this.one(".clip").style.clipPath = swiped ? `inset(0 0 0 ${this.split}%)` : "none";
    heat.style.display = on && !preferences.lines ? "block" : "none";
    rings.style.display = on && preferences.lines ? "block" : "none";
    if (layer) {
      if (heat.src !== layer.png) heat.src = layer.png;
      if (this.ringed !== layer) {
        this.frame(rings, layer.contours.map((ring) => ring.path), layer.contours.map((ring) => ring.colour));
        this.ringed = layer;
        rings.style.strokeWidth = `${2 / this.scale}px`;
      }
      heat.style.opacity = rings.style.opacity = preferences.opacity / 100;
    }
    for (const name of ["boxes", "polygons"]) this.one(`svg.${name}`).style.display = preferences[name] ? "block" : "none";
    const shown = on ? `with the evidence for a fracture, ${layer.title}` : "without overlay";
    this.one(".drawn .stage > img").alt = `Radiograph ${this.data.name} ${shown}. ${this.data.words}`;
    this.one(".drawn figcaption").textContent = on ? `${layer.title}. ${layer.sentence}` : "Overlay off";
    this.one(".words").textContent = layer ? this.data.meaning : this.data.withheld;
    this.one(".scale").hidden = !layer;
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
    this.say("view reset");
    this.draw();
  }

  // Zoom so that the point under the cursor (pixels from the port's corner) stays where it is.
  zoom(factor, port, at) {
    const { state, data } = this;
    const before = this.scale;
    const middle = [port.clientWidth / 2, port.clientHeight / 2];
    const [dx, dy] = at ? [at[0] - middle[0], at[1] - middle[1]] : [0, 0];
    state.zoom = Math.min(16, Math.max(1, state.zoom * factor));
    const after = this.fit(port) * state.zoom;
    state.x += (dx / before - dx / after) / data.width;
    state.y += (dy / before - dy / after) / data.height;
    this.draw();
  }

  fit(port) {
    return Math.min(port.clientWidth / this.data.width, port.clientHeight / this.data.height);
  }

  visiblePort() {
    return this.ports.find((port) => port.offsetParent !== null);
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.data) return;
    const target = event.composedPath()[0];
    const typing = target.closest?.("input:not([type=range]), textarea, select, [contenteditable=true]");
    if (typing) return;
    const toggles = { o: "overlay", l: "lines", i: "invert", b: "boxes", p: "polygons" };
    const key = event.key.toLowerCase();
    if (toggles[key]) this.toggle(toggles[key]);
    else if (key === "0") this.reset();
    else if (key === "+" || key === "=") this.zoom(1.25, this.visiblePort());
    else if (key === "-") this.zoom(0.8, this.visiblePort());
  }

  listen() {
    const options = { signal: this.stop.signal };
    document.addEventListener("keydown", (event) => this.key(event), options);
    this.root.addEventListener("keydown", (event) => {
      // Arrow keys that move one of our own sliders must not turn to the next radiograph as well.
      const own = event.target.closest("input, select, [role=radio], .divider");
      if (own && event.key.startsWith("Arrow")) event.stopPropagation();
    }, options);
    this.root.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      if (button.dataset.view) {
        preferences.view = button.dataset.view;
        this.draw();
      } else if (button.dataset.toggle) this.toggle(button.dataset.toggle);
      else if (button.dataset.act === "reset") this.reset();
      else this.zoom(button.dataset.act === "in" ? 1.25 : 0.8, this.visiblePort());
    }, options);
    this.root.addEventListener("input", (event) => {
      const { range } = event.target.dataset;
      if (range === "method" || range === "opacity") preferences[range] = event.target.value;
      else this.state[range] = Number(event.target.value);
      this.draw();
    }, options);
    this.divider.addEventListener("pointerdown", (event) => {
      event.stopPropagation();
      this.divider.setPointerCapture(event.pointerId);
    }, options);
    this.divider.addEventListener("pointermove", (event) => {
      if (!this.divider.hasPointerCapture(event.pointerId)) return;
      const box = this.divider.parentElement.getBoundingClientRect();
      this.divide((100 * (event.clientX - box.left)) / box.width);
    }, options);
    this.divider.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -2, ArrowRight: 2 }[event.key];
      if (step) this.divide(this.split + step);
    }, options);
    for (const port of this.ports) this.listenTo(port, options);
  }

  divide(percent) {
    this.split = Math.min(100, Math.max(0, percent));
    this.draw();
  }

  listenTo(port, options) {
    const at = (event) => {
      const box = port.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    port.addEventListener("wheel", (event) => {
      // Unzoomed, a plain wheel scrolls the page past the picture; with Ctrl, or once zoomed in, it zooms.
      if (!event.ctrlKey && this.state.zoom === 1) return;
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY / 400), port, at(event));
    }, { ...options, passive: false });
    port.addEventListener("dblclick", (event) => this.zoom(this.state.zoom > 1 ? 1 / 16 : 2.5, port, at(event)), options);
    port.addEventListener("contextmenu", (event) => event.preventDefault(), options);
    port.addEventListener("pointerdown", (event) => {
      this.pointers.set(event.pointerId, event);
      port.setPointerCapture(event.pointerId);
      port.classList.add("held");
    }, options);
    const release = (event) => {
      this.pointers.delete(event.pointerId);
      port.classList.remove("held");
    };
    port.addEventListener("pointerup", release, options);
    port.addEventListener("pointercancel", release, options);
    port.addEventListener("pointermove", (event) => this.drag(event, port), options);
    port.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (!step || !event.shiftKey) return;
      event.preventDefault();
      event.stopPropagation();
      this.state.x += (0.1 * step[0]) / this.state.zoom;
      this.state.y += (0.1 * step[1]) / this.state.zoom;
      this.draw();
    }, options);
  }

  // One pointer pans; the right button, or Shift, changes the window as reading stations do; two pointers pinch.
  drag(event, port) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const [dx, dy] = [event.clientX - before.clientX, event.clientY - before.clientY];
    if (this.pointers.size === 2) {
      const other = [...this.pointers.values()].find((p) => p.pointerId !== event.pointerId);
      const apart = (p) => Math.hypot(p.clientX - other.clientX, p.clientY - other.clientY) || 1;
      this.zoom(apart(event) / apart(before), port);
    } else if (event.buttons === 2 || event.shiftKey) {
      this.state.contrast = Math.min(100, Math.max(0, this.state.contrast + dx / 4));
      this.state.level = Math.min(100, Math.max(0, this.state.level - dy / 4));
    } else {
      this.state.x -= dx / this.scale / this.data.width;
      this.state.y -= dy / this.scale / this.data.height;
    }
    this.pointers.set(event.pointerId, event);
    this.draw();
  }
}

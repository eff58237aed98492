// What mouse, fingers and keys do to the radiograph viewer.

const TOGGLES = { o: "overlay", l: "lines", i: "invert", b: "boxes", p: "polygons", s: "smooth" };
const ACTS = { 0: "reset", "+": "in", "=": "in", "-": "out", f: "full", z: "fit", r: "rotate", h: "flip", w: "window", "?": "help" };
const TOOLS = { m: "ruler", a: "angle", c: "crop" };

Object.assign(Viewer.prototype, {
  key(event) {
    if (!this.data) return;
    const target = event.composedPath()[0];
    const typing = target.closest?.("input:not([type=range]):not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable=true]");
    if (typing || this.reviewKey(event) || event.ctrlKey || event.metaKey || event.altKey) return;
    const key = event.key.toLowerCase();
    const preset = Object.keys(PRESETS)["1234".indexOf(key)];
    // A key held down repeats: it may zoom on, but not switch to and fro, or take away more than one measurement.
    if (event.repeat && !["in", "out"].includes(ACTS[key])) return;
    if (TOGGLES[key]) this.toggle(TOGGLES[key]);
    else if (ACTS[key]) this.act(ACTS[key]);
    else if (TOOLS[key] && !this.one(`[data-tool="${TOOLS[key]}"]`).hidden) this.pick(TOOLS[key]);
    else if (key.length === 1 && preset) this.preset(preset);
    else if (key === "delete" || key === "backspace") {
      this.measuring.undo();
      this.draw();
    } else if (key === "escape") {
      this.leaveTool();
      this.draw();
    }
  },

  pick(tool) {
    this.measuring.choose(tool);
    this.say(this.measuring.tool ? `${tool} on` : `${tool} off`);
    this.draw();
  },

  preset(name) {
    [this.state.level, this.state.contrast] = PRESETS[name];
    this.say(`window: ${name}`);
    this.draw();
  },

  listen() {
    const options = { signal: this.stop.signal };
    document.addEventListener("keydown", (event) => this.key(event), options);
    document.addEventListener("fullscreenchange", () => this.draw(), options);
    this.root.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && event.target.matches(".comment")) this.visiblePort()?.focus();
      const bar = event.target.closest("[role=toolbar]");
      if (bar) this.walk(event, bar);
      // Arrow keys that move one of our own controls must not turn to the next radiograph as well.
      const own = event.target.closest("input, select, [role=toolbar], .divider");
      if (own && event.key.startsWith("Arrow")) event.stopPropagation();
    }, options);
    this.root.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      const { view, toggle, act, tool, preset, verdict, outline } = button.dataset;
      const bar = button.closest("[role=toolbar]");
      if (bar) this.rove(bar, button);
      if (view) {
        preferences.view = view;
        this.draw();
      } else if (toggle) this.toggle(toggle);
      else if (tool) this.pick(tool);
      else if (preset) this.preset(preset);
      else if (verdict) {
        if (event.detail < 2) this.give(verdict); // the second half of a double click must not speak for the next film
      }
      else if (outline) this.outline(outline);
      else this.act(act);
    }, options);
    this.root.addEventListener("input", (event) => {
      const { range } = event.target.dataset;
      if (event.target.matches(".comment")) return this.keepDraft();
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
  },

  // One stop for Tab in each toolbar; the arrow keys, Home and End move along it.
  stops(bar) {
    const all = [...bar.querySelectorAll("button, select, input")];
    return all.filter((control) => control.offsetParent !== null && !control.disabled);
  },

  rove(bar, chosen) {
    const all = [...bar.querySelectorAll("button, select, input")];
    chosen ??= all.find((control) => !control.disabled);
    for (const control of all) control.tabIndex = control === chosen ? 0 : -1;
  },

  walk(event, bar) {
    const stops = this.stops(bar);
    const place = stops.indexOf(event.target);
    const upright = event.target.matches("select, input");
    const step = { ArrowRight: 1, ArrowDown: upright ? 0 : 1, ArrowLeft: -1, ArrowUp: upright ? 0 : -1 }[event.key];
    const ends = { Home: 0, End: stops.length - 1 }[event.key];
    if (place < 0 || (event.target.matches("input") && step) || (!step && ends === undefined)) return;
    event.preventDefault();
    const next = stops[ends ?? (place + step + stops.length) % stops.length];
    this.rove(bar, next);
    next.focus();
  },

  divide(percent) {
    this.split = Math.min(100, Math.max(0, percent));
    this.draw();
  },

  listenTo(port, options) {
    const at = (event) => {
      const box = port.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    port.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY / 400), port, at(event));
    }, { ...options, passive: false });
    port.addEventListener("dblclick", (event) => {
      if (!this.measuring.tool) this.zoom(this.state.zoom > 1 ? 1 / 16 : 2.5, port, at(event));
    }, options);
    port.addEventListener("contextmenu", (event) => event.preventDefault(), options);
    port.addEventListener("pointerdown", (event) => {
      this.pointers.set(event.pointerId, event);
      port.setPointerCapture(event.pointerId);
      if (this.outlinePointer("down", event, at(event))) return;
      if (this.measuring.tool && this.measuring.tool !== "outline" && event.button === 0) this.measuring.down(this.toImage(at(event)));
      else port.classList.add("held");
      this.draw();
    }, options);
    const release = (event) => {
      const drawn = this.outlinePointer("up", event, at(event));
      this.pointers.delete(event.pointerId);
      port.classList.remove("held");
      if (drawn) return;
      if (this.measuring.tool && event.button === 0) this.measuring.up();
      this.draw();
    };
    port.addEventListener("pointerup", release, options);
    port.addEventListener("pointercancel", release, options);
    port.addEventListener("pointermove", (event) => {
      const held = this.pointers.has(event.pointerId);
      if (this.outlinePointer("move", event, at(event))) return;
      const pinched = this.measuring.tool === "outline" && this.pointers.size > 1;
      if (!this.measuring.tool || event.buttons === 2 || pinched) this.drag(event, port);
      else if (this.measuring.move(this.toImage(at(event)), held)) this.draw();
    }, options);
    port.addEventListener("keydown", (event) => {
      if (this.outlineKey(event)) return;
      const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (!step || !event.shiftKey) return;
      event.preventDefault();
      event.stopPropagation();
      this.state.x += (0.1 * step[0]) / this.state.zoom;
      this.state.y += (0.1 * step[1]) / this.state.zoom;
      this.draw();
    }, options);
  },

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
      const lies = this.orientation();
      this.state.x -= dx / this.scale / lies.across;
      this.state.y -= dy / this.scale / lies.down;
    }
    this.pointers.set(event.pointerId, event);
    this.draw();
  },
});

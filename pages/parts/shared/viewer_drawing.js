// How the viewer draws: where the film lies on the screen, its brightness, and what is drawn over it.

Object.assign(Viewer.prototype, {
  // Shapes are in pixels of the image, or of a smaller map over it whose [width, height] is `size`.
  paths(svg, shapes, size = [this.data.width, this.data.height]) {
    svg.setAttribute("viewBox", `0 0 ${size[0]} ${size[1]}`);
    svg.setAttribute("preserveAspectRatio", "none");
    const shrunk = size[0] / this.data.width;
    svg.replaceChildren(...shapes.map((shape) => {
      const path = document.createElementNS(SVG, "path");
      path.setAttribute("d", shape.d);
      // A hair is one pixel of the screen, however large the image is drawn.
      path.style.cssText = `stroke:${shape.stroke};stroke-width:calc(${shrunk * (shape.width ?? 2)} * var(--hair));`
        + (shape.dashes ? `stroke-dasharray:${shape.dashes.map((n) => `calc(${n} * var(--hair))`).join(" ")}` : "");
      return path;
    }));
  },

  orientation() {
    return new Orientation(this.data.width, this.data.height, this.state.turns, this.state.mirrored);
  },

  // Zoom and pan, the same in every pane.
  place() {
    const { state } = this;
    const lies = this.orientation();
    const port = this.visiblePort();
    if (!port || !port.clientWidth) return;
    this.scale = this.fit(port) * state.zoom;
    for (const [axis, side, pixels] of [["x", port.clientWidth, lies.across], ["y", port.clientHeight, lies.down]]) {
      // The middle of the view keeps to where the image still fills it.
      const half = Math.min(0.5, side / 2 / (pixels * this.scale));
      state[axis] = Math.min(1 - half, Math.max(half, state[axis]));
    }
    this.left = port.clientWidth / 2 - state.x * lies.across * this.scale;
    this.top = port.clientHeight / 2 - state.y * lies.down * this.scale;
    const matrix = lies.css(this.scale, this.left, this.top);
    for (const stage of this.stages) {
      stage.style.transform = matrix;
      stage.style.setProperty("--hair", `${1 / this.scale}px`);
    }
    for (const each of this.ports) {
      each.classList.toggle("zoomed", state.zoom > 1);
      each.classList.toggle("tool", Boolean(this.measuring.tool));
    }
    const filter = this.window();
    for (const image of this.images()) {
      image.style.filter = filter;
      image.style.imageRendering = preferences.smooth ? "auto" : "pixelated";
    }
  },

  // A point on the screen (pixels from a port's corner) in the image's pixels, and back.
  toImage([x, y]) {
    return this.orientation().back([(x - this.left) / this.scale, (y - this.top) / this.scale]);
  },

  toScreen(point) {
    const [x, y] = this.orientation().forward(point);
    return [x * this.scale + this.left, y * this.scale + this.top];
  },

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
  },

  drawLayers() {
    const layer = this.layer();
    const on = preferences.overlay && Boolean(layer);
    const heat = this.one(".heat");
    const rings = this.one("svg.rings");
    const marks = this.one("svg.marks");
    this.one(".clip").style.clipPath = this.root.dataset.view === "swipe" ? `inset(0 0 0 ${this.split}%)` : "none";
    heat.style.display = on && !preferences.lines ? "block" : "none";
    rings.style.display = on && preferences.lines ? "block" : "none";
    marks.style.display = on ? "block" : "none";
    this.one(".opacity").hidden = !layer || preferences.lines;
    if (layer && this.drawnLayer !== layer) {
      this.drawnLayer = layer;
      heat.src = layer.png;
      this.paths(rings, layer.contours.map(({ path, colour }) => ({ d: path, stroke: colour, width: 1.5 })),
        layer.size);
      this.paths(marks, layer.marks.map(({ box, dotted }) => (
        { d: boxPath(...box), stroke: "#ffb000", dashes: dotted && [2, 4] })));
    }
    if (layer) heat.style.opacity = preferences.opacity / 100;
    const seen = this.root.dataset.view === "swipe" ? (this.split / 100) * (this.visiblePort()?.clientWidth ?? 0) : 0;
    const words = (on ? layer.marks : [])
      .map(({ box, label }) => ({ at: this.above(box), words: label, kind: "peak" }))
      .filter(({ at }) => at[0] >= seen - 4);
    this.label(this.one(".labels.model"), words);
    for (const name of ["boxes", "polygons"]) this.one(`svg.${name}`).style.display = preferences[name] ? "block" : "none";
    const shown = on ? `with the evidence for a fracture, ${layer.title}` : "without overlay";
    this.one(".drawn .stage > img").alt = `Radiograph ${this.data.name} ${shown}. ${this.data.words}`;
    const nothing = layer && !layer.contours.length && !layer.marks.length ? "No area is marked, which does not mean that the film is normal. " : "";
    const caption = on ? `${nothing}${layer.title}: ${layer.sentence} ${this.data.meaning}` : "Overlay off.";
    const legend = this.one(".legend");
    if (on) legend.style.minHeight = "";
    this.one(".words").textContent = layer ? caption : this.data.withheld;
    this.one(".scale").hidden = !on || Boolean(nothing); // a scale of colours that are nowhere says nothing
    // The place stays when the overlay goes: the film must not move between the two looks at it.
    if (on) legend.style.minHeight = `${legend.offsetHeight}px`;
  },

  // Where the label of a box stands: above its upper edge as it lies on the screen, below it where there is no room.
  above([x, y, w, h]) {
    const corners = [[x, y], [x + w, y], [x, y + h], [x + w, y + h]].map((corner) => this.toScreen(corner));
    const left = Math.min(...corners.map((corner) => corner[0]));
    const top = Math.min(...corners.map((corner) => corner[1]));
    return [left, top > 22 ? top - 20 : Math.max(...corners.map((corner) => corner[1])) + 3];
  },

  label(layer, labels) {
    const { clientWidth: room = 0, clientHeight: high = 0 } = this.visiblePort() ?? {};
    layer.replaceChildren(...labels.filter(({ words }) => words).map(({ at, words, kind }) => {
      const span = document.createElement("span");
      span.className = kind;
      span.textContent = words;
      const left = Math.max(2, Math.min(at[0], room - 8 * words.length));
      span.style.transform = `translate(${left}px, ${Math.max(2, Math.min(at[1], high - 20))}px)`;
      return span;
    }));
  },

  drawMeasures() {
    const { shapes, crop } = this.measuring;
    const drawn = shapes.map(({ points }) => ({ d: `M${points.map((p) => p.join(" ")).join("L")}`, stroke: "#7fe3ff" }));
    if (crop) {
      const [[ax, ay], [bx, by]] = crop;
      drawn.push({ d: boxPath(ax, ay, bx - ax, by - ay), stroke: "#ffffff", dashes: [6, 4] });
    }
    for (const svg of this.root.querySelectorAll("svg.measures")) {
      this.paths(svg, drawn);
    }
    const labels = shapes.map((shape) => {
      const [x, y] = this.toScreen(shape.points[shape.kind === "angle" ? 1 : shape.points.length - 1]);
      return { at: [x + 8, y + 6], words: measureWords(shape, this.data), kind: "measure" };
    });
    for (const layer of this.root.querySelectorAll(".labels:not(.model)")) this.label(layer, labels);
  },

  fit(port) {
    const lies = this.orientation();
    return Math.min(port.clientWidth / lies.across, port.clientHeight / lies.down);
  },

  visiblePort() {
    return this.ports.find((port) => port.offsetParent !== null);
  },
});

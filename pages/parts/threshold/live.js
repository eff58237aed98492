// Slider, confusion matrix, metrics and curves that move together under the finger; the server hears on release.

const ROWS = [["TP", "FN"], ["FP", "TN"]];
const BOLD = '<b style="font-size:1.3em">';
const CURVES = ["roc", "precision-recall", "histogram"];

export default function (component) {
  const root = component.parentElement.querySelector(".live");
  root.live ??= new Live(root);
  root.live.take(component);
}

class Live {
  constructor(root) {
    this.root = root;
    this.range = root.querySelector("input");
    this.range.addEventListener("input", () => this.preview(midway(this.model, sigmoid(+this.range.value))));
    this.range.addEventListener("pointerdown", () => { this.dragging = this.range; });
    this.range.addEventListener("pointerup", () => { this.dragging = null; });
    this.range.addEventListener("change", () => this.release({ threshold: this.threshold }));
    this.range.addEventListener("keydown", (event) => this.key(event));
    this.range.addEventListener("blur", () => this.soon && this.keyed()); // what is pressed next is for this threshold
    for (const row of ROWS) for (const cell of row) {
      const button = make("button");
      button.type = "button";
      button.className = `cell-${cell}`;
      // What is wanted, not a change: what is sent twice is the same.
      button.onclick = () => this.say("cell", this.data.cell === cell ? "none" : cell);
      root.querySelector(".live-cells").append(button);
    }
    for (const kind of CURVES) this.listen(kind, this.plot(kind));
    new ResizeObserver(() => this.ready && this.resize()).observe(root);
  }

  /** What the server says now. Its metrics stand until the next move. */
  async take({ data, setTriggerValue }) {
    Object.assign(this, { data, say: setTriggerValue });
    const scores = await scoresOf(data.scores), Plotly = await plotly(data.plotly);
    if (this.data !== data) return; // overtaken by a later message
    this.root.dataset.locked = data.locked;
    this.range.disabled = data.locked;
    if (this.scores !== scores || this.ink !== this.colour()) {
      Object.assign(this, { scores, Plotly, model: prepare(scores), ink: this.colour() });
      await this.draw();
    }
    this.ticks();
    this.films();
    if (!this.dragging && !this.soon) this.preview(data.threshold);
    this.root.setAttribute("aria-busy", "false");
  }

  key(event) {
    const step = { ArrowLeft: 1, ArrowDown: 1, ArrowRight: -1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: Infinity, End: -Infinity }[event.key];
    if (step === undefined || this.data.locked) return;
    event.preventDefault();
    const { thresholds } = this.model, last = thresholds.length - 1;
    const next = Math.min(Math.max(placeOf(this.model, this.threshold) + step, 0), last);
    this.preview(Math.min(thresholds[next], 1));
    clearTimeout(this.soon); // several presses in a row are one move
    this.soon = setTimeout(() => this.keyed(), 250);
  }

  keyed() {
    clearTimeout(this.soon);
    this.soon = null;
    this.release({ threshold: this.threshold });
  }

  /** A press on a plot sets the threshold there; with a mouse, the point follows until the button is let go. */
  listen(kind, plot) {
    const move = (event) => {
      const found = this.at(kind, plot, event);
      if (found) this.preview(found.threshold);
      return found;
    };
    plot.addEventListener("pointerdown", (event) => {
      if (this.data?.locked || event.button || !event.target.closest(".nsewdrag")) return;
      this.dragging = plot;
      if (event.pointerType === "mouse") plot.setPointerCapture(event.pointerId);
      move(event);
    }, true);
    plot.addEventListener("pointermove", (event) => {
      if (this.dragging === plot && event.pointerType === "mouse") move(event);
    });
    plot.addEventListener("pointerup", (event) => {
      if (this.dragging !== plot) return;
      this.dragging = null;
      const found = move(event);
      if (found) this.release(found);
    });
    plot.addEventListener("pointercancel", () => { this.dragging = null; this.preview(this.data.threshold); });
  }

  at(kind, plot, event) {
    const { xaxis, yaxis } = plot._fullLayout, box = plot.querySelector(".nsewdrag").getBoundingClientRect();
    const px = event.clientX - box.left, py = event.clientY - box.top;
    if (kind === "histogram") return { threshold: Math.min(Math.max(xaxis.p2l(px), 0), 1) };
    const near = (p) => Math.hypot(xaxis.l2p(p.x) - px, yaxis.l2p(p.y) - py);
    const points = this.scores.points.map((point) => {
      const [x, y] = place(count(this.model, point.threshold), kind);
      return { point: point.name, threshold: point.threshold, x, y };
    });
    const [closest] = points.sort((a, b) => near(a) - near(b));
    if (closest && near(closest) < 9) return closest;
    return { threshold: nearestOnCurve(this.model, kind, clamp(xaxis.p2l(px)), clamp(yaxis.p2l(py))) };
  }

  release({ threshold, point }) {
    if (!this.data.locked) this.say("moved", { threshold, point: point ?? "" });
  }

  /** Show a threshold; at most once a frame, however fast the finger. */
  preview(threshold) {
    this.threshold = threshold;
    this.frame ??= requestAnimationFrame(() => { this.frame = null; this.show(); });
  }

  show() {
    const { threshold, model, data, root } = this, cells = count(model, threshold);
    this.range.value = logit(threshold, +this.range.min, +this.range.max);
    set(root.querySelector("output"), threshold.toFixed(3));
    this.range.setAttribute("aria-valuetext", `${threshold.toFixed(3)}, sensitivity ${text(metrics(cells).sensitivity)}`);
    this.metrics(cells, threshold === data.threshold);
    this.numbers(cells);
    const marks = { histogram: [threshold, 0] };
    for (const kind of ["roc", "precision-recall"]) marks[kind] = place(cells, kind);
    for (const [kind, [x, y]] of Object.entries(marks)) this.slide(kind, x, y);
    root.dataset.counts = ROWS.flat().map((cell) => `${cell} ${cells[cell]}`).join(", ");
    // A whole redraw by plotly takes longer than a frame: colours follow some times a second, the rest at the end.
    if (performance.now() - (this.heated ?? 0) > 150) this.heat(cells);
    clearTimeout(this.later);
    this.later = setTimeout(() => this.settle(cells, marks), 120);
  }

  /** Move the mark that plotly has drawn, without plotly. */
  slide(kind, x, y) {
    const plot = this.plot(kind), { xaxis, yaxis } = plot._fullLayout, from = this.drawn[kind];
    const mark = plot.querySelector('.shapelayer path[data-index="0"]');
    if (!mark) return;
    mark.style.display = Number.isNaN(x + y) ? "none" : "";
    if (Number.isNaN(x + y)) return;
    const down = kind === "histogram" ? 0 : yaxis.l2p(y) - yaxis.l2p(from[1]);
    mark.setAttribute("transform", `translate(${xaxis.l2p(x) - xaxis.l2p(from[0])} ${down})`);
  }

  /** Let plotly draw what stands now, so that a PNG or a new size shows the same. */
  settle(cells, marks) {
    for (const [kind, [x, y]] of Object.entries(marks)) {
      const shown = !Number.isNaN(x + y), [a, b] = shown ? [x, y] : [0, 0];
      this.drawn[kind] = [a, b];
      this.Plotly.relayout(this.plot(kind), kind === "histogram"
        ? { "shapes[0].x0": a, "shapes[0].x1": a }
        : { "shapes[0].xanchor": a, "shapes[0].yanchor": b, "shapes[0].visible": shown });
    }
    this.heat(cells);
    const notes = this.notes(cells).map((lines, at) => [`annotations[${at}].text`, BOLD + lines.join("<br>").replace("<br>", "</b><br>")]);
    this.Plotly.relayout(this.plot("matrix"), Object.fromEntries(notes));
  }

  /** The lines of each text on the matrix: cells, totals of rows, totals of columns. */
  notes(cells) {
    const { words } = this.scores, sum = (...of) => of.reduce((all, cell) => all + cells[cell], 0);
    const inside = ROWS.flatMap((row) => row.map((cell) => [`${cells[cell]}`, ...words[cell].split(/ (.*)/, 2), percent(cells[cell], sum(...row))]));
    return [...inside, [`${sum("TP", "FN")}`], [`${sum("FP", "TN")}`], [`${sum("TP", "FP")}`], [`${sum("FN", "TN")}`]];
  }

  numbers(cells) {
    const plot = this.plot("matrix"), cellsInOrder = ROWS.flat();
    this.notes(cells).forEach((lines, at) => {
      const drawn = plot.querySelectorAll(`.annotation[data-index="${at}"] tspan.line`);
      const first = (drawn[0] ?? plot.querySelector(`.annotation[data-index="${at}"] text`))?.querySelector("tspan") ?? drawn[0];
      if (first) set(first, lines[0]);
      if (drawn.length === lines.length && lines.length > 1) set(drawn[lines.length - 1], lines.at(-1));
      if (at > 3) return;
      const button = this.root.querySelector(`.cell-${cellsInOrder[at]}`);
      button.setAttribute("aria-label", `${lines[0]} ${lines.slice(1, -1).join(" ")}, ${lines.at(-1)}: show radiographs`);
      button.setAttribute("aria-pressed", this.data.cell === cellsInOrder[at]);
    });
  }

  heat({ TP, FN, FP, TN }) {
    const share = (part, whole) => (whole ? part / whole : null);
    this.heated = performance.now();
    this.Plotly.restyle(this.plot("matrix"), { z: [
      [[share(TP, TP + FN), null], [share(FP, FP + TN), share(TN, FP + TN)]],
      [[null, share(FN, TP + FN)], [null, null]],
    ] });
    this.numbers({ TP, FN, FP, TN }); // plotly has drawn the layout's own texts again, those of an earlier threshold
  }

  metrics(cells, settled) {
    const found = metrics(cells), { rows, columns } = this.data.table;
    const [head, body] = this.root.querySelectorAll("thead, tbody");
    if (body.children.length !== rows.length) {
      head.replaceChildren(line("th", columns));
      body.replaceChildren(...rows.map((row) => line("td", [row.name, "", ""], row.meaning)));
    }
    rows.forEach((row, at) => {
      const [, value, interval] = body.children[at].children;
      set(value, settled ? row.value : text(found[row.key]));
      set(interval, settled ? row.interval : "…");
    });
  }

  ticks() {
    const at = (threshold) => (logit(threshold, +this.range.min, +this.range.max) - this.range.min) / (this.range.max - this.range.min);
    drawTicks(this.root.querySelector(".live-ticks"), this.scores.points, at, this.data.locked, (point) => {
      this.preview(point.threshold);
      this.release({ threshold: point.threshold, point: point.name });
    });
  }

  films() {
    const films = JSON.stringify(this.data.films);
    if (this.shown !== films) drawFilms(this.root.querySelector(".live-films"), this.data.films, (event, value) => this.say(event, value));
    this.shown = films;
  }

  async draw() {
    const { scores, range, model } = this, { figures, titles } = scores;
    const all = [...model.fractured, ...model.others].filter((p) => p > 0 && p < 1);
    [range.min, range.max] = [Math.min(...all, 0.01), Math.max(...all, 0.99)].map((p, end) => Math.log(p / (1 - p)) + (end ? 0.5 : -0.5));
    this.root.querySelectorAll(".live-curve").forEach((section, at) => {
      [section.querySelector("h3").textContent, section.querySelector("p").textContent] = titles[at];
    });
    for (const kind of ["matrix", ...CURVES]) {
      const { data, layout } = structuredClone(figures[kind]);
      const paper = getComputedStyle(this.root).getPropertyValue("--st-background-color"); // of a PNG; clear on the page
      const clear = { paper_bgcolor: paper, plot_bgcolor: "rgba(0,0,0,0)", autosize: true };
      layout.font = { ...layout.font, color: this.ink, family: getComputedStyle(this.root).fontFamily, size: 12 };
      const config = { ...this.data.config };
      config.toImageButtonOptions = { ...config.toImageButtonOptions, filename: `${kind}-${this.data.scores}` };
      await this.Plotly.react(this.plot(kind), data, { ...layout, ...clear }, config);
    }
    this.drawn = { roc: [0, 0], "precision-recall": [0, 0], histogram: [0, 0] };
    this.ready = true;
    this.width = this.root.clientWidth;
    this.layout();
  }

  /** Fit the plots to a new width first: the buttons lie where plotly has drawn the cells. */
  async resize() {
    const width = this.root.clientWidth;
    if (width !== this.width) {
      this.width = width;
      this.ticks(); // at once: drawing the plots anew takes a while, and a label must not stick out meanwhile
      await Promise.allSettled(["matrix", ...CURVES].map((kind) => this.Plotly.Plots.resize(this.plot(kind))));
      if (width !== this.width) return; // overtaken by the next change
      this.show();
    }
    this.layout();
  }

  /** Lay the four buttons over the cells. */
  layout() {
    const plot = this.plot("matrix"), { xaxis, yaxis } = plot._fullLayout;
    ROWS.forEach((row, y) => row.forEach((cell, x) => {
      const style = this.root.querySelector(`.cell-${cell}`).style;
      const [left, right] = [xaxis.l2p(x - 0.48), xaxis.l2p(x + 0.48)], [top, bottom] = [yaxis.l2p(y - 0.48), yaxis.l2p(y + 0.48)];
      Object.assign(style, { left: `${xaxis._offset + left}px`, top: `${yaxis._offset + top}px`, width: `${right - left}px`, height: `${bottom - top}px` });
    }));
    this.ticks();
  }

  plot(kind) {
    return this.root.querySelector(`[data-plot="${kind}"]`);
  }

  colour() {
    return getComputedStyle(this.root).color;
  }
}

function line(tag, words, meaning = "") {
  const row = document.createElement("tr");
  row.append(...words.map((word, at) => make(at ? tag : "th", word)));
  row.firstChild.scope = tag === "th" ? "col" : "row";
  if (meaning) row.firstChild.append(make("small", meaning));
  return row;
}

function set(element, words) {
  if (element.textContent !== words) element.textContent = words;
}

const clamp = (x) => Math.min(Math.max(x, 0), 1);
const sigmoid = (x) => 1 / (1 + Math.exp(-x));
const logit = (p, low, high) => (p <= 0 ? low : p >= 1 ? high : Math.min(Math.max(Math.log(p / (1 - p)), low), high));
const text = (value) => (Number.isNaN(value) ? "undefined" : value.toFixed(3));
const percent = (part, whole) => (whole ? `${((100 * part) / whole).toFixed(1)} %` : "–");

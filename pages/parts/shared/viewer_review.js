// A reader's verdict in the viewer: boxes around fractures, a word of comment, and one key a verdict. Nothing of it is
// there unless the page sends `review`; the server hears of it only when a verdict is given.

const VERDICT_KEYS = { y: "fracture", n: "no fracture", u: "cannot tell" };
// What was drawn and not yet given, by film and round, for as long as the page is open.
const drafts = new Map();

// The boxes of one film, [x, y, width, height] in its own pixels, with what undoes each change.
class Outlines {
  constructor(width, height, boxes) {
    Object.assign(this, { width, height, boxes: boxes.map((box) => [...box]), history: [], chosen: -1, change: null });
  }

  copy() {
    return this.boxes.map((box) => [...box]);
  }

  get rounded() {
    return this.boxes.map((box) => box.map((value) => Math.round(value * 10) / 10));
  }

  inside([x, y]) {
    return [Math.max(0, Math.min(this.width, x)), Math.max(0, Math.min(this.height, y))];
  }

  corners([x, y, w, h]) {
    return [[x, y], [x + w, y], [x, y + h], [x + w, y + h]];
  }

  // Begin at a corner of the chosen box, in a box, or on free ground; `reach` is what counts as near, in pixels.
  press(at, reach) {
    const start = this.inside(at);
    this.before = this.copy();
    const near = ([x, y]) => Math.hypot(x - start[0], y - start[1]) <= reach;
    const corner = this.chosen < 0 ? -1 : this.corners(this.boxes[this.chosen]).findIndex(near);
    if (corner >= 0) {
      const fixed = this.corners(this.boxes[this.chosen])[3 - corner];
      this.change = (now) => this.between(fixed, now);
      return;
    }
    const hit = ([x, y, w, h]) => start[0] >= x && start[0] <= x + w && start[1] >= y && start[1] <= y + h;
    const number = this.boxes.findLastIndex(hit);
    if (number >= 0) {
      this.chosen = number;
      const [x, y] = this.boxes[number];
      this.change = (now) => this.put(x + now[0] - start[0], y + now[1] - start[1]);
    } else {
      this.chosen = this.boxes.push([...start, 0, 0]) - 1;
      this.change = (now) => this.between(start, now);
    }
  }

  move(at) {
    if (this.change) this.change(this.inside(at));
    return Boolean(this.change);
  }

  // `least` is the smallest side that counts as a box: a click draws none.
  release(least) {
    if (!this.change) return;
    this.change = null;
    const box = this.boxes[this.chosen];
    if (box[2] < least || box[3] < least) {
      this.boxes = this.before;
      this.chosen = -1;
    } else if (JSON.stringify(this.before) !== JSON.stringify(this.boxes)) this.history.push(this.before);
  }

  between([ax, ay], [bx, by]) {
    this.boxes[this.chosen] = [Math.min(ax, bx), Math.min(ay, by), Math.abs(ax - bx), Math.abs(ay - by)];
  }

  put(x, y) {
    const [, , w, h] = this.boxes[this.chosen];
    this.boxes[this.chosen] = [
      Math.max(0, Math.min(this.width - w, x)), Math.max(0, Math.min(this.height - h, y)), w, h];
  }

  // An arrow key: the box moves, or with Shift its right or lower side does.
  step([dx, dy], resize) {
    this.history.push(this.copy());
    const by = Math.max(1, Math.round(Math.max(this.width, this.height) / 200));
    const [x, y, w, h] = this.boxes[this.chosen];
    if (!resize) return this.put(x + dx * by, y + dy * by);
    const far = this.inside([x + w + dx * by, y + h + dy * by]);
    this.boxes[this.chosen] = [x, y, Math.max(4, far[0] - x), Math.max(4, far[1] - y)];
  }

  add(at) {
    this.history.push(this.copy());
    const side = Math.max(8, Math.round(Math.min(this.width, this.height) / 6));
    this.chosen = this.boxes.push([0, 0, side, side]) - 1;
    this.put(at[0] - side / 2, at[1] - side / 2);
  }

  remove() {
    if (this.chosen < 0) return;
    this.history.push(this.copy());
    this.boxes.splice(this.chosen, 1);
    this.chosen = -1;
  }

  undo() {
    if (this.history.length) this.boxes = this.history.pop();
    this.chosen = -1;
  }
}

Object.assign(Viewer.prototype, {
  // What the page sends of the reader's verdict so far; null where reviewing is off.
  showReview(review) {
    const bar = this.one(".verdict");
    bar.hidden = !review;
    if (!review) {
      if (this.measuring.tool === "outline") this.measuring.tool = null;
      this.outlines = null;
      return;
    }
    const name = `${review.film} ${review.round}`;
    // A verdict that could not be kept may be given again.
    if (this.reviewed !== name || review.failed !== this.review?.failed) this.sent = false;
    this.review = review;
    if (this.reviewed !== name) {
      this.reviewed = name;
      // A verdict is on what is seen: none is taken before the film is there.
      delete this.root.dataset.review;
      Promise.all([...this.images()].map((image) => image.decode())).then(() => {
        if (this.reviewed === name) this.root.dataset.review = name;
      }, () => {});
      const kept = drafts.get(name);
      this.outlines = new Outlines(this.data.width, this.data.height, kept?.boxes ?? review.boxes);
      this.one(".comment").value = kept?.comment ?? review.comment;
    }
    this.outlines ??= new Outlines(this.data.width, this.data.height, review.boxes);
    for (const button of bar.querySelectorAll("[data-verdict]")) {
      button.setAttribute("aria-pressed", button.dataset.verdict === review.given);
      button.disabled = !review.reader;
    }
    this.one(".comment").hidden = !review.reader;
    this.one(".verdict .who").textContent = review.reader ? "" : "Enter your name to give verdicts.";
  },

  give(verdict) {
    if (!this.outlines || this.sent || !this.review.reader || !this.root.dataset.review) return;
    this.sent = true;
    const boxes = verdict === "fracture" ? this.outlines.rounded : [];
    const { film, round, failed } = this.review;
    this.sendVerdict({ film, round, failed, verdict, boxes, comment: this.one(".comment").value });
  },

  keepDraft() {
    if (this.outlines) drafts.set(this.reviewed, { boxes: this.outlines.copy(), comment: this.one(".comment").value });
  },

  drawOutlines() {
    const { outlines } = this;
    for (const svg of this.root.querySelectorAll("svg.outlines")) {
      const shapes = (outlines?.boxes ?? []).map((box, number) => (
        { d: boxPath(...box), stroke: "#ff7ad9", width: number === outlines.chosen ? 3 : 2 }));
      this.paths(svg, shapes);
      if (!outlines || outlines.chosen < 0 || this.measuring.tool !== "outline") continue;
      const reach = 5 / this.scale;
      for (const [x, y] of outlines.corners(outlines.boxes[outlines.chosen])) {
        const handle = document.createElementNS(SVG, "path");
        handle.setAttribute("d", boxPath(x - reach, y - reach, 2 * reach, 2 * reach));
        handle.style.cssText = "fill:#ff7ad9;stroke:#000;stroke-width:var(--hair)";
        svg.append(handle);
      }
    }
    this.root.dataset.outlines = JSON.stringify(outlines?.rounded ?? []);
    for (const name of ["undo", "remove"]) {
      const none = !outlines || (name === "undo" ? !outlines.history.length : outlines.chosen < 0);
      const button = this.one(`[data-outline="${name}"]`);
      button.disabled = none;
      // Hidden on a phone alone, where they stand below the film: elsewhere it would jump with the first box.
      button.hidden = this.root.hasAttribute("data-narrow") && !outlines?.boxes.length && !outlines?.history.length;
    }
  },

  outline(act) {
    this.outlines?.[act]();
    this.keepDraft();
    this.draw();
  },

  // The pointer while boxes are drawn; false where it is for something else.
  outlinePointer(kind, event, at) {
    if (this.measuring.tool !== "outline" || !this.outlines || event.buttons === 2 || this.pointers.size > 1) {
      if (this.outlines?.change) this.outlines.release(Infinity); // a second finger: it was a pinch
      return false;
    }
    const point = this.toImage(at);
    if (kind === "down" && event.button === 0) this.outlines.press(point, (event.pointerType === "touch" ? 22 : 10) / this.scale);
    else if (kind === "move") this.outlines.move(point);
    else if (kind === "up") {
      this.outlines.release(6 / this.scale);
      this.keepDraft();
    }
    this.draw();
    return true;
  },

  // Keys of reviewing; true where one was used.
  reviewKey(event) {
    if (!this.outlines) return false;
    const key = event.key.toLowerCase();
    if ((event.ctrlKey || event.metaKey) && key === "z") {
      event.preventDefault();
      if (!event.repeat) this.outline("undo"); // nothing brings back what a held key would undo
      return true;
    }
    if (event.ctrlKey || event.metaKey || event.altKey) return false;
    if (VERDICT_KEYS[key]) {
      if (!event.repeat) this.give(VERDICT_KEYS[key]); // a key held down must not speak for the next film
    } else if (key === "d") {
      if (!event.repeat) this.pick("outline");
    } else if ((key === "delete" || key === "backspace") && this.outlines.chosen >= 0) this.outline("remove");
    else return false;
    event.preventDefault();
    return true;
  },

  // Keys on the image while boxes are drawn: they must not turn to the next radiograph, or leave the image.
  outlineKey(event) {
    const { outlines } = this;
    if (!outlines || this.measuring.tool !== "outline") return false;
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    const next = outlines.chosen + (event.shiftKey ? -1 : 1);
    if (step && outlines.chosen >= 0) outlines.step(step, event.shiftKey);
    else if (event.key === "Tab" && next >= 0 && next < outlines.boxes.length) outlines.chosen = next;
    else if (event.key === "Enter") {
      const port = this.visiblePort();
      outlines.add(this.toImage([port.clientWidth / 2, port.clientHeight / 2]));
    } else return false;
    event.preventDefault();
    event.stopPropagation();
    this.keepDraft();
    this.draw();
    return true;
  },
});

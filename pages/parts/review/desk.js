// One film: boxes are drawn, moved, resized and deleted; a verdict goes to the server with them.

const desks = new WeakMap();

export default function ({ parentElement, data, setTriggerValue }) {
  let desk = desks.get(parentElement);
  if (!desk) {
    desk = new Desk(parentElement);
    desks.set(parentElement, desk);
  }
  desk.send = (verdict) => setTriggerValue("verdict", verdict);
  desk.show(data);
  return () => desk.close();
}

class Desk {
  constructor(root) {
    this.root = root;
    this.film = root.querySelector(".film");
    this.image = root.querySelector("img");
    this.svg = root.querySelector("svg");
    this.comment = root.querySelector(".comment");
    this.film.addEventListener("pointerdown", (event) => this.press(event));
    this.film.addEventListener("keydown", (event) => this.move(event));
    for (const button of root.querySelectorAll("button[data-verdict]")) {
      // The second half of a double click must not speak for the next film.
      button.onclick = (event) => { if (event.detail < 2) this.give(button.dataset.verdict); };
    }
    root.querySelector("[data-do=undo]").onclick = () => this.undo();
    root.querySelector("[data-do=remove]").onclick = () => this.remove();
    this.key = (event) => this.shortcut(event);
    this.resized = new ResizeObserver(() => this.place());
  }

  show(data) {
    document.addEventListener("keydown", this.key);
    this.resized.observe(this.film);
    if (this.data?.id === data.id && this.data.round === data.round) return;
    this.data = data;
    this.sent = false;
    this.boxes = data.boxes.map((box) => [...box]);
    this.history = [];
    this.chosen = -1;
    this.comment.value = data.comment;
    this.image.src = data.src;
    // A verdict is on what is seen: none is taken before the film is there.
    delete this.film.dataset.film;
    this.image.decode().then(() => {
      if (this.data === data) this.film.dataset.film = `${data.id} ${data.round}`;
    }, () => {});
    this.image.onload = () => this.place();
    this.svg.setAttribute("viewBox", `0 0 ${data.width} ${data.height}`);
    for (const button of this.root.querySelectorAll("button[data-verdict]"))
      button.classList.toggle("given", button.dataset.verdict === data.given);
    this.place();
    this.draw();
  }

  close() {
    document.removeEventListener("keydown", this.key);
    this.resized.disconnect();
  }

  // The drawing lies exactly on the film, whose sides the frame decides.
  place() {
    const { clientWidth: w, clientHeight: h } = this.film;
    if (!this.data || !w || !h) return;
    const scale = Math.min(w / this.data.width, h / this.data.height);
    const [width, height] = [this.data.width * scale, this.data.height * scale];
    for (const element of [this.image, this.svg]) Object.assign(element.style, { width: `${width}px`, height: `${height}px` });
    Object.assign(this.svg.style, { left: `${(w - width) / 2}px`, top: `${(h - height) / 2}px` });
    this.scale = scale;
    this.draw();
  }

  draw() {
    const reach = 6 / (this.scale || 1);
    const made = [];
    this.boxes.forEach(([x, y, width, height], number) => {
      const box = shape("rect", { x, y, width, height, class: number === this.chosen ? "box chosen" : "box" });
      box.dataset.box = number;
      made.push(box);
      if (number !== this.chosen) return;
      [[x, y], [x + width, y], [x, y + height], [x + width, y + height]].forEach(([cx, cy], corner) => {
        const handle = shape("rect", { x: cx - reach, y: cy - reach, width: 2 * reach, height: 2 * reach, class: `corner c${corner}` });
        handle.dataset.corner = corner;
        made.push(handle);
      });
    });
    this.svg.replaceChildren(...made);
    this.film.dataset.boxes = JSON.stringify(this.rounded());
  }

  point(event) {
    const frame = this.svg.getBoundingClientRect();
    const clamp = (value, most) => Math.max(0, Math.min(most, value));
    return [
      clamp(((event.clientX - frame.left) / frame.width) * this.data.width, this.data.width),
      clamp(((event.clientY - frame.top) / frame.height) * this.data.height, this.data.height),
    ];
  }

  press(event) {
    if (event.button) return;
    this.film.focus({ preventScroll: true });
    event.preventDefault();
    const start = this.point(event);
    const target = event.target.dataset ?? {};
    const before = this.boxes.map((box) => [...box]);
    let change;
    if (target.corner !== undefined) {
      const [x, y, w, h] = this.boxes[this.chosen];
      const fixed = [target.corner % 2 ? x : x + w, target.corner >= 2 ? y : y + h];
      change = (now) => this.between(this.chosen, fixed, now);
    } else if (target.box !== undefined) {
      this.chosen = Number(target.box);
      const [x, y, w, h] = this.boxes[this.chosen];
      change = (now) => this.put(this.chosen, x + now[0] - start[0], y + now[1] - start[1], w, h);
    } else {
      this.chosen = this.boxes.length;
      this.boxes.push([...start, 0, 0]);
      change = (now) => this.between(this.chosen, start, now);
    }
    this.draw();
    const moved = (next) => { change(this.point(next)); this.draw(); };
    const done = () => {
      window.removeEventListener("pointermove", moved);
      window.removeEventListener("pointerup", done);
      window.removeEventListener("pointercancel", done);
      const box = this.boxes[this.chosen];
      // A click that draws nothing chooses nothing.
      if (box && (box[2] < 4 || box[3] < 4)) { this.boxes = before; this.chosen = -1; }
      if (JSON.stringify(before) !== JSON.stringify(this.boxes)) this.history.push(before);
      this.draw();
    };
    window.addEventListener("pointermove", moved);
    window.addEventListener("pointerup", done);
    window.addEventListener("pointercancel", done);
  }

  between(number, [ax, ay], [bx, by]) {
    this.boxes[number] = [Math.min(ax, bx), Math.min(ay, by), Math.abs(ax - bx), Math.abs(ay - by)];
  }

  put(number, x, y, w, h) {
    const inside = (value, size, most) => Math.max(0, Math.min(most - size, value));
    this.boxes[number] = [inside(x, w, this.data.width), inside(y, h, this.data.height), w, h];
  }

  move(event) {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (event.key === "Tab" && this.boxes.length && !(this.chosen === this.boxes.length - 1 && !event.shiftKey)) {
      const next = this.chosen + (event.shiftKey ? -1 : 1);
      if (next < 0) return;
      this.chosen = next;
      event.preventDefault();
      this.draw();
    } else if (step && this.chosen >= 0) {
      event.preventDefault();
      event.stopPropagation();
      this.history.push(this.boxes.map((box) => [...box]));
      const by = Math.max(1, Math.round(Math.max(this.data.width, this.data.height) / 200));
      const [x, y, w, h] = this.boxes[this.chosen];
      if (event.shiftKey) {
        const far = [Math.min(this.data.width, x + w + step[0] * by), Math.min(this.data.height, y + h + step[1] * by)];
        this.boxes[this.chosen] = [x, y, Math.max(4, far[0] - x), Math.max(4, far[1] - y)];
      } else this.put(this.chosen, x + step[0] * by, y + step[1] * by, w, h);
      this.draw();
    } else if (event.key === "Delete" || event.key === "Backspace") {
      event.preventDefault();
      this.remove();
    }
  }

  shortcut(event) {
    const typing = event.composedPath().some((one) => one.matches?.("input, textarea, select, [contenteditable=true]"));
    if (typing || event.altKey) return;
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z") {
      event.preventDefault();
      if (!event.repeat) this.undo(); // nothing brings back what a held key would undo
      return;
    }
    if (event.ctrlKey || event.metaKey) return;
    const keys = { y: "fracture", n: "no fracture", u: "cannot tell", 1: "fracture", 2: "no fracture", 3: "cannot tell" };
    const verdict = keys[event.key.toLowerCase()];
    if (!verdict) return;
    event.preventDefault();
    if (!event.repeat) this.give(verdict); // a key held down must not speak for the next film
  }

  undo() {
    if (!this.history.length) return;
    this.boxes = this.history.pop();
    this.chosen = -1;
    this.draw();
  }

  remove() {
    if (this.chosen < 0) return;
    this.history.push(this.boxes.map((box) => [...box]));
    this.boxes.splice(this.chosen, 1);
    this.chosen = -1;
    this.draw();
  }

  rounded() {
    return (this.boxes ?? []).map((box) => box.map((value) => Math.round(value * 10) / 10));
  }

  give(verdict) {
    if (this.sent || !this.data || !this.film.dataset.film) return;
    this.sent = true;
    const boxes = verdict === "fracture" ? this.rounded() : [];
    this.send({ id: this.data.id, round: this.data.round, verdict, boxes, comment: this.comment.value });
  }
}

function shape(tag, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

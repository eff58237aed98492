// Geometry and measuring of the radiograph viewer. Points are [x, y] in the image's own pixels, y downwards.

const SVG = "http://www.w3.org/2000/svg";

// How an image lies on the screen: mirrored left to right first, then turned clockwise by quarter turns.
class Orientation {
  constructor(width, height, turns = 0, mirrored = false) {
    Object.assign(this, { width, height, turns: ((turns % 4) + 4) % 4, mirrored });
    [this.across, this.down] = this.turns % 2 ? [height, width] : [width, height];
  }

  // Image pixels to pixels of the image as it lies.
  forward([x, y]) {
    if (this.mirrored) x = this.width - x;
    return [[x, y], [this.height - y, x], [this.width - x, this.height - y], [y, this.width - x]][this.turns];
  }

  back([x, y]) {
    let [u, v] = [[x, y], [y, this.height - x], [this.width - x, this.height - y], [this.width - y, x]][this.turns];
    if (this.mirrored) u = this.width - u;
    return [u, v];
  }

  // The same with scale and offset, as a CSS matrix.
  css(scale, left, top) {
    const [e, f] = this.forward([0, 0]);
    const [ax, ay] = this.forward([1, 0]);
    const [bx, by] = this.forward([0, 1]);
    const parts = [ax - e, ay - f, bx - e, by - f, e, f].map((value) => value * scale);
    return `matrix(${parts[0]}, ${parts[1]}, ${parts[2]}, ${parts[3]}, ${parts[4] + left}, ${parts[5] + top})`;
  }
}

function boxPath(x, y, w, h) {
  return `M${x} ${y}h${w}v${h}h${-w}z`;
}

// Rulers, angles and the part to read again; `spacing` is millimetres a pixel, [across, down], or null.
class Measuring {
  constructor() {
    this.tool = null;
    this.clear();
  }

  clear() {
    this.done = [];
    this.points = [];
    this.crop = null;
  }

  choose(tool) {
    this.tool = this.tool === tool ? null : tool;
    this.points = [];
    if (this.tool !== "crop") this.crop = null;
  }

  down(point) {
    if (this.tool === "angle" && this.points.length === 3) {
      this.points[2] = point;
      this.done.push({ kind: "angle", points: this.points });
      this.points = [];
    } else if (this.tool === "angle" && this.points.length) this.points = [this.points[0], point, point];
    else this.points = [point, point];
  }

  move(point, held) {
    if (!this.points.length || (!held && this.tool !== "angle")) return false;
    this.points[this.points.length - 1] = point;
    if (this.tool === "crop") this.crop = [...this.points];
    return true;
  }

  up() {
    if (!this.points.length || this.tool === "angle") return;
    const [[ax, ay], [bx, by]] = this.points;
    if (this.tool === "ruler" && Math.hypot(bx - ax, by - ay) > 1) this.done.push({ kind: "ruler", points: this.points });
    this.points = [];
  }

  undo() {
    if (this.points.length) this.points = [];
    else this.done.pop();
  }

  get shapes() {
    const open = this.points.length && this.tool !== "crop" ? [{ kind: this.tool, points: this.points }] : [];
    return [...this.done, ...open];
  }

  // [x, y, width, height] of the part to read again, whole pixels inside the image; null where none is marked.
  part(width, height) {
    if (!this.crop) return null;
    const [[ax, ay], [bx, by]] = this.crop;
    const left = Math.max(0, Math.round(Math.min(ax, bx)));
    const top = Math.max(0, Math.round(Math.min(ay, by)));
    const right = Math.min(width, Math.round(Math.max(ax, bx)));
    const bottom = Math.min(height, Math.round(Math.max(ay, by)));
    return right - left >= 32 && bottom - top >= 32 ? [left, top, right - left, bottom - top] : null;
  }
}

// Millimetres where the file has a pixel spacing; those of a detector are a little more than the bone's own.
function measureWords({ kind, points }, { spacing, atDetector }) {
  if (kind === "ruler") {
    const [[ax, ay], [bx, by]] = points;
    if (!spacing) return `${Math.hypot(bx - ax, by - ay).toFixed(0)} px`;
    return `${Math.hypot((bx - ax) * spacing[0], (by - ay) * spacing[1]).toFixed(1)} mm${atDetector ? " at the detector" : ""}`;
  }
  if (points.length < 3) return "";
  const [sx, sy] = spacing ?? [1, 1];
  const arm = (p) => Math.atan2((p[1] - points[1][1]) * sy, (p[0] - points[1][0]) * sx);
  const turn = Math.abs(arm(points[0]) - arm(points[2])) * (180 / Math.PI);
  return `${(turn > 180 ? 360 - turn : turn).toFixed(0)}°`;
}

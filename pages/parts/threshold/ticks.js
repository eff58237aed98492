// The named operating points under the slider.

/** Draw a button for each point; `at` gives a threshold's place along the slider, 0 to 1. */
function drawTicks(place, points, at, locked, choose) {
  place.replaceChildren(...[...points].sort((a, b) => a.threshold - b.threshold).map((point) => {
    const button = make("button", `${point.title} ${point.threshold.toFixed(3)}`);
    button.type = "button";
    button.title = point.help;
    button.disabled = locked;
    button.style.left = `${100 * at(point.threshold)}%`;
    button.onclick = () => choose(point);
    return button;
  }));
  arrange(place);
}

/** A label near an end moves inwards, its mark stays; labels that would cover each other go one row lower. */
function arrange(place) {
  const ends = [], heights = [], rows = [], room = place.getBoundingClientRect();
  for (const button of place.children) {
    const middle = button.getBoundingClientRect(), left = room.left - middle.left, right = room.right - middle.right;
    button.style.setProperty("--shift", `${left > 0 ? left : Math.min(right, 0)}px`);
    const box = button.getBoundingClientRect(), row = ends.findIndex((end) => end < box.left - 2);
    const free = row < 0 ? ends.length : row;
    [ends[free], heights[free]] = [box.right, Math.max(heights[free] ?? 0, box.height + 2)];
    rows.push([button, free]);
  }
  const above = (row) => heights.slice(0, row).reduce((sum, height) => sum + height, 0);
  for (const [button, row] of rows) button.style.top = `${above(row)}px`;
  place.style.height = `${above(heights.length) + 3}px`;
}

// What live.js waits for: the scores of a split, and plotly.

/** The scores of a split, as the other component has put them on the page. */
function scoresOf(key) {
  const kept = (window.fractureScores ??= new Map());
  if (kept.has(key)) return kept.get(key);
  return new Promise((resolve) => {
    const listen = () => kept.has(key) && (removeEventListener("fracture-scores", listen), resolve(kept.get(key)));
    addEventListener("fracture-scores", listen);
  });
}

/** plotly.js from the Python package, loaded once for the whole visit. */
function plotly(address) {
  return (window.fracturePlotly ??= new Promise((resolve, reject) => {
    const script = Object.assign(document.createElement("script"), { src: address, onerror: reject });
    script.onload = () => resolve(window.Plotly);
    document.head.append(script);
  }));
}

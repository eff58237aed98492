// The confusion matrix of a split at any threshold, counted in the browser while the slider is dragged.
// The server counts again on release; both must agree to the last radiograph.

/** Sort the scores of both classes once. */
export function prepare({ fractured, others, thresholds }) {
  const sorted = (scores) => Float64Array.from(scores).sort();
  return { fractured: sorted(fractured), others: sorted(others), thresholds: Float64Array.from(thresholds) };
}

/** How many of the ascending scores are at or above the threshold. */
export function atOrAbove(scores, threshold) {
  let low = 0, high = scores.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (scores[middle] >= threshold) high = middle;
    else low = middle + 1;
  }
  return scores.length - low;
}

/** Count the four cells; a radiograph is flagged when its score is at or above the threshold. */
export function count(model, threshold) {
  const TP = atOrAbove(model.fractured, threshold), FP = atOrAbove(model.others, threshold);
  return { TN: model.others.length - FP, FP, FN: model.fractured.length - TP, TP };
}

/** Every metric of a confusion matrix; NaN where it is undefined. */
export function metrics({ TN, FP, FN, TP }) {
  const positives = TP + FN, negatives = TN + FP, flagged = TP + FP, n = positives + negatives;
  const sensitivity = ratio(TP, positives), specificity = ratio(TN, negatives);
  return {
    sensitivity,
    specificity,
    ppv: ratio(TP, flagged),
    npv: ratio(TN, TN + FN),
    accuracy: ratio(TP + TN, n),
    balanced_accuracy: (sensitivity + specificity) / 2,
    f1: ratio(2 * TP, 2 * TP + FP + FN),
    mcc: ratio(TP * TN - FP * FN, Math.sqrt(flagged * (n - flagged) * positives * negatives)),
  };
}

/** Place among `model.thresholds` (falling; the k-th flags the k highest distinct scores) that flags the same ones. */
export function placeOf(model, threshold) {
  const { thresholds } = model, flagged = atOrAbove(model.fractured, threshold) + atOrAbove(model.others, threshold);
  let low = 0, high = thresholds.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1, there = thresholds[middle];
    if (atOrAbove(model.fractured, there) + atOrAbove(model.others, there) >= flagged) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** The threshold that flags the same radiographs and lies midway between two scores, so that rounding moves none. */
export function midway(model, threshold) {
  return Math.min(model.thresholds[placeOf(model, threshold)], 1);
}

/** The threshold of the curve's point that is nearest on the plot; x and y from 0 to 1. */
export function nearestOnCurve(model, kind, x, y) {
  let best = Infinity, found = model.thresholds[0];
  for (const threshold of model.thresholds) {
    const [a, b] = place(count(model, threshold), kind), distance = (a - x) ** 2 + (b - y) ** 2;
    if (distance < best) [best, found] = [distance, threshold];
  }
  return Math.min(found, 1);
}

/** Where a confusion matrix stands on the ROC or the precision-recall plot. */
export function place({ TN, FP, FN, TP }, kind) {
  const sensitivity = ratio(TP, TP + FN);
  return kind === "roc" ? [ratio(FP, TN + FP), sensitivity] : [sensitivity, ratio(TP, TP + FP)];
}

function ratio(part, whole) {
  return whole ? part / whole : NaN;
}

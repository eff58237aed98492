"""What the browser counts while the slider is dragged is what the server counts, to the last radiograph."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fracture_core.evaluation.predictions import Predictions
from fracture_core.reporting.threshold_live import live_scores, live_table

MODULE = Path(__file__).parents[2] / "pages" / "parts" / "threshold" / "counts.js"
_ASK = """
import { readFileSync } from "node:fs";
const asked = JSON.parse(readFileSync(0, "utf-8")), model = prepare(asked.scores);
console.log(JSON.stringify(asked.at.map((t) => {
  const cells = count(model, t), middle = midway(model, t);
  const words = Object.fromEntries(Object.entries(metrics(cells)).map(([key, value]) => [key, String(value)]));
  return { cells, words, middle, same: count(model, middle), place: placeOf(model, t) };
})));
"""


def in_node(scores: dict, thresholds: list[float]) -> list[dict]:
    node = shutil.which("node")
    if node is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("needs Node.js to run the page's own module")
    program = MODULE.read_text("utf-8") + _ASK
    asked = json.dumps({"scores": scores, "at": thresholds})
    done = subprocess.run(
        [node, "--input-type=module", "--eval", program], input=asked, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def random_split(seed: int, n: int) -> Predictions:
    """Scores with many ties, some at exactly 0 and 1."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    scores = rng.choice([rng.random(n), np.round(rng.random(n), 1)], axis=0)
    table = pd.DataFrame({"image_id": [f"i{i}" for i in range(n)], "label": labels, "probability": scores})
    return Predictions("val", table.assign(logit=0.0))


@pytest.mark.parametrize(("seed", "n"), [(0, 817), (1, 401), (2, 30), (3, 10_000)])
def test_browser_and_server_count_the_same(seed, n):
    split = random_split(seed, n)
    scores = {key: live_scores(split, [])[key] for key in ("fractured", "others", "thresholds")}
    rng = np.random.default_rng(seed)
    own = split.probabilities[: min(n, 60)]
    thresholds = [0.0, 1.0, *own, *np.nextafter(own, 0), *rng.random(60)]
    for threshold, found in zip(thresholds, in_node(scores, [float(t) for t in thresholds]), strict=True):
        matrix = split.confusion(threshold)
        cells = {"TN": matrix.tn, "FP": matrix.fp, "FN": matrix.fn, "TP": matrix.tp}
        assert found["cells"] == cells
        for row in live_table(matrix)["rows"]:
            expected = getattr(matrix, row["key"])
            shown = float(found["words"][row["key"]])
            assert math.isnan(shown) if math.isnan(expected) else shown == pytest.approx(expected, abs=1e-12)
        # Where the slider comes to rest flags the same radiographs, unless one has a probability of exactly 1.
        if threshold <= split.probabilities.max() < 1:
            assert found["same"] == cells
            assert split.confusion(found["middle"]) == matrix


def test_keyboard_steps_go_from_one_distinct_score_to_the_next():
    split = random_split(5, 200)
    scores = {key: live_scores(split, [])[key] for key in ("fractured", "others", "thresholds")}
    distinct = np.unique(split.probabilities)
    assert len(scores["thresholds"]) == len(distinct) + 1
    places = [found["place"] for found in in_node(scores, [float(t) for t in distinct])]
    assert places == list(range(len(distinct), 0, -1))

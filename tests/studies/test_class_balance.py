"""The comparison of answers to class imbalance: equal starts, finished runs left alone, figures from the networks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fracture_core.imaging.letterbox import letterbox
from fracture_core.imaging.radiograph import read_radiograph
from fracture_core.inference.engine import Engine
from fracture_core.metrics.curves import roc_auc
from fracture_core.network.graph import Graph
from fracture_core.network.model import build_model
from fracture_core.network.weights import load_weights, save_weights, weights_of
from fracture_core.training.run_folder import RunFolder
from studies.class_balance import ANSWERS, page, prepare, run
from tests.support.training import SMALL, miniature, tiny_network


@pytest.mark.slow
def test_runs_differ_in_the_answer_alone_and_are_not_run_again(tmp_path: Path) -> None:
    base = SMALL.replace(fast_path=True, trainable_blocks=0, epochs=1, views=1, augmentation=type(SMALL.augmentation)())
    with tiny_network(tmp_path):
        dataset = miniature(tmp_path / "FracAtlas", 48)
        save_weights(tmp_path / "start.safetensors", weights_of(build_model(base)))
        comparison = prepare(str(tmp_path / "start.safetensors"), base, tmp_path / "runs")
        answers, seeds = ["none", "focal loss"], [0, 1]
        run(comparison, dataset, answers, seeds)
    folders = [comparison.result(a, s).parent for a in answers for s in seeds]
    recipes = [RunFolder(folder).recipe() for folder in folders]
    assert {r.replace(name="x", seed=0, loss="cross_entropy") for r in recipes} == {recipes[0].replace(name="x")}
    assert [r.loss for r in recipes] == ["cross_entropy", "cross_entropy", "focal", "focal"]
    # The trunk is the start's own in every run, and no head came with it.
    start = load_weights(tmp_path / "start.safetensors")
    for folder in folders:
        made = load_weights(folder / "weights.safetensors")
        np.testing.assert_array_equal(made["conv1_conv/kernel"], start["conv1_conv/kernel"])
        left = json.loads((folder / "run.json").read_text())["start"]["left_random"]
        assert set(left) == {k for k in start if k.startswith(("global_logit/", "local_logit/", "cells"))}
    _check_figures(folders[0], dataset)
    text = page(comparison, answers, seeds, "the command")
    rows = [line for line in text.splitlines() if line.startswith(("| none", "| focal loss"))]
    first = [json.loads((folder / "val.json").read_text())["auc"] for folder in folders[:2]]
    assert len(rows) == 2 and f"{np.mean(first):.3f} ± {np.std(first, ddof=1):.3f}" in rows[0]
    # Everything is done: nothing is trained, nor is the dataset looked at.
    run(comparison, None, answers, seeds)


def _check_figures(folder: Path, dataset) -> None:
    graph = Graph.from_json(json.loads((folder / "network.json").read_text()))
    engine = Engine(graph, load_weights(folder / "weights.safetensors"))
    val = json.loads((folder / "split.json").read_text())["val"]
    squares = [letterbox(read_radiograph(dataset.path(i)).pixels, 32)[0] for i in val]
    logits = [float(engine.run(square[None])["logit"][0, 0]) for square in squares]
    figures = json.loads((folder / "val.json").read_text())
    assert figures["auc"] == pytest.approx(roc_auc(dataset.table.loc[val, "label"].to_numpy(), logits), abs=1e-6)


def test_every_answer_is_a_recipe() -> None:
    made = {name: SMALL.replace(**changes) for name, changes in ANSWERS.items()}
    assert len(set(made.values())) == 4 and made["none"] == SMALL

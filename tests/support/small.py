"""A whole small bundle, made by the project's own code from an untrained network and a miniature dataset."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from fracture_core.bundle.bundle import Bundle
from fracture_core.data.fracatlas import FracAtlas
from fracture_core.data.split import reference_split
from fracture_core.files import write_text
from fracture_core.recipe import Recipe
from tests.support.miniature import Entry, build, picture

RECIPE = Recipe(name="small", image_size=64, localiser=8, start="none")


def small_dataset(root: Path, n: int = 60) -> FracAtlas:
    """A miniature with every third image fractured: a bright bar, boxed."""
    entries = []
    for number in range(n):
        pixels = picture(number)
        if number % 3:
            entries.append(Entry(f"IMG{number:07}", picture=pixels))
            continue
        x, y = 10 + number % 50, 20 + number % 70
        pixels[y : y + 16, x : x + 24] = 255
        box = ((float(x), float(y), 24.0, 16.0),)
        entries.append(Entry(f"IMG{number:07}", ("Fractured",), 1, boxes=box, picture=pixels))
    return FracAtlas(build(root, entries))


def small_run(folder: Path, dataset: FracAtlas) -> Path:
    """A finished run folder around an untrained network; what packaging needs, no more."""
    from fracture_core.network.keras_graph import graph_from_keras
    from fracture_core.network.model import build_model
    from fracture_core.network.weights import save_weights, weights_of

    model = build_model(RECIPE)
    weights = weights_of(model)
    rng = np.random.default_rng(0)
    weights["global_logit/kernel"] = rng.normal(0, 0.2, weights["global_logit/kernel"].shape).astype(np.float32)
    folder.mkdir(parents=True)
    save_weights(folder / "weights.safetensors", weights)
    write_text(folder / "network.json", json.dumps(graph_from_keras(model).to_json()))
    write_text(folder / "recipe.json", json.dumps(RECIPE.to_json()))
    split = reference_split(list(dataset.table.index), dataset.table["csv_label"].to_numpy())
    parts = {"train": split.train, "val": split.val, "test": split.test, "left_out": {}, "digest": split.digest}
    write_text(folder / "split.json", json.dumps(parts))
    write_text(folder / "history.csv", "epoch,loss\n1,0.7\n")
    write_text(folder / "run.json", json.dumps({"finished": True, "starting_weights": "none"}))
    return folder


def small_bundle(root: Path) -> Bundle:
    """Package the small run as root/models/small; the dataset is at root/data, the run at root/run."""
    from fracture_core.training.packaging import package

    dataset = small_dataset(root / "data")
    return package(small_run(root / "run", dataset), "small", dataset, root=root / "models")

"""The folder of a run that stopped after three epochs, and bundles with another provenance."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from fracture_core.bundle.bundle import Bundle
from fracture_core.recipe import Recipe
from fracture_core.training.run_folder import RunFolder

HISTORY = [
    {"epoch": 1.0, "loss": 0.9, "val_loss": 0.8, "val_auc": 0.6, "seconds": 10.0},
    {"epoch": 2.0, "loss": 0.7, "val_loss": 0.6, "val_auc": 0.9, "seconds": 11.0},
    {"epoch": 3.0, "loss": 0.5, "val_loss": 0.7, "val_auc": 0.8, "seconds": 12.0},
]


def write_interrupted_run(runs: Path) -> Path:
    """Write the run `one` under a folder of runs, and return its folder."""
    folder = RunFolder(runs / "20260102-030405-one")
    folder.path.mkdir(parents=True)
    folder.write_recipe(Recipe(name="one", monitor="auc", epochs=9))
    folder.write_history(HISTORY)
    return folder.path


def altered(bundle: Bundle, **changes) -> Bundle:
    """The same bundle with another provenance."""
    provenance = {**bundle.manifest.get("provenance", {}), **changes}
    return replace(bundle, manifest={**bundle.manifest, "provenance": provenance})

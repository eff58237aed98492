"""Package a finished run as a bundle: score val and test, calibrate and choose thresholds on val, write atomically."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors.numpy import save_file

from fracture_core.bundle.bundle import Bundle
from fracture_core.bundle.loading import load_bundle
from fracture_core.bundle.manifest import check_name, install, new_folder
from fracture_core.bundle.out_of_distribution import MIDDLE_MAP
from fracture_core.data.dataset import Dataset
from fracture_core.errors import FractureCoreError
from fracture_core.evaluation.predictions_csv import predict_split
from fracture_core.files import atomic_write, write_text
from fracture_core.inference.engine import Engine
from fracture_core.inference.evidence_layer import evidence_head, with_evidence
from fracture_core.inference.scorer import Scorer, scoring_engines
from fracture_core.metrics.calibration import fit_temperature
from fracture_core.metrics.confusion import sigmoid
from fracture_core.metrics.operating_points import default_operating_points
from fracture_core.network.backbones import BACKBONES
from fracture_core.network.graph import Graph
from fracture_core.network.weights import Weights, half_precision, load_weights, save_weights
from fracture_core.paths import models_folder
from fracture_core.training.bundle_features import fit_features, fit_levels, seal
from fracture_core.training.run_folder import RunFolder
from fracture_core.training.usual_ranges_fit import RangesFit, fit_usual_ranges


class PackagingError(FractureCoreError):
    """A run that is not finished, or whose folder lacks something that a bundle needs."""


def package(
    run: Path,
    name: str,
    dataset: Dataset,
    *,
    root: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Bundle:
    """Create the bundle root/name from a finished run; an earlier bundle of that name is kept beside it.

    Val alone decides the offset, the temperature and the thresholds. Nothing appears under `root` before the bundle is
    complete.

    Args:
        run: The run's folder.
        name: Name of the bundle.
        dataset: What it was trained on.
        root: The folder of the bundles; by default the user's.
        progress: Called with (done, total) images.

    Returns:
        The bundle.

    Raises:
        PackagingError: The run is not finished.
        RunError: Its folder is damaged.
        BundleError: The name is invalid.
    """
    check_name(name)
    source = RunFolder(run)
    check_finished(run)
    scored = _score(source, dataset, progress)
    root = Path(root or models_folder())
    with new_folder(root) as folder:
        _write(folder, name, source, scored)
        install(folder, name, root)
    return load_bundle(name, root)


def check_finished(run: Path) -> None:
    """Raise if a run is not finished, so that there is nothing to package.

    Args:
        run: The run's folder.

    Raises:
        PackagingError: It is not finished.
        RunError: Its folder is damaged.
    """
    if not RunFolder(run).finished:
        raise PackagingError(f"The run {Path(run).name} is not finished; resume it first.")


@dataclass(frozen=True)
class _Scored:
    """What is computed from a run: the network as it ships, its predictions, and what was fitted to them."""

    graph: Graph
    weights: Weights
    table: pd.DataFrame
    offset: float
    temperature: float
    features: dict[str, np.ndarray]
    scope: RangesFit | None


def _score(source: RunFolder, dataset: Dataset, progress: Callable[[int, int], None] | None) -> _Scored:
    """Score val and test, calibrate on val, and fit the features; everything with the weights as they will ship."""
    recipe, split = source.recipe(), source.split()
    weights = half_precision(load_weights(source.path / "weights.safetensors"))
    weights = {key: array.astype(np.float32) for key, array in weights.items()}
    graph = source.graph().with_outputs({MIDDLE_MAP: BACKBONES[recipe.backbone].middle})
    engine, smaller = scoring_engines(with_evidence(graph), recipe, lambda graph, _: Engine(graph, weights))
    scorer = Scorer(engine, recipe, smaller)
    table, held = predict_split(scorer, evidence_head(graph, weights), dataset, split, progress=progress)
    offset, temperature = _calibrate(table[table["split"] == "val"])
    key = _bias_of_logit(graph)
    weights[key] = weights[key] + np.float32(offset)
    table["logit"] += round(offset, 6)
    features = fit_features(scorer, dataset, split, table, held) | fit_levels(table, held)
    scope = fit_usual_ranges([dataset.path(i) for i in split.train], scorer.fit)
    features |= scope.ranges.to_arrays() if scope else {}
    return _Scored(graph, weights, table, offset, temperature, features, scope)


def _write(folder: Path, name: str, source: RunFolder, scored: _Scored) -> None:
    """Write every file of the bundle."""
    recipe, split, record = source.recipe(), source.split(), source.record()
    created = datetime.now(UTC).isoformat(timespec="seconds")
    save_weights(folder / "weights.safetensors", scored.weights)
    write_text(folder / "network.json", json.dumps(scored.graph.to_json(), separators=(",", ":")) + "\n")
    write_text(folder / "recipe.json", json.dumps(recipe.to_json(), indent=1) + "\n")
    with atomic_write(folder / "predictions.csv") as temporary:
        scored.table.to_csv(temporary, index=False, float_format="%.6f", lineterminator="\n")
    with atomic_write(folder / "features.safetensors") as temporary:
        save_file(scored.features, temporary)
    _write_points(folder, scored.table, scored.temperature, created)
    shutil.copyfile(source.path / "history.csv", folder / "history.csv")
    provenance = {
        **record,
        "pretraining": _pretraining(record),
        "offset": scored.offset,
        "split": split.digest,
        "trained_on": len(split.train),
        "scope": scored.scope.record() if scored.scope else None,
    }
    seal(folder, name, recipe, scored.table, scored.temperature, created, provenance)


def _bias_of_logit(graph: Graph) -> str:
    """Return the key of the bias that is added to the logit: the pooled cells' own, or else the global head's."""
    answer = next(node for node in graph.nodes if node.name == graph.outputs["logit"])
    return f"{answer.name if answer.attributes.get('bias') else graph.outputs['global_logit']}/bias"


def _pretraining(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the record of the pre-training: the run's own, or the one beside its initial weights."""
    if "stages" in record:
        return {key: record[key] for key in ("start", "teacher", "stages", "remarks") if key in record}
    source = (record.get("start") or {}).get("source", "")
    beside = Path(source).parent / "run.json"
    if not source.endswith(".safetensors") or not beside.is_file():
        return None
    try:
        return json.loads(beside.read_text("utf-8"))
    except ValueError as error:
        raise PackagingError("The record of the pre-training (run.json) cannot be read.") from error


def _calibrate(val: pd.DataFrame) -> tuple[float, float]:
    """Return the offset and temperature that make sigmoid((logit + offset) / temperature) most likely on val.

    The offset undoes the effect of oversampling or class weights on the base rate (Platt 1999); it goes into the
    network's own bias, so that only the temperature is left for calibration (Guo et al. 2017).
    """
    from scipy.optimize import minimize_scalar

    truth, logits = val["label"].to_numpy(), val["logit"].to_numpy()

    def loss(offset: float) -> float:
        shifted = logits + offset
        p = np.clip(sigmoid(shifted / fit_temperature(truth, shifted)), 1e-9, 1 - 1e-9)
        return float(-np.mean(truth * np.log(p) + (1 - truth) * np.log1p(-p)))

    offset = float(minimize_scalar(loss, bounds=(-12, 12), method="bounded").x)
    return offset, float(fit_temperature(truth, logits + offset))


def _write_points(folder: Path, table: pd.DataFrame, temperature: float, created: str) -> None:
    val = table[table["split"] == "val"]
    points = default_operating_points(val["label"], sigmoid(val["logit"].to_numpy() / temperature), created=created)
    data: Mapping[str, Any] = {name: point.to_dict() for name, point in points.items()}
    write_text(folder / "operating_points.json", json.dumps(data, indent=1) + "\n")

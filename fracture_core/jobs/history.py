"""List past runs: state, metrics, notes and what differs between their recipes; delete runs."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from fracture_core.bundle.loading import load_bundle
from fracture_core.bundle.manifest import check_name
from fracture_core.errors import FractureCoreError
from fracture_core.files import write_text
from fracture_core.jobs.control import read_json
from fracture_core.jobs.status import RunStatus, created, list_runs, status
from fracture_core.metrics.curves import roc_auc
from fracture_core.paths import models_folder, runs_folder
from fracture_core.recipe import Recipe
from fracture_core.training.recipe_fields import setting_label, setting_value
from fracture_core.training.run_folder import RunError, RunFolder
from fracture_core.training.schedule import is_better

_MAX_NOTE_LENGTH = 4000  # characters


def history_rows(runs: Iterable[RunStatus] | None = None, root: Path | None = None) -> list[dict[str, Any]]:
    """Return one row per run, newest first.

    Args:
        runs: The runs to list; by default all.
        root: The folder of the bundles; by default the user's.

    Returns:
        run, created, state, epoch, epochs, val_auc and val_loss of the best epoch so far, seconds of training, bundle,
            test_auc and note; None if not known.
    """
    root = Path(root or models_folder())
    return [_row(run, root) for run in (list_runs() if runs is None else runs)]


def _row(current: RunStatus, root: Path) -> dict[str, Any]:
    row = dict.fromkeys(("val_auc", "val_loss", "seconds", "bundle", "test_auc"))
    row = {"run": current.name, "created": created(current.run), "state": current.state} | row
    row["note"] = note(current.run)
    folder = RunFolder(current.run)
    try:
        history, recipe = folder.history(), folder.recipe()
        record = folder.record() if folder.started else {}
    except FractureCoreError as error:
        return row | {"epoch": 0, "epochs": 0, "error": str(error)}
    # Pre-training has no epochs: its rows are validations, and it keeps the weights of the last one.
    pretrained = "stages" in record
    row |= {"epoch": len(history), "epochs": len(history) if pretrained else recipe.epochs, "error": current.error}
    if history and "val_auc" in history[0]:
        best = history[-1] if pretrained else best_epoch(history, recipe)
        row |= {"val_auc": best["val_auc"], "val_loss": best.get("val_loss")}
        row["seconds"] = round(sum(epoch.get("seconds", 0.0) for epoch in history))
    name = bundle_of(current.run, root)
    if name:
        row |= {"bundle": name, "test_auc": _test_auc(name, root, (root / name / "bundle.json").stat().st_mtime_ns)}
    return row


def best_epoch(history: Sequence[Mapping[str, float]], recipe: Recipe) -> Mapping[str, float]:
    """Return the epoch that a run keeps, by its recipe's monitor.

    Args:
        history: One row per epoch, at least one.
        recipe: The run's recipe.

    Returns:
        The row.
    """
    best = 0
    for place in range(1, len(history)):
        best = place if is_better(history[place], list(history[:place]), recipe) else best
    return history[best]


def in_lines(rows: Sequence[Mapping[str, Any]]) -> str:
    """Format history rows for the command line.

    Args:
        rows: What `history_rows` returned.

    Returns:
        The text.
    """
    lines = []
    for row in rows:
        words = [row["run"], row["state"], f"epoch {row['epoch']}/{row['epochs']}"]
        if row["val_auc"] is not None:
            words.append(f"val AUC {row['val_auc']:.3f}")
        if row["test_auc"] is not None:
            words.append(f"test AUC {row['test_auc']:.3f}, bundle {row['bundle']}")
        lines.append("  ".join(words))
        lines += [f"    {row[key]}" for key in ("error", "note") if row.get(key)]
    return "\n".join(lines) or "No runs yet. Start one: `fracture-reader train`."


def bundle_of(run: Path, root: Path | None = None) -> str | None:
    """Find the bundle created from a run, by its weights; of several with the same weights the one that it recorded.

    Args:
        run: The run's folder.
        root: The folder of the bundles; by default the user's.

    Returns:
        The bundle's name, or None.

    Raises:
        RunError: The run's record cannot be read.
    """
    folder = RunFolder(run)
    weights = folder.record().get("weights_sha256") if folder.started else None
    if not weights:
        return None
    manifests = sorted(Path(root or models_folder()).glob("*/bundle.json"))
    names = [path.parent.name for path in manifests if _weights_of(path) == weights]
    # One that starts with a dot was left by a process that was killed while packaging.
    names = [name for name in names if not name.startswith(".")]
    recorded = read_json(run / "progress.json").get("bundle")
    return recorded if recorded in names else names[0] if names else None


def _weights_of(manifest: Path) -> Any:
    """Return the digest of the weights that a bundle was created from; None if its manifest does not say so."""
    try:
        return _read_weights(manifest, manifest.stat().st_mtime_ns)
    except OSError:
        return None  # replaced or deleted at this moment


@lru_cache(maxsize=64)
def _read_weights(manifest: Path, stamp: int) -> Any:
    provenance = read_json(manifest).get("provenance")
    return provenance.get("weights_sha256") if isinstance(provenance, dict) else None


@lru_cache(maxsize=64)
def _test_auc(name: str, root: Path, stamp: int) -> float | None:
    try:
        table = load_bundle(name, root).predictions()
    except FractureCoreError:
        return None
    test = table[table["split"] == "test"]
    return roc_auc(test["label"], test["logit"])


def recipe_differences(recipes: Mapping[str, Recipe]) -> list[dict[str, Any]]:
    """List the settings in which recipes differ.

    Args:
        recipes: The recipes by name.

    Returns:
        One row per setting, with each recipe's value as text under its name.
    """
    flat = {name: _flat(recipe.to_json()) for name, recipe in recipes.items()}
    choices = list(dict.fromkeys(choice for values in flat.values() for choice in values))
    rows = []
    for choice in choices:
        values = {name: settings.get(choice) for name, settings in flat.items()}
        if choice != "name" and len({json.dumps(value) for value in values.values()}) > 1:
            words = {name: setting_value(choice, value) for name, value in values.items()}
            rows.append({"Setting": setting_label(choice), **words})
    return rows


def _flat(data: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in data.items():
        flat |= _flat(value, f"{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def note(run: Path) -> str:
    """Read the note on a run.

    Args:
        run: The run's folder.

    Returns:
        The text; empty if there is none.
    """
    try:
        return (run / "note.txt").read_text("utf-8", errors="replace").strip()
    except OSError:
        return ""


def write_note(run: Path, text: str, before: str | None = None) -> None:
    """Save a note on a run.

    Args:
        run: The run's folder.
        text: The note.
        before: The note that it is to replace; None for whatever there is.

    Raises:
        RunError: There is another note by now, it is too long or cannot be written, or the folder is not that of a run.
    """
    if before is not None and note(run) not in (before, text.strip()):
        raise RunError(f"The note was changed on another screen meanwhile. Not kept: {text}")
    if len(text) > _MAX_NOTE_LENGTH:
        raise RunError(f"A note holds at most {_MAX_NOTE_LENGTH:,} characters; this one has {len(text):,}.")
    try:
        write_text(_ours(run) / "note.txt", text.strip() + "\n")
    except OSError as error:
        raise RunError(f"The note cannot be written ({error.strerror}).") from error


def delete_run(run: Path) -> None:
    """Delete a run's folder, but not its bundle.

    Args:
        run: The run's folder.

    Raises:
        RunError: It is running, is not the folder of a run, or cannot be deleted.
    """
    folder = _ours(run)
    if status(folder).alive:
        raise RunError(f"The run {folder.name} is running; cancel it first.")
    doomed = folder.with_name(f".deleted-{folder.name}")
    try:
        folder.rename(doomed)  # it stops being listed at once, however long the deletion takes
    except OSError as error:
        raise RunError(f"The run {folder.name} cannot be deleted ({error.strerror}).") from error
    shutil.rmtree(doomed, ignore_errors=True)


def rename_run(run: Path, name: str) -> Path:
    """Give a run another name; the time that its folder's name begins with stays.

    Args:
        run: The run's folder.
        name: The new name, of letters, digits, dots and hyphens.

    Returns:
        The folder under its new name.

    Raises:
        RunError: The run is running, the name cannot be used or is taken, or the folder cannot be renamed.
    """
    folder, name = _ours(run), name.strip()
    if status(folder).alive:
        raise RunError(f"The run {folder.name} is running; rename it when it has ended.")
    try:
        check_name(name)
    except FractureCoreError as error:
        raise RunError(str(error)) from error
    stamp = re.match(r"\d{8}-\d{6}-", folder.name)
    renamed = folder.with_name((stamp.group() if stamp else "") + name)
    if renamed.exists():
        raise RunError(f"There is already a run named {renamed.name}; choose another name.")
    try:
        return folder.rename(renamed)
    except OSError as error:
        raise RunError(f"The run {folder.name} cannot be renamed ({error.strerror}).") from error


def _ours(run: Path) -> Path:
    folder = Path(run).resolve()
    if folder.parent == runs_folder().resolve() and not folder.exists():
        raise RunError(f"The run {folder.name} is no longer there: it was deleted or renamed.")
    if folder.parent != runs_folder().resolve() or not (folder / "recipe.json").is_file():
        raise RunError(f"{folder.name} is not a run under {runs_folder().name}/.")
    return folder

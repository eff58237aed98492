"""Hashes fit for whoever makes them fit: what a stranger's bundle holds is read without trust in it."""

from __future__ import annotations

import copy
import json
import os
import pickle
import shutil
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from fracture_core.bundle.loading import load_bundle
from fracture_core.bundle.manifest import FILES, check_name, write_manifest
from fracture_core.bundle.validation import BundleError, read_file
from fracture_core.errors import FractureCoreError
from fracture_core.inference.openvino_backend import openvino_graph
from fracture_core.inference.predictor import Predictor

ROOT = Path(__file__).parents[2]
_DESCRIPTIONS = ("network.json", "recipe.json", "operating_points.json")


@pytest.fixture
def stranger(small_models, tmp_path) -> Path:
    """A copy of the small bundle, to be changed and sealed again."""
    return shutil.copytree(small_models / "small", tmp_path / "models" / "small")


@pytest.fixture(scope="module")
def workshop(small_models, tmp_path_factory) -> Path:
    """The same for many examples in a row; `sealed` puts it right after each."""
    return shutil.copytree(small_models / "small", tmp_path_factory.mktemp("stranger") / "models" / "small")


def sealed(folder: Path) -> Path:
    """Seal a folder as its maker would: every hash fits."""
    write_manifest(folder, temperature=1.0, created="2026-01-01T00:00:00+00:00", provenance={})
    return folder.parent


def refused(read: Callable[[], object]) -> str:
    """The sentence with which it is refused; "" where it is not. Any other exception escapes and fails the test."""
    try:
        read()
    except FractureCoreError as error:
        words = str(error)
        assert words.endswith(".") and words.isprintable() and len(words) < 600, words
        return words
    return ""


def load_all(root: Path, *, build: bool = False) -> None:
    """Everything that the app does with a bundle before the first radiograph."""
    bundle = load_bundle("small", root)
    bundle.predictions(), bundle.history(), bundle.chosen_points()
    if build:
        openvino_graph(bundle.graph, bundle.weights(), batch=1)


# --- any content, with hashes that fit ---------------------------------------------------------------------------

_ODD = st.sampled_from(
    [None, True, -1, 0, 3, 2**63, 10**400, 1e308, float("nan"), float("inf"), "", "relu", "x" * 5000, [], {}, [[1]]]
)


def places(tree: Any, path: tuple = ()) -> Iterator[tuple]:
    """Every place in a tree of JSON."""
    yield path
    branches = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, branch in branches:
        yield from places(branch, (*path, key))


def changed(tree: Any, path: tuple, value: Any) -> Any:
    if not path:
        return value
    tree = copy.deepcopy(tree)
    at = tree
    for key in path[:-1]:
        at = at[key]
    if value == "x" * 5000:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return tree


@pytest.mark.slow
@pytest.mark.parametrize("file", ["recipe.json", "operating_points.json", "network.json", "bundle.json"])
@settings(max_examples=25, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_part_of_any_description_may_be_anything(workshop, small_models, file, data) -> None:
    original = (small_models / "small" / file).read_bytes()
    tree = json.loads(original)
    path = data.draw(st.sampled_from(list(places(tree))))
    (workshop / file).write_text(json.dumps(changed(tree, path, data.draw(_ODD))))
    try:
        if file != "bundle.json":
            sealed(workshop)
        refused(lambda: load_all(workshop.parent, build=file == "network.json"))
    finally:
        (workshop / file).write_bytes(original)
        sealed(workshop)


@pytest.mark.slow
@pytest.mark.parametrize("file", [*FILES, "bundle.json", "chosen_points.json"])
@settings(max_examples=8, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.binary(max_size=300) | st.text(max_size=200).map(str.encode))
def test_a_file_may_hold_anything(workshop, small_models, file, data) -> None:
    path = workshop / file
    path.write_bytes(data)
    try:
        if file not in ("bundle.json", "chosen_points.json"):
            sealed(workshop)
        said = refused(lambda: (load_all(workshop.parent), load_bundle("small", workshop.parent).weights()))
        assert said or file in ("card.md", "history.csv")  # any text is a card, any line a table
    finally:
        path.unlink()
        if file != "chosen_points.json":
            shutil.copyfile(small_models / "small" / file, path)
        sealed(workshop)


@pytest.mark.parametrize("file", _DESCRIPTIONS)
def test_nesting_without_end_is_refused(stranger, file) -> None:
    (stranger / file).write_text("[" * 200_000)
    assert refused(lambda: load_bundle("small", sealed(stranger)))


# --- shapes ------------------------------------------------------------------------------------------------------


def test_features_of_another_network_are_refused(stranger) -> None:
    path = stranger / "features.safetensors"
    arrays = load_file(path)
    for part in ("familiarity/mean", "familiarity/directions"):
        arrays[part] = np.ascontiguousarray(arrays[part][..., :-1])
    save_file({name: array for name, array in arrays.items() if not name.startswith("trait/")}, path)
    bundle = load_bundle("small", sealed(stranger))
    assert "belong to another network" in refused(lambda: Predictor(bundle))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_refused(stranger, value) -> None:
    path = stranger / "weights.safetensors"
    weights = load_file(path)
    weights["conv1_conv/kernel"] = np.full_like(weights["conv1_conv/kernel"], value)
    save_file(weights, path)
    assert refused(load_bundle("small", sealed(stranger)).weights)


def test_a_network_that_would_fill_the_memory_is_refused_before_it_does(stranger) -> None:
    description = json.loads((stranger / "network.json").read_text())
    last = description["outputs"]["last_map"]
    for number in range(12):
        grown = {"name": f"grown{number}", "operation": "upsample", "inputs": [last], "factor": 8}
        description["nodes"].append(grown)
        last = grown["name"]
    description["outputs"]["last_map"] = last
    (stranger / "network.json").write_text(json.dumps(description))
    bundle = load_bundle("small", sealed(stranger))
    assert "memory" in refused(lambda: openvino_graph(bundle.graph, bundle.weights(), batch=1))


@pytest.mark.parametrize(
    ("output", "source"),
    [
        ("logit", "embedding"),
        ("embedding", "last_map"),
        ("last_map", "cells"),
        ("cells", "logit"),
        ("cells", "last_map"),
    ],
)
def test_an_output_of_another_meanings_shape_is_refused(stranger, output, source) -> None:
    description = json.loads((stranger / "network.json").read_text())
    description["outputs"][output] = description["outputs"][source]
    (stranger / "network.json").write_text(json.dumps(description))
    bundle = load_bundle("small", sealed(stranger))
    assert refused(lambda: openvino_graph(bundle.graph, bundle.weights(), batch=1))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("IMG1,train,0,0.5", "is invalid"),
        ("IMG1,val,2,0.5", "is invalid"),
        ("IMG1,val,0,inf", "finite"),
        ("IMG1,val,0", "is invalid"),
        ('IMG1,val,0,"', "damaged"),
    ],
)
def test_a_row_of_predictions_that_makes_no_sense_is_refused(stranger, line, words) -> None:
    sound = "image_id,split,label,logit\n" + "".join(f"I,{s},{n},1.5\n" for s in ("val", "test") for n in (0, 1))
    (stranger / "predictions.csv").write_text(sound)
    load_bundle("small", sealed(stranger))
    (stranger / "predictions.csv").write_text(sound + line + "\n")
    assert words in refused(lambda: load_bundle("small", sealed(stranger)))


# --- files that are no files --------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("file", ["weights.safetensors", "chosen_points.json"])
@pytest.mark.timeout(60)
def test_a_pipe_in_place_of_a_file_does_not_hang(stranger, file) -> None:
    (stranger / file).unlink(missing_ok=True)
    os.mkfifo(stranger / file)
    assert refused(lambda: load_all(stranger.parent))


def test_a_file_far_too_large_is_refused_unread(stranger) -> None:
    with (stranger / "predictions.csv").open("r+b") as file:
        file.truncate(2**40)  # takes no room on disk: the rest is a hole
    assert "too large" in refused(lambda: load_bundle("small", stranger.parent))


def test_saved_points_that_are_a_link_are_not_followed(stranger, tmp_path) -> None:
    (tmp_path / "elsewhere.json").write_text("[]")
    (stranger / "chosen_points.json").symlink_to(tmp_path / "elsewhere.json")
    assert "chosen_points" in refused(load_bundle("small", stranger.parent).chosen_points)


def test_a_folder_that_is_a_link_out_of_models_is_refused(stranger, tmp_path) -> None:
    outside = stranger.rename(tmp_path / "outside")
    stranger.symlink_to(outside)
    assert "link" in refused(lambda: load_bundle("small", stranger.parent))


@given(name=st.text(alphabet=st.sampled_from("ab./\\~ \0\n:%-"), max_size=12) | st.text(max_size=120))
def test_whatever_name_is_accepted_stays_in_the_folder(tmp_path_factory, name) -> None:
    root = tmp_path_factory.getbasetemp().resolve()
    if not refused(lambda: check_name(name)):
        assert (root / name).resolve().parent == root


def test_what_changes_after_it_was_checked_is_refused_when_it_is_read(stranger) -> None:
    bundle = load_bundle("small", stranger.parent)
    for file, read in (("weights.safetensors", bundle.weights), ("predictions.csv", bundle.predictions)):
        data = (stranger / file).read_bytes()
        (stranger / file).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        with pytest.raises(BundleError, match="not as published"):
            read()


# --- code ----------------------------------------------------------------------------------------------------------


class _Bomb:
    def __reduce__(self):
        return os.system, ("touch exploded",)


@pytest.mark.parametrize("file", FILES)
def test_a_pickle_is_never_opened(stranger, tmp_path, monkeypatch, file) -> None:
    monkeypatch.chdir(tmp_path)
    (stranger / file).write_bytes(pickle.dumps(_Bomb()))
    said = refused(lambda: (load_all(sealed(stranger)), load_bundle("small", stranger.parent).weights()))
    assert said
    assert not (tmp_path / "exploded").exists()


def test_reading_a_bundle_runs_and_compiles_nothing(small_models) -> None:
    """Python's own audit events, once everything that reading imports is in memory."""
    code = f"""
import sys
import tracemalloc
from pathlib import Path
from fracture_core.bundle.loading import load_bundle

def read():
    bundle = load_bundle("small", Path({str(small_models)!r}))
    bundle.weights(), bundle.predictions(), bundle.history(), bundle.chosen_points()

read()
seen = set()
sys.addaudithook(lambda event, arguments: seen.add((event, arguments[1] if event == "open" else None)))
read()
print(sorted(event for event, mode in seen if event != "open" or "w" in str(mode) or "a" in str(mode)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    events = set(json.loads(done.stdout.replace("'", '"')))
    unwanted = (
        "exec",
        "compile",
        "import",
        "pickle",
        "marshal",
        "subprocess",
        "os.system",
        "os.exec",
        "socket",
        "open",
    )
    assert not [event for event in events if event.startswith(unwanted)], events


@pytest.mark.slow
def test_words_of_a_bundle_make_no_browser_fetch_anything(stranger, monkeypatch) -> None:
    import streamlit
    from streamlit.testing.v1 import AppTest

    from fracture_core.metrics.operating_points import OperatingPoint

    beacon = "![x](http://tracker.example/x.png)"
    (stranger / "card.md").write_text(
        f"# Card\n\n## Limitations\n\n{beacon}\n\n<img src='http://tracker.example/y.png'>\n"
    )
    load_bundle("small", sealed(stranger)).save_point(OperatingPoint(beacon, 0.4, "by eye", "val", 0.8, 0.7))
    monkeypatch.setenv("FRACTURE_MODELS_DIR", str(stranger.parent))
    streamlit.cache_resource.clear()
    app = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=200)
    app.run()
    app.selectbox(key="operating_point").set_value(f"Saved: {beacon}").run()
    app.switch_page("pages/model_card.py").run()
    assert not app.exception
    told = [one for kind in ("markdown", "caption") for one in app.get(kind)]
    assert any("tracker" in one.value for one in told)
    assert not [one.value for one in told if "![" in one.value or one.proto.allow_html]


def test_reading_a_small_file_takes_little_memory(tmp_path) -> None:
    """A bundle's limit on a file's size is no reason to take as much memory."""
    (tmp_path / "small.bin").write_bytes(b"x" * 1000)
    tracemalloc.start()
    try:
        assert read_file(tmp_path, "small.bin", most=2**30) == b"x" * 1000
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()

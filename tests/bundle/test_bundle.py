"""Bundles are input too: what is altered, truncated, foreign or of the future is refused with a sentence."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from fracture_core.bundle.loading import list_bundles, load_bundle
from fracture_core.bundle.manifest import FILES, check_name, install, new_folder
from fracture_core.bundle.validation import BundleError
from fracture_core.data.fracatlas import FracAtlas
from fracture_core.errors import FractureCoreError
from fracture_core.metrics.confusion import confusion
from fracture_core.metrics.operating_points import OperatingPoint
from fracture_core.network.weights import load_weights
from fracture_core.training.packaging import PackagingError, package


@pytest.fixture
def copied(small_models, tmp_path) -> Path:
    shutil.copytree(small_models, tmp_path / "models")
    return tmp_path / "models"


def test_what_a_killed_packaging_left_goes_with_the_next_one(tmp_path, monkeypatch):
    left = tmp_path / ".making-a1b2"
    left.mkdir()
    (left / "network.json").write_text("{}")
    with new_folder(tmp_path) as folder:  # this one may be at work
        assert left.exists() and folder.is_dir()
    assert left.exists() and not folder.exists()
    (tmp_path / "small").mkdir()
    monkeypatch.setattr("fracture_core.bundle.manifest._STALE_S", -1.0)
    with new_folder(tmp_path) as folder:
        folder.rename(tmp_path / "made")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made", "small"]


def test_a_bundle_stands_alone(copied):
    bundle = load_bundle("small", copied)
    assert bundle.graph.input_size == (64, 64)
    table = bundle.predictions()
    assert set(table["split"]) == {"val", "test"}
    assert table["probability"].between(0, 1).all()
    assert np.allclose(table["probability"], 1 / (1 + np.exp(-table["logit"] / bundle.temperature)))
    assert "Not a medical device" in bundle.card


def test_what_an_answer_is_explained_with_is_what_the_predictions_say(copied):
    bundle = load_bundle("small", copied)
    table = bundle.predictions()
    test = table[table["split"] == "test"]
    labels, probabilities = bundle.test_scores
    assert labels.tolist() == test["label"].tolist()
    assert np.allclose(probabilities, test["probability"], rtol=0, atol=1e-12)
    assert dict(bundle.splits) == dict(zip(table["image_id"], table["split"], strict=True))


def test_thresholds_come_from_val_and_keep_their_promise_there(copied):
    bundle = load_bundle("small", copied)
    val = bundle.predictions().query("split == 'val'")
    for name, kind, target in (("rule_out", "sensitivity", 0.95), ("single", "sensitivity", 0.9)):
        matrix = confusion(val["label"], val["probability"], bundle.points[name].threshold)
        assert getattr(matrix, kind) >= target
    rule_in = confusion(val["label"], val["probability"], bundle.points["rule_in"].threshold)
    assert rule_in.specificity >= 0.95


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("harm", ["flip", "cut", "remove", "link"])
def test_harm_to_any_file_is_refused(copied, file, harm):
    path = copied / "small" / file
    data = path.read_bytes()
    if harm == "flip":
        path.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    elif harm == "cut":
        path.write_bytes(data[: len(data) // 2])
    else:
        path.unlink()
        if harm == "link":
            (copied / "elsewhere").write_bytes(data)
            path.symlink_to(copied / "elsewhere")
    with pytest.raises(BundleError, match=file.replace(".", r"\.")):
        load_bundle("small", copied)


def reseal(folder: Path, **changes) -> None:
    manifest = json.loads((folder / "bundle.json").read_text())
    manifest |= changes
    (folder / "bundle.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": 99}, "format 99"),
        ({"format": None}, "format None"),
        ({"temperature": "hot"}, "cannot be read"),
        ({"temperature": 0}, "is invalid"),
        ({"files": []}, "missing|cannot be read|not as published"),
    ],
)
def test_a_foreign_or_future_manifest_is_refused(copied, changes, words):
    reseal(copied / "small", **changes)
    with pytest.raises(BundleError, match=words):
        load_bundle("small", copied)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"format": 1}', "\x00\x01"])
def test_a_manifest_that_is_no_manifest_is_refused(copied, text):
    (copied / "small" / "bundle.json").write_text(text)
    with pytest.raises(BundleError):
        load_bundle("small", copied)


def test_weights_of_another_network_are_refused_even_with_fitting_hashes(copied):
    import hashlib

    from safetensors.numpy import load_file, save_file

    path = copied / "small" / "weights.safetensors"
    weights = load_file(path)
    weights.pop("conv1_conv/kernel")
    save_file(weights, path)
    manifest = json.loads((copied / "small" / "bundle.json").read_text())
    manifest["files"]["weights.safetensors"] = hashlib.sha256(path.read_bytes()).hexdigest()
    reseal(copied / "small", files=manifest["files"])
    with pytest.raises(FractureCoreError, match="conv1_conv"):
        load_bundle("small", copied).weights()


@pytest.mark.parametrize("name", ["", "..", "../small", "a/b", "a\\b", "/etc", ".hidden", "x" * 101, "a\nb", "a\x00b"])
def test_names_cannot_leave_the_folder(copied, name):
    with pytest.raises(BundleError):
        check_name(name)
    with pytest.raises(BundleError):
        load_bundle(name, copied)


def test_a_missing_bundle_says_which_there_are(copied):
    with pytest.raises(BundleError, match="small"):
        load_bundle("other", copied)


def test_points_are_added_and_earlier_ones_stay(copied):
    bundle = load_bundle("small", copied)
    for name, threshold in (("night", 0.2), ("day", 0.4)):
        bundle.save_point(OperatingPoint(name, threshold, "by eye", "val", 0.9, 0.5, note="for the night shift"))
    again = load_bundle("small", copied)
    assert [(p.name, p.threshold) for p in again.chosen_points()] == [("night", 0.2), ("day", 0.4)]
    with pytest.raises(BundleError, match="night"):
        again.save_point(OperatingPoint("night", 0.3, "by eye", "val", 0.9, 0.5))
    (copied / "small" / "chosen_points.json").write_text("{")
    with pytest.raises(BundleError, match="chosen_points"):
        again.chosen_points()


def test_publishing_keeps_the_earlier_bundle(copied):
    first = load_bundle("small", copied).sha256
    shutil.copytree(copied / "small", copied / ".new")
    install(copied / ".new", "small", copied)
    assert list_bundles(copied) == ["small", "small.1"]
    assert load_bundle("small.1", copied).sha256 == first


def test_an_unfinished_run_makes_no_bundle(small_models, tmp_path):
    shutil.copytree(small_models.parent / "run", tmp_path / "run")
    (tmp_path / "run" / "run.json").write_text('{"finished": false}')
    with pytest.raises(PackagingError, match="not finished"):
        package(tmp_path / "run", "new", FracAtlas(small_models.parent / "data"), root=tmp_path / "models")
    assert list_bundles(tmp_path / "models") == []


def test_half_precision_survives_the_way_to_disk(small_models):
    stored = load_weights(small_models / "small" / "weights.safetensors")
    made = load_weights(small_models.parent / "run" / "weights.safetensors")
    for key in set(made) - {"global_logit/bias"}:
        assert np.array_equal(stored[key], made[key])

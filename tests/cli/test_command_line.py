"""The command line, run as a user runs it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from fracture_core.__main__ import main, parser

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def files(small_models):
    return [str(p) for p in sorted((small_models.parent / "data" / "images").rglob("*.jpg"))]


@pytest.fixture(scope="module")
def command(small_models):
    def run(*arguments, status=0, dataset=small_models.parent / "data"):
        environment = os.environ | {
            "FRACTURE_MODELS_DIR": str(small_models),
            "FRACATLAS_DIR": str(dataset),
        }
        done = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "fracture_core", *arguments],
            capture_output=True,
            text=True,
            env=environment,
            cwd=ROOT,
            timeout=120,
        )
        imported = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines() if line.startswith("import")}
        errors = "\n".join(line for line in done.stderr.splitlines() if not line.startswith("import time"))
        assert "Traceback" not in errors
        assert done.returncode == status, errors
        return done.stdout, errors, imported

    return run


def test_predict_prints_a_finding_and_imports_no_tensorflow(command, files):
    out, _, imported = command("predict", files[0], "--bundle", "small")
    assert files[0] in out
    answers = ("fracture likely", "indeterminate", "fracture unlikely", "above threshold", "below threshold")
    assert any(word in out for word in answers)
    assert not {"tensorflow", "keras", "torch"} & imported


def test_predict_as_json_with_heatmaps_and_a_bad_file(command, files, tmp_path):
    bad = tmp_path / "letter.jpg"
    bad.write_text("Dear doctor")
    out, _, _ = command(
        "predict",
        files[0],
        str(bad),
        files[1],
        "--bundle",
        "small",
        "--json",
        "--heatmap",
        str(tmp_path / "maps"),
        status=1,
    )
    entries = json.loads(out)
    assert [e["file"] for e in entries] == [files[0], str(bad), files[1]]
    keys = {"file", "finding", "assessed", "reason", "probability", "logit", "points", "warnings"}
    keys |= {"heatmap", "heatmap_error", "error"}
    assert all(set(e) == keys for e in entries)
    assert entries[1]["error"] and entries[1]["probability"] is None
    for entry in (entries[0], entries[2]):
        assert entry["error"] is None and 0 <= entry["probability"] <= 1
        evidence = np.load(tmp_path / "maps" / f"{Path(entry['file']).stem}.npy")
        pixels = cv2.imread(entry["file"], cv2.IMREAD_GRAYSCALE)
        assert evidence.dtype == np.float32 and evidence.shape == pixels.shape
        assert cv2.imread(entry["heatmap"]).shape[:2] == pixels.shape


@pytest.mark.slow
def test_evaluate_prints_the_reference_studys_table(command):
    out, _, _ = command("evaluate", "--bundle", "small")
    for words in ("AUC", "average precision", "precision", "recall", "support", "fractured", "at 0.5", "at single"):
        assert words in out
    data = json.loads(command("evaluate", "--bundle", "small", "--split", "val", "--json")[0])
    assert data["split"] == "val" and len(data["roc_auc"]) == 3


@pytest.mark.slow
def test_bundles_lists_them(command):
    assert "small" in command("bundles")[0]
    assert json.loads(command("bundles", "--json")[0])[0]["name"] == "small"


def test_export_says_how_to_serve_what_it_wrote(command, tmp_path):
    out, _, imported = command("export", "small", str(tmp_path / "served"))
    [network] = (tmp_path / "served" / "models").iterdir()
    assert str(network) in out and "FRACTURE_SERVER=" in out
    assert (network / "1" / "model.xml").is_file()
    assert not {"tensorflow", "keras", "torch"} & imported


@pytest.mark.slow
def test_runs_promote_and_resume_from_the_command_line(small_models, tmp_path):
    """A finished run is listed and its bundle put in use; an interrupted one is told from it; nothing else moves."""
    models, runs = tmp_path / "models", tmp_path / "runs"
    shutil.copytree(small_models, models)
    shutil.copytree(models / "small", models / "other")
    finished, broken = runs / "20260101-000000-small", runs / "20260102-000000-broken"
    shutil.copytree(small_models.parent / "run", finished)
    broken.mkdir()
    shutil.copy(finished / "recipe.json", broken)
    environment = os.environ | {"FRACTURE_MODELS_DIR": str(models), "FRACTURE_RUNS_DIR": str(runs)}

    def run(*arguments, status=0):
        command = [sys.executable, "-m", "fracture_core", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, timeout=280)
        assert done.returncode == status, done.stderr
        return done.stdout + done.stderr

    rows = json.loads(run("runs", "--json"))
    assert [(row["run"], row["state"]) for row in rows] == [(broken.name, "interrupted"), (finished.name, "finished")]
    assert "stopped unexpectedly" in run("runs")
    assert "The bundle other is now in use. `promote" not in run("promote", "other")
    assert run("bundles").startswith("other ")
    assert "`promote other` restores" in run("promote", "small")
    assert "has no bundle yet" in run("promote", broken.name, status=1)
    assert "no bundle or run 'nothing'" in run("promote", "nothing", status=1)
    assert "it was never begun. Start a new run." in run("resume", "broken", status=1)
    assert "20260102-000000-broken is not finished" in run("package", "broken", "--bundle", "x", status=1)
    assert "There is no run 'nothing'; the runs are:" in run("package", "nothing", "--bundle", "x", status=1)
    assert "There is no run 'nothing'; the runs are:" in run("train", "--resume", "nothing", status=1)
    assert "small is the folder of a bundle, not of a run" in run("train", "--resume", str(models / "small"), status=1)
    assert run("bundles").startswith("small ")


def test_a_missing_bundle_is_one_sentence(command, files):
    _, errors, _ = command("predict", files[0], "--bundle", "nothing", status=1)
    assert errors.strip().startswith("error: There is no bundle 'nothing'")
    assert len(errors.strip().splitlines()) == 1


@pytest.mark.slow
def test_a_missing_dataset_says_how_to_get_it(command, tmp_path):
    _, errors, _ = command("audit", "--dataset", str(tmp_path), status=1)
    assert "not a FracAtlas folder" in errors
    _, errors, _ = command("audit", status=1, dataset=tmp_path / "nowhere")
    assert "python -m fracture_core download" in errors


@pytest.mark.parametrize(
    "name",
    [
        *("download", "audit", "train", "estimate", "runs", "resume", "promote", "pretrain", "package"),
        *("evaluate", "predict", "export", "bundles", "calibrate", "review", "app"),
    ],
)
def test_every_command_has_help(name, capsys):
    with pytest.raises(SystemExit) as stop:
        parser().parse_args([name, "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert "Not a medical device" in text.replace("\n", " ") and "%%" not in text


def test_lack_of_memory_is_one_sentence(monkeypatch, capsys):
    def run(_):
        raise MemoryError

    monkeypatch.setattr("fracture_core.cli.predict._predict", run)
    assert main(["predict", "x"]) == 1
    assert capsys.readouterr().err == "error: There is not enough memory.\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--alpha", "nan"), "between 0 and 1"),
        (("--beta", "1.5"), "between 0 and 1"),
        (("--confidence", "0"), "between 0 and 1"),
        (("--name", " "), "a name"),
        (("--name", "x (rule-out)"), "cannot end in"),
    ],
)
def test_calibrate_checks_what_it_is_told_before_it_scores(arguments, words, monkeypatch, capsys):
    monkeypatch.setattr(
        "fracture_core.evaluation.site_scores.open_dataset", lambda *_, **__: pytest.fail("films were opened")
    )
    assert main(["calibrate", *arguments]) == 1
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("port", ["-1", "65536", "99999999", "x"])
def test_a_port_that_there_is_not_is_refused(port, capsys):
    with pytest.raises(SystemExit) as stop:
        parser().parse_args(["app", "--port", port])
    assert stop.value.code == 2 and "--port" in capsys.readouterr().err


def test_a_folder_that_is_no_review_folder_is_named(tmp_path, capsys):
    assert main(["review", str(tmp_path)]) == 1
    assert f"{tmp_path} is not a review folder" in capsys.readouterr().err

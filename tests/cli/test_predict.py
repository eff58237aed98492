"""`predict` on the files that people and programs really hand it: one entry a file, whatever happens to the others."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest

from fracture_core.bundle.loading import load_bundle
from fracture_core.cli.predict import _FIELDS, _print_entry
from tests.hostile.bombs import largest
from tests.hostile.corpus import corpus
from tests.support import dicom_files as dicom
from tests.support.made_pictures import phantom

ROOT = Path(__file__).parents[2]
LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /dev/full, and names of any bytes")


@pytest.fixture(scope="module")
def predict(small_models):
    """Run `predict` as a process; return its finished state."""

    def run(*arguments: str | os.PathLike, cwd=ROOT, timeout=240, **more) -> subprocess.CompletedProcess:
        environment = os.environ | {"FRACTURE_MODELS_DIR": str(small_models), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "fracture_core", "predict", "--bundle", "small", *arguments]
        more = {"capture_output": True, "text": True, "env": environment | more.pop("env", {})} | more
        done = subprocess.run(command, cwd=cwd, timeout=timeout, **more)
        assert "Traceback" not in (done.stderr or "")
        return done

    return run


@pytest.fixture(scope="module")
def radiographs(small_models) -> list[Path]:
    """Radiographs that the small bundle gives an answer for."""
    return sorted((small_models.parent / "data" / "images" / "Non_fractured").glob("*.jpg"))


@pytest.mark.slow
def test_heatmaps_of_one_name_do_not_meet(predict, radiographs, tmp_path):
    """Two folders, two endings, upper and lower case, the numbers of a DICOM name, a name that is too long."""
    names = ["a/1.jpg", "b/1.jpg", "c/wrist.JPG", "c/Wrist.jfif", "CR.1.2.840.99.1", "CR.1.2.840.99.2", "a/2.jpg"]
    names += [f"{'a' * 240}1.jpg", f"{'a' * 240}2.jpg", ".jpg"]
    paths = [tmp_path / name for name in names]
    for path, source in zip(paths, radiographs, strict=False):
        path.parent.mkdir(exist_ok=True)
        shutil.copy(source, path)
    done = predict(*paths, "--heatmap", tmp_path / "out", "--json")
    entries = json.loads(done.stdout)
    heatmaps = [Path(entry["heatmap"]) for entry in entries]
    assert len({str(path).casefold() for path in heatmaps}) == len(names)
    originals = [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in paths]
    for entry, path, heatmap, original in zip(entries, paths, heatmaps, originals, strict=True):
        assert entry["file"] == str(path)
        # Colours are laid over the radiograph, so each overlay is most like the one whose it is.
        drawn = cv2.imread(str(heatmap), cv2.IMREAD_GRAYSCALE)
        alike = [np.corrcoef(drawn.flat, other.flat)[0, 1] for other in originals if other.shape == drawn.shape]
        assert np.corrcoef(drawn.flat, original.flat)[0, 1] == max(alike)
        assert np.load(heatmap.with_name(heatmap.name[:-3] + "npy")).shape == original.shape
    assert heatmaps[4:7] == [tmp_path / "out" / f"{name}.png" for name in ("CR.1.2.840.99.1", "CR.1.2.840.99.2", "2")]
    assert done.returncode == 0 and done.stderr == ""


@pytest.mark.slow
def test_a_heatmap_overwrites_nothing_but_its_own_predecessor(predict, radiographs, tmp_path):
    """Into the radiograph's own folder, and for two files of one name in two runs."""
    for folder, source in zip(("a", "b"), radiographs, strict=False):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / "wrist.png"), cv2.imread(str(source), cv2.IMREAD_GRAYSCALE))
    before = (tmp_path / "a" / "wrist.png").read_bytes()
    [beside] = json.loads(predict("wrist.png", "--heatmap", ".", "--json", cwd=tmp_path / "a").stdout)
    assert (tmp_path / "a" / "wrist.png").read_bytes() == before
    assert (tmp_path / "a" / beside["heatmap"]).name != "wrist.png"
    written = [
        json.loads(predict(tmp_path / folder / "wrist.png", "--heatmap", tmp_path / "out", "--json").stdout)
        for folder in ("a", "b", "a")
    ]
    first, second, again = (Path(entries[0]["heatmap"]) for entries in written)
    assert first == again == tmp_path / "out" / "wrist.png"
    assert second != first and second.is_file()


@pytest.mark.slow
def test_a_heatmap_that_cannot_be_written_costs_no_finding(predict, radiographs, tmp_path):
    done = predict(*radiographs[:2], "--heatmap", tmp_path / "out", "--json")
    assert done.returncode == 0
    taken = tmp_path / "file"
    taken.write_text("no folder")
    done = predict(*radiographs[:2], "--heatmap", taken, "--json")
    entries = json.loads(done.stdout)
    assert done.returncode == 1 and done.stderr == ""
    assert all(0 <= entry["probability"] <= 1 and entry["error"] is None for entry in entries)
    assert all("cannot be written" in entry["heatmap_error"] and entry["heatmap"] is None for entry in entries)
    spoken = predict(radiographs[0], "--heatmap", taken)
    assert "probability" in spoken.stdout and "cannot be written" in spoken.stderr


@LINUX
@pytest.mark.slow
def test_a_disk_that_fills_up_is_said_in_words(predict, radiographs, tmp_path, monkeypatch):
    """A limit on the size of a file fails as a full disk does: in the middle of the evidence, the larger of the two."""
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)  # what coverage writes is larger than the limit
    height, width = cv2.imread(str(radiographs[0]), cv2.IMREAD_GRAYSCALE).shape
    most = height * width * 7 // 2  # bytes a pixel: 3 in an overlay at most, 4 of evidence

    def limit():
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

    done = predict(radiographs[0], "--heatmap", tmp_path / "out", "--json", preexec_fn=limit)
    [entry] = json.loads(done.stdout)
    assert entry["probability"] is not None
    assert re.search(r"cannot be written to .* \([A-Za-z ]+\)\.$", entry["heatmap_error"])


@LINUX
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["folder", "pipe", "device"])
def test_what_is_no_file_in_a_heatmaps_place_is_neither_read_nor_replaced(predict, radiographs, tmp_path, kind):
    taken = tmp_path / f"{radiographs[0].stem}.png"
    if kind == "pipe":
        os.mkfifo(taken)
    elif kind == "folder":
        taken.mkdir()
    else:
        taken.symlink_to("/dev/full")
    [entry] = json.loads(predict(radiographs[0], "--heatmap", tmp_path, "--json").stdout)
    assert entry["heatmap_error"] is None
    assert Path(entry["heatmap"]).is_file() and Path(entry["heatmap"]) != taken
    assert os.path.lexists(taken) and not taken.is_file()


@pytest.mark.slow
def test_an_image_without_an_answer_is_said_to_have_none(predict, radiographs, tmp_path):
    blank = tmp_path / "blank.png"
    cv2.imwrite(str(blank), np.full((300, 250), 30, np.uint8))
    done = predict(blank, radiographs[0], "--json", "--heatmap", tmp_path / "out")
    first, second = json.loads(done.stdout)
    assert first["finding"].startswith("not read") and first["assessed"] is False
    assert first["reason"].endswith(".") and first["probability"] is first["logit"] is first["heatmap"] is None
    assert (second["assessed"], second["reason"]) == (True, None) and second["heatmap"]
    spoken = predict(blank)
    assert f"{first['finding']}. {first['reason']}" in spoken.stdout and "probability" not in spoken.stdout
    assert done.returncode == spoken.returncode == 0


@pytest.mark.slow
def test_frames_and_windows_are_counted_from_one(predict, tmp_path):
    file = tmp_path / "two.dcm"
    frames = np.stack([phantom(), phantom()[:, ::-1]]).astype(np.uint16) * 16
    window = {"BitsStored": 12, "WindowCenter": [60000, 2048], "WindowWidth": [10, 4096]}
    file.write_bytes(dicom.file_bytes(dicom.dataset(frames, NumberOfFrames=2, **window)))
    [first] = json.loads(predict(file, "--json").stdout)
    [second] = json.loads(predict(file, "--json", "--window", "2", "--frame", "2").stdout)
    assert "this is number 1." in " ".join(first["warnings"]) and "blank" in first["reason"]
    assert "this is number 2." in " ".join(second["warnings"]) and "blank" not in (second["reason"] or "")
    for option, word in (("--window", "window"), ("--frame", "frame")):
        done = predict(file, "--json", option, "3")
        assert done.returncode == 1
        assert word in json.loads(done.stdout)[0]["error"]
    assert predict(file, "--frame", "0").returncode == 2


@pytest.mark.slow
@LINUX
@pytest.mark.parametrize("encoding", ["utf-8:strict", "ascii:strict", "latin-1:strict"])
def test_names_that_the_output_cannot_encode_are_escaped(predict, radiographs, tmp_path, encoding):
    odd = os.path.join(os.fsencode(tmp_path), b"h\xe4nd \x1b[31m\n.jpg")  # noqa: PTH118 (bytes)
    shutil.copy(radiographs[0], odd)
    other = shutil.copy(radiographs[1], tmp_path / "手.jpg")
    environment = {"PYTHONIOENCODING": encoding}
    done = predict(odd, other, env=environment, text=False)
    assert done.returncode == 0
    heads = [line for line in done.stdout.splitlines() if b"probability" in line]
    assert len(heads) == 2 and b"h\\udce4nd \\x1b[31m\\n.jpg" in heads[0]
    entries = json.loads(predict(odd, other, "--json", env=environment).stdout)
    assert [os.fsencode(entry["file"]) for entry in entries] == [odd, os.fsencode(other)]


@pytest.mark.slow
@LINUX
@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_full_disk_is_one_sentence(predict, radiographs, form):
    with Path("/dev/full").open("w") as full:
        done = predict(radiographs[0], *form, capture_output=False, stdout=full, stderr=subprocess.PIPE)
        assert done.returncode == 1
        assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1 and "No space left" in done.stderr
        silent = predict(radiographs[0], *form, capture_output=False, stdout=full, stderr=full)
        assert silent.returncode == 1


def test_an_unknown_heatmap_method_is_said_before_anything_is_read(predict, radiographs, tmp_path):
    done = predict(radiographs[0], "--heatmap", tmp_path, "--method", "tea-leaves")
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("error: There is no heatmap method 'tea-leaves'") and done.stderr.count("\n") == 1


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.filterwarnings("ignore")  # making the hostile files warns of what is wrong with them
def test_four_hundred_hostile_and_sound_files_in_one_batch(predict, radiographs, tmp_path):
    """One entry a file in the order given, status 1, and nothing on standard error."""
    # What is gigabytes to decode or tens of megabytes to make has tests of its own.
    large = {name for name, _ in largest()}
    cases = (case for case in corpus() if case.filename is None and case.name not in large)
    made = ((case.name, data) for case in cases if len(data := case.make()) < 2**20)
    paths = []
    for number, (name, data) in enumerate(islice(made, 380)):
        paths.append(tmp_path / f"{number} {name.replace('/', ' ')[:60]}")
        paths[-1].write_bytes(data)
    paths[10:10] = radiographs[:20]
    paths += [tmp_path / "nowhere.jpg", tmp_path, *radiographs[20:24]]
    assert len(paths) >= 400
    done = predict(*paths, "--json", "--heatmap", tmp_path / "out", timeout=1700)
    entries = json.loads(done.stdout)
    assert [entry["file"] for entry in entries] == [str(path) for path in paths]
    assert done.returncode == 1
    assert done.stderr == ""
    for entry in entries:
        if entry["error"]:
            assert entry["error"].endswith(".") and entry["finding"] is None
            assert "not foreseen" not in entry["error"], entry
        else:
            assert entry["finding"] and entry["heatmap_error"] is None
    sound = {str(path) for path in radiographs}
    assert all(entry["probability"] is not None for entry in entries if entry["file"] in sound)
    drawn = [entry["heatmap"] for entry in entries if entry["heatmap"]]
    assert len(set(drawn)) == len(drawn)


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.1, 0.4, "Unlikely < 0.100; indeterminate 0.100 to 0.400; likely ≥ 0.400."),
        (0.1, 0.1, "Look again at 0.100 or above."),
        (0.9, 0.4, "Unlikely < 0.400; likely ≥ 0.400."),
        (0.0, np.nextafter(1, 2), "Never “unlikely”; never “likely”; otherwise indeterminate."),
    ],
)
def test_the_thresholds_are_said_as_they_are_used(small_models, low, high, words, capsys):
    bundle = load_bundle("small", small_models)
    points = tuple(replace(bundle.points[name], threshold=at) for name, at in (("rule_out", low), ("rule_in", high)))
    entry = dict.fromkeys(_FIELDS) | {"file": "a", "finding": "f", "assessed": True, "probability": 0.779}
    _print_entry(entry | {"warnings": []}, bundle, points)
    assert capsys.readouterr().out == f"a: f, probability 0.779\n  {words} Model: {bundle.version}.\n"

"""What a bad day brings: full and read-only disks, vanished files, two apps at once, a kill in the middle of a save."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from fracture_core.bundle import saved_points
from fracture_core.bundle.loading import load_bundle
from fracture_core.bundle.manifest import FILES, install, verify, write_manifest
from fracture_core.bundle.validation import BundleError
from fracture_core.data.thumbnails import ThumbnailStore, thumbnails
from fracture_core.files import atomic_write
from fracture_core.inference.assessment import UNFAMILIAR, not_read
from fracture_core.metrics.operating_points import OperatingPoint
from pages.parts.shared import sidebar as frame

ROOT = Path(__file__).parents[2]


def point(name: str) -> OperatingPoint:
    return OperatingPoint(name, 0.3, "by eye", "val", 0.9, 0.5)


def names(root: Path) -> list[str]:
    return [one.name for one in load_bundle("small", root).chosen_points()]


@pytest.fixture
def models(small_models, tmp_path) -> Path:
    return shutil.copytree(small_models, tmp_path / "models")


@pytest.fixture
def mounted(tmp_path) -> Iterator:
    """Give `mounted(size)`: a file system of its own of so many bytes; skipped where we may not mount one."""
    made: list[Path] = []

    def mount(size: int) -> Path:
        place = tmp_path / f"disk{len(made)}"
        place.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "fracture-test", str(place)]
        if not sys.platform.startswith("linux") or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("needs the right to mount a file system: run as root on Linux")
        made.append(place)
        return place

    yield mount
    for place in made:
        subprocess.run(["umount", "-l", str(place)], check=True)


def read_only(place: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)


# --- the disk ------------------------------------------------------------------------------------------------------


def test_a_full_disk_keeps_what_was_saved_and_says_so(small_models, mounted):
    root = mounted(64 * 2**20)
    shutil.copytree(small_models / "small", root / "small")
    bundle = load_bundle("small", root)
    bundle.save_point(point("before"))
    filler = root / "filler"
    with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(bytes(4096))
    with pytest.raises(BundleError, match=r"cannot be saved .*No space left"):
        bundle.save_point(*(replace(point(f"p{n}"), note="x" * 400) for n in range(20)))
    assert names(root) == ["before"]
    assert [p.name for p in (root / "small").iterdir() if p.name.startswith(".")] == []
    filler.unlink()
    bundle.save_point(point("after"))
    assert names(root) == ["before", "after"]


def test_a_write_that_stops_in_its_middle_leaves_the_file_as_it_was(tmp_path):
    """The same without mounting: the system refuses any file of more than 1,000 bytes."""
    path = tmp_path / "kept.json"
    path.write_text("earlier")
    code = f"""
import resource
from fracture_core.files import write_text
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_text({str(path)!r}, "x" * 5000)
except OSError as error:
    print(error.strerror)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "File too large"
    assert path.read_text() == "earlier"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("bad", ["full", "read-only"])
def test_without_room_for_a_cache_the_pictures_are_made_all_the_same(small_models, mounted, bad):
    place = mounted(32 * 1024)
    if bad == "full":
        with (place / "filler").open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
            while True:
                file.write(bytes(4096))
    else:
        read_only(place)
    images = sorted((small_models.parent / "data" / "images").glob("*/*.jpg"))[:3]
    made = thumbnails({path.stem: path for path in images}, store=ThumbnailStore(place / "pictures.sqlite"))
    assert set(made) == {path.stem for path in images}


def test_on_a_read_only_disk_radiographs_are_read_and_saving_is_refused(small_models, mounted):
    """Home, cache, temporary folder and models, all of them read-only."""
    place = mounted(64 * 2**20)
    shutil.copytree(small_models / "small", place / "small")
    read_only(place)
    image = next((small_models.parent / "data" / "images").glob("*/*.jpg"))
    code = f"""
from pathlib import Path
from fracture_core.bundle.validation import BundleError
from fracture_core.metrics.operating_points import OperatingPoint
from fracture_core.inference.predictor import load_predictor
from fracture_core.imaging.radiograph import read_radiograph
reader = load_predictor("small", Path({str(place)!r}))
print(reader.predict(read_radiograph({str(image)!r})).triage)
try:
    reader.bundle.save_point(OperatingPoint("p", 0.3, "by eye", "val", 0.9, 0.5))
except BundleError as error:
    print(error)
"""
    folders = dict.fromkeys(("HOME", "TMPDIR", "XDG_CACHE_HOME", "FRACTURE_CACHE_DIR", "XDG_CONFIG_HOME"), str(place))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=os.environ | folders, timeout=240
    )
    assert done.returncode == 0, done.stderr[-1000:]
    finding, refusal = done.stdout.strip().splitlines()
    # An untrained network's two points may be one.
    answers = ("fracture likely", "indeterminate", "fracture unlikely", "above threshold", "below threshold")
    assert finding in (*answers, not_read(UNFAMILIAR))
    assert refusal.startswith("The point cannot be saved beside small (")


# --- files that go away ----------------------------------------------------------------------------------------------


@pytest.fixture
def app(models, small_models, monkeypatch, tmp_path) -> AppTest:
    st.cache_resource.clear()
    monkeypatch.setenv("FRACTURE_MODELS_DIR", str(models))
    monkeypatch.setenv("FRACTURE_CACHE_DIR", str(tmp_path / "cache"))
    shutil.copytree(small_models.parent / "data", tmp_path / "data")
    monkeypatch.setenv("FRACATLAS_DIR", str(tmp_path / "data"))
    return AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=200)


def radiograph(small_models, place: int = 0) -> list[tuple[str, bytes, str]]:
    path = sorted((small_models.parent / "data" / "images").glob("*/*.jpg"))[place]
    return [(path.name, path.read_bytes(), "image/jpeg")]


def said(app: AppTest, words: str) -> bool:
    return any(words in error.value.replace("\\", "") for error in app.error)


def test_a_missing_model_file_is_a_sentence(app, models):
    (models / "small" / "weights.safetensors").unlink()
    app.run()
    assert not app.exception
    assert said(app, "incomplete: weights.safetensors is missing")


def test_a_model_file_that_goes_missing_under_the_running_app_is_a_sentence(app, models, small_models):
    app.run()
    (models / "small" / "predictions.csv").unlink()
    app.file_uploader[0].set_value(radiograph(small_models)).run()
    assert not app.exception and not app.error  # what was verified is in memory
    st.cache_resource.clear()
    app.run()
    assert not app.exception
    assert said(app, "incomplete: predictions.csv is missing")


def test_a_dataset_that_vanishes_while_it_is_browsed_is_a_sentence(app, tmp_path):
    app.run()
    assert not app.exception
    (tmp_path / "data").rename(tmp_path / "elsewhere")
    app.run()
    assert not app.exception
    app.switch_page("pages/dataset.py").run()
    assert not app.exception
    assert "FracAtlas is not installed" in [heading.value for heading in app.subheader]
    (tmp_path / "elsewhere").rename(tmp_path / "data")
    app.run()
    assert not app.exception
    shutil.rmtree(tmp_path / "data" / "images")
    app.run()
    assert not app.exception
    (tmp_path / "data" / "dataset.csv").unlink()
    app.run()
    assert not app.exception


# --- the clock -------------------------------------------------------------------------------------------------------


def test_a_clock_that_goes_back_changes_no_order(models, monkeypatch):
    bundle = load_bundle("small", models)

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2001, 1, 1, tzinfo=tz or UTC)

    saved_points.save_single(bundle, point(""), "first")
    monkeypatch.setattr(saved_points, "datetime", Clock)
    saved_points.save_single(bundle, point(""), "second")
    kept = bundle.chosen_points()
    assert [one.name for one in kept] == ["first", "second"]
    assert kept[1].created < kept[0].created
    assert list(saved_points.offered(kept)) == ["first", "second"]


def test_a_bundle_published_by_a_clock_that_went_back_is_noticed(models, monkeypatch):
    """Even where the new file has the old one's very time."""
    monkeypatch.setenv("FRACTURE_MODELS_DIR", str(models))
    earlier = frame.verified("small")
    time = (models / "small" / "bundle.json").stat().st_mtime_ns
    made = shutil.copytree(models / "small", models / ".making")
    (made / "card.md").write_text("# Another card\n")
    write_manifest(made, temperature=1.0, created=earlier.created, provenance={})
    os.utime(made / "bundle.json", ns=(time, time))
    install(made, "small", models)
    assert frame.verified("small").card == "# Another card\n"


# --- several at once -------------------------------------------------------------------------------------------------

_SAVER = """
import sys
from pathlib import Path
from fracture_core.bundle.loading import load_bundle
from fracture_core.metrics.operating_points import OperatingPoint
bundle = load_bundle("small", Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for n in range(int(sys.argv[3])):
    bundle.save_point(OperatingPoint(f"{sys.argv[2]} {n}", 0.3, "by eye", "val", 0.9, 0.5, note="x" * 300))
    print(n, flush=True)
"""


def saver(models: Path, name: str, count: int) -> subprocess.Popen:
    command = [sys.executable, "-c", _SAVER, str(models), name, str(count)]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_two_apps_and_two_sessions_that_save_at_once_lose_nothing(models):
    apps = [saver(models, name, 20) for name in ("one", "two")]
    for app in apps:
        assert app.stdout.readline() == "ready\n"
    bundle = load_bundle("small", models)
    sessions = [
        threading.Thread(target=lambda k=k: [bundle.save_point(point(f"{k} {n}")) for n in range(20)])
        for k in ("three", "four")
    ]
    for app in apps:
        app.stdin.write("go\n")
        app.stdin.flush()
    for session in sessions:
        session.start()
    for session in sessions:
        session.join()
    for app in apps:
        app.communicate()
        assert app.returncode == 0
    kept = names(models)
    for who in ("one", "two", "three", "four"):
        assert [name for name in kept if name.startswith(who)] == [f"{who} {n}" for n in range(20)]
    assert len(kept) == 80


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_kill_in_the_middle_of_a_save_loses_nothing_that_was_saved(models, how):
    for attempt in range(3):
        app = saver(models, f"{attempt}", 10_000)
        assert app.stdout.readline() == "ready\n"
        app.stdin.write("go\n")
        app.stdin.flush()
        for _ in range(5 + 3 * attempt):
            last = int(app.stdout.readline())
        app.send_signal(how)
        told = [int(line) for line in app.communicate()[0].split()]
        last = max([last, *told])
        kept = [name for name in names(models) if name.startswith(f"{attempt} ")]
        # The last one may have been saved before it could be told.
        assert kept[: last + 1] == [f"{attempt} {n}" for n in range(last + 1)]
        assert len(kept) <= last + 2
    load_bundle("small", models).save_point(point("after"))
    assert names(models)[-1] == "after"


_PUBLISHER = """
import sys
from pathlib import Path
from fracture_core.bundle.manifest import FILES, install, write_manifest
root = Path(sys.argv[1])
for n in range(10_000):
    made = root / f".making-{n}"
    made.mkdir()
    for file in FILES:
        (made / file).write_text(f"{file} {n}")
    write_manifest(made, temperature=1.0, created="2026-01-01", provenance={"n": n})
    install(made, "b", root)
    print(n, flush=True)
"""


def contents(folder: Path) -> int:
    """The number of a published folder, once every hash fits."""
    manifest = json.loads((folder / "bundle.json").read_text())
    verify(folder, manifest)
    return manifest["provenance"]["n"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere two renames follow each other")
def test_publishing_is_one_step_and_a_kill_in_it_loses_no_bundle(tmp_path):
    child = subprocess.Popen(
        [sys.executable, "-c", _PUBLISHER, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout.readline() == "0\n"
    for _ in range(3000):
        # Never missing: read without looking whether it is there.
        assert json.loads((tmp_path / "b" / "bundle.json").read_bytes())["format"] == 1
    child.kill()
    last = max(map(int, child.communicate()[0].split()))
    assert contents(tmp_path / "b") in (last, last + 1)
    made = tmp_path / ".making-new"
    made.mkdir()
    for file in FILES:
        (made / file).write_text("new")
    write_manifest(made, temperature=1.0, created="2026-01-01", provenance={"n": -1})
    install(made, "b", tmp_path)
    assert contents(tmp_path / "b") == -1
    kept = {contents(path) for path in tmp_path.glob("b.*")}
    assert kept >= set(range(last + 1))


def test_an_interrupted_publishing_is_finished_by_the_next(models):
    """As a kill between the exchange and the last rename leaves it."""
    first = load_bundle("small", models).sha256
    (models / "small").rename(models / ".small.replaced")
    shutil.copytree(models / ".small.replaced", models / ".making")
    install(models / ".making", "small", models)
    assert load_bundle("small.1", models).sha256 == first
    assert not (models / ".small.replaced").exists()


def test_a_failed_rename_leaves_no_temporary_file(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="directory"), atomic_write(tmp_path / "folder") as temporary:
        temporary.write_text("x")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]

"""The wheel: what is in it, and that a copy installed from it reads, shows the app and trains far from the clone."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.training import miniature

PROJECT = Path(__file__).parents[1]
RADIOGRAPH = PROJECT / "pages" / "examples" / "IMG0000512.jpg"
pytestmark = pytest.mark.slow

#: `train` with the tiny network in DenseNet121's place; what is trained is the installed copy's business.
TRAIN = """
import sys
from pathlib import Path
sys.path.append(sys.argv.pop(1))
import keras
from fracture_core.__main__ import main
from tests.support.training import tiny_densenet
keras.applications.DenseNet121 = tiny_densenet
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel of the tree as it is."""
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=PROJECT, check=True, capture_output=True, text=True)
    [file] = folder.glob("*.whl")
    return file


class Installed:
    """A copy of the wheel's own, beside the tests' environment, and a user with an empty home."""

    def __init__(self, wheel: Path, folder: Path):
        self.site, self.home, self.here = folder / "site", folder / "home", folder / "here"
        self.home.mkdir(parents=True)
        self.here.mkdir()
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--no-index"]
        subprocess.run([*pip, "--target", str(self.site), str(wheel)], check=True, capture_output=True)
        self.data = self.home / ".local" / "share" / "fracture-reader"
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("FRACTURE_", "FRACATLAS", "XDG_"))}
        self.environment = kept | {
            "HOME": str(self.home),
            "PYTHONPATH": str(self.site),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        self.script = self.site / "bin" / "fracture-reader"

    def run(self, *arguments: str) -> str:
        """Run the console script in a folder that holds nothing, and return what it prints."""
        return self._checked([sys.executable, "-P", str(self.script), *arguments])

    def python(self, code: str, *arguments: str) -> str:
        """Run code with the copy on its path, and return what it prints."""
        return self._checked([sys.executable, "-P", "-c", code, *arguments])

    def files(self) -> dict[str, int]:
        """The installed files, and when each was written."""
        return {str(path): path.stat().st_mtime_ns for path in self.site.rglob("*")}

    def _checked(self, command: list[str]) -> str:
        done = subprocess.run(command, cwd=self.here, env=self.environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Iterator[Installed]:
    """An installed copy; nothing may be written into it, whatever the tests do."""
    if sys.platform != "linux":
        pytest.skip("looks for the user's folders where Linux has them")
    copy = Installed(wheel, tmp_path_factory.mktemp("installed"))
    before = copy.files()
    yield copy
    assert copy.files() == before
    assert list(copy.here.iterdir()) == []


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return miniature(tmp_path_factory.mktemp("data"))


def test_it_holds_the_app_and_the_bundles_inside_the_package(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"fracture_core", "fracture_reader"}
    app = {name.removeprefix("fracture_core/app/") for name in names if name.startswith("fracture_core/app/")}
    tracked = subprocess.run(
        ["git", "ls-files", "streamlit_app.py", "pages", ".streamlit", "models"],
        cwd=PROJECT, capture_output=True, text=True,
    )  # fmt: skip
    if tracked.returncode == 0:
        assert set(tracked.stdout.split()) <= app
    assert {"streamlit_app.py", "pages/diagnose.py", ".streamlit/config.toml", ".streamlit/dark.toml"} <= app
    assert {path.name for path in (PROJECT / "fracture_core" / "recipes").glob("*.json")} == {
        Path(name).name for name in names if name.startswith("fracture_core/recipes/")
    }
    fonts = {name.rpartition("/")[2][:-4] for name in names if name.endswith(".ttf")}
    assert fonts
    assert {f"fracture_core/reporting/fonts/LICENCE-{font}.txt" for font in fonts} <= names
    unwanted = ("tests/", "secrets.toml", "current.json", "chosen_points.json", ".lock", ".pyc")
    assert [name for name in names if any(part in name for part in unwanted)] == []


def in_the_clone(*arguments: str) -> str:
    """Run a command of the clone, with its own bundles, and return what it prints."""
    environment = {name: value for name, value in os.environ.items() if name != "FRACTURE_MODELS_DIR"}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=True)
    return done.stdout


def test_it_reads_a_radiograph_as_the_clone_does(installed):
    found = json.loads(installed.run("predict", str(RADIOGRAPH), "--json"))
    assert found == json.loads(in_the_clone("-m", "fracture_core", "predict", str(RADIOGRAPH), "--json"))
    assert 0 < found[0]["probability"] < 1


def test_it_trains_into_the_users_folder_beside_the_bundles_that_ship(installed, dataset):
    shipped = {one["name"] for one in json.loads(installed.run("bundles", "--json"))}
    recipe = installed.home / "little.json"
    choices = {"name": "little", "image_size": 32, "start": "none", "epochs": 1, "batch_size": 8, "leak_free": False}
    recipe.write_text(json.dumps(choices), "utf-8")
    trained = installed.python(TRAIN, str(PROJECT), "train", str(recipe), "--dataset", str(dataset.root))
    assert str(installed.data / "models" / "little") in trained
    assert len(list((installed.data / "runs").glob("*-little"))) == 1
    installed.run("promote", "little")
    assert (installed.data / "models" / "current.json").is_file()
    [first, *others] = json.loads(installed.run("bundles", "--json"))
    assert first["name"] == "little" and {one["name"] for one in others} == shipped


@pytest.mark.browser
def test_it_opens_the_app(installed, browser, tmp_path):
    from tests.browser.app import Server

    command = [
        sys.executable,
        "-P",
        str(installed.script),
        "app",
        "--port",
        "{port}",
        "--",
        "--server.headless",
        "true",
    ]
    server = Server(tmp_path / "log", command=command, folder=installed.here, **installed.environment)
    try:
        server.wait()
        page = browser.new_page()
        page.goto(server.url)
        page.locator("input[type=file]").set_input_files(str(RADIOGRAPH), timeout=120_000)
        card = page.locator(".answer")
        card.wait_for(timeout=120_000)
        assert card.inner_text()
        background = "getComputedStyle(document.querySelector('.stApp')).backgroundColor"
        assert max(map(int, re.findall(r"\d+", page.evaluate(background))[:3])) < 60  # dark, as its own settings say
        page.close()
    finally:
        server.stop()

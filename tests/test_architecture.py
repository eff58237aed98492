"""The floors: nothing imports upwards, nothing goes round in a circle, and diagnosing stays light."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Collection, Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
CORE = PROJECT / "fracture_core"
ROOMS = {path.stem for path in CORE.glob("*.py")}

#: What a user asks for. A room that is in neither set lies between the two.
ASKED_FOR = {
    *("predict", "answer", "worklist", "report"),
    *("train", "learner", "pretrain", "packaging", "evaluate"),
    *("job", "job_process", "speed", "commands", "training_commands", "__main__"),
}
#: Files and the dataset as they are: the ground knows nothing of networks.
GROUND = {
    *("errors", "storage", "fracatlas", "image_list", "own_dataset", "dataset", "unpack", "download"),
    *("radiograph", "reading", "jpeg", "raster", "orientation", "greyscale"),
    *("dicom", "dicom_dataset", "dicom_frame", "voi"),
}
#: What the pages may bring beside the core: drawing and wiring, no arithmetic and no networks.
NOT_FOR_PAGES = {"tensorflow", "keras", "torch", "openvino", "sklearn", "scipy", "cv2"}


def _imports(node: ast.AST) -> Iterator[str]:
    """Yield every module that the code imports, now or later, but for what only type checkers see."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom) and child.module:
            yield child.module
            yield from (f"{child.module}.{alias.name}" for alias in child.names)
        yield from _imports(child)


def _modules(path: Path) -> set[str]:
    return set(_imports(ast.parse(path.read_text("utf-8"))))


def _rooms(path: Path) -> set[str]:
    parts = (name.split(".") for name in _modules(path))
    return {name[1] for name in parts if name[0] == "fracture_core" and len(name) > 1 and name[1] in ROOMS}


CORE_IMPORTS = {room: _rooms(CORE / f"{room}.py") for room in sorted(ROOMS)}


def test_no_circles() -> None:
    assert len(list(TopologicalSorter(CORE_IMPORTS).static_order())) == len(ROOMS)


def _floor(room: str) -> int:
    return 2 if room in ASKED_FOR else 0 if room in GROUND else 1


def test_nothing_imports_upwards() -> None:
    upwards = {(room, other) for room, read in CORE_IMPORTS.items() for other in read if _floor(other) > _floor(room)}
    assert upwards == set()


def _foreign(paths: Collection[Path], unwanted: set[str]) -> set[tuple[str, str]]:
    """(file, library) wherever one of the files imports an unwanted library."""
    found = {(path.name, name.partition(".")[0]) for path in paths for name in _modules(path)}
    return {(file, library) for file, library in found if library in unwanted}


def test_the_core_knows_no_page() -> None:
    unwanted = {"streamlit", "pages", "streamlit_app", "tests", "benchmarks"}
    assert _foreign(list(CORE.glob("*.py")), unwanted) == set()


def test_pages_run_no_networks_and_do_no_arithmetic() -> None:
    pages = [PROJECT / "streamlit_app.py", *(PROJECT / "pages").rglob("*.py")]
    assert len(pages) > 1
    assert _foreign(pages, NOT_FOR_PAGES) == set()


@pytest.mark.parametrize("room", ["predict", "engine", "bundle", "radiograph", "gradcam", "overlay"])
def test_diagnosing_imports_no_training_library(room: str) -> None:
    code = (
        f"import sys, json, fracture_core.{room}; print(json.dumps(sorted({{m.split('.')[0] for m in sys.modules}})))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PROJECT, check=True)
    assert not set(json.loads(done.stdout)) & {"tensorflow", "keras", "torch", "sklearn", "pandas", "streamlit"}


def test_running_the_engine_imports_no_training_library(tmp_path: Path) -> None:
    from fracture_core.weights import save_weights
    from tests.networks import SIZE, network

    _, graph, weights = network()
    save_weights(tmp_path / "weights.safetensors", weights)
    (tmp_path / "network.json").write_text(json.dumps(graph.to_json()))
    code = f"""
import json, sys
from pathlib import Path
import numpy as np
from fracture_core.engine import Engine
from fracture_core.gradcam import METHODS
from fracture_core.graph import Graph
from fracture_core.weights import load_weights
folder = Path({str(tmp_path)!r})
weights = load_weights(folder / "weights.safetensors")
engine = Engine(Graph.from_json(json.loads((folder / "network.json").read_text())), weights)
outputs = engine.run(np.zeros((2, {SIZE}, {SIZE}), np.uint8))
one = {{name: values[0] for name, values in outputs.items()}}
for method in METHODS.values():
    method.evidence(one, weights["global_logit/kernel"])
print(json.dumps(sorted({{m.split(".")[0] for m in sys.modules}})))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PROJECT, check=True)
    assert not set(json.loads(done.stdout)) & {"tensorflow", "keras", "torch", "sklearn", "pandas", "streamlit"}

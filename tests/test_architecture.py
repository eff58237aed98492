"""The order of the subpackages: nothing imports upwards, nothing imports in a circle, and diagnosing stays light."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Collection, Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
CORE = PROJECT / "fracture_core"
MODULES = {".".join(path.relative_to(CORE).with_suffix("").parts): path for path in CORE.rglob("*.py")}

#: From the lowest floor to the highest. A module imports from its own subpackage and from those above it in this list.
ORDER = (
    "base",
    "imaging",
    "metrics",
    "data",
    "network",
    "explain",
    "bundle",
    "inference",
    "evaluation",
    "training",
    "pretraining",
    "jobs",
    "reporting",
    "cli",
)
#: Subpackages that an import below would be in order for, and that must not be used all the same.
FORBIDDEN = {
    "metrics": {"imaging"},
    "network": {"imaging", "metrics", "data"},
    "explain": {"metrics", "data", "network"},
    "bundle": {"imaging", "explain"},
    "inference": {"data"},
}
MOST_MODULES_IN_A_FOLDER = 20
MOST_LINES_IN_A_MODULE = 300
MOST_LINES_IN_A_FUNCTION = 45  # without its docstring
#: What the diagnose path keeps out of memory: seconds of start-up, and hundreds of megabytes.
TRAINING_LIBRARIES = {"tensorflow", "keras", "torch", "sklearn", "pandas", "streamlit"}
#: What the pages may not import: they read widgets and draw, without networks and arithmetic.
NOT_FOR_PAGES = {"tensorflow", "keras", "torch", "openvino", "sklearn", "scipy", "cv2"}


@cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def _imports(node: ast.AST) -> Iterator[str]:
    """Yield every module that the code imports: at import, later in a function, or for type checkers alone."""
    for child in ast.walk(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom) and child.module:
            yield child.module
            yield from (f"{child.module}.{alias.name}" for alias in child.names)


@cache
def _names(path: Path) -> set[str]:
    return set(_imports(_parsed(path)))


def _core_imports(path: Path) -> set[str]:
    within = {name.removeprefix("fracture_core.") for name in _names(path) if name.startswith("fracture_core.")}
    return within & set(MODULES)


@cache
def _graph() -> dict[str, set[str]]:
    """Return the modules that each module imports. Read in the tests, as every process collects this file."""
    return {module: _core_imports(path) for module, path in MODULES.items()}


def _edges() -> set[tuple[str, str]]:
    return {(a, b) for a, read in _graph().items() for b in read}


def _subpackage(module: str) -> str:
    """Return the subpackage of a module; modules beside them are the base, and `__main__` belongs to the commands."""
    if module == "__main__":
        return "cli"
    return module.partition(".")[0] if "." in module else "base"


def test_every_subpackage_has_a_place_in_the_order() -> None:
    assert {_subpackage(module) for module in MODULES} == set(ORDER)


def test_no_circles() -> None:
    graph = {module: read - {module} for module, read in _graph().items()}
    assert len(list(TopologicalSorter(graph).static_order())) == len(MODULES)


def test_nothing_imports_upwards() -> None:
    upwards = {(a, b) for a, b in _edges() if ORDER.index(_subpackage(b)) > ORDER.index(_subpackage(a))}
    assert upwards == set()


def test_nothing_imports_what_it_has_no_business_with() -> None:
    assert {(a, b) for a, b in _edges() if _subpackage(b) in FORBIDDEN.get(_subpackage(a), ())} == set()


def test_subpackages_re_export_nothing() -> None:
    # An import in an `__init__` would load TensorFlow or pandas into a process that only diagnoses.
    assert {str(p) for p in CORE.rglob("__init__.py") if p.parent != CORE and _names(p)} == set()


def test_folders_and_modules_stay_small() -> None:
    roots = [CORE, PROJECT / "pages", PROJECT / "studies", PROJECT / "benchmarks"]
    files = [path for root in roots for path in root.rglob("*.py")]
    folders = {folder: sum(path.parent == folder for path in files) for folder in {path.parent for path in files}}
    assert {str(f): n for f, n in folders.items() if n > MOST_MODULES_IN_A_FOLDER + 1} == {}  # `__init__` on top
    files += (PROJECT / "pages").rglob("*.js")
    long = {str(p): n for p in files if (n := len(p.read_text("utf-8").splitlines())) > MOST_LINES_IN_A_MODULE}
    assert long == {}


def _length(function: ast.FunctionDef) -> int:
    """Return the lines of a function, its signature counted and its docstring not."""
    first = function.body[0]
    text = ast.get_docstring(function, clean=False) is not None
    documented = first.end_lineno - first.lineno + 1 if text else 0
    return function.end_lineno - function.lineno + 1 - documented


def test_functions_fit_a_screen() -> None:
    roots = [CORE, PROJECT / "pages", PROJECT / "studies", PROJECT / "benchmarks"]
    long = {
        f"{path}:{node.lineno} {node.name}": _length(node)
        for root in roots
        for path in root.rglob("*.py")
        for node in ast.walk(_parsed(path))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and _length(node) > MOST_LINES_IN_A_FUNCTION
    }
    assert long == {}


def _foreign(paths: Collection[Path], unwanted: set[str]) -> set[tuple[str, str]]:
    """Return (file, library) for each unwanted library that one of the files imports."""
    found = {(path.name, name.partition(".")[0]) for path in paths for name in _names(path)}
    return {(file, library) for file, library in found if library in unwanted}


def test_the_core_knows_no_page() -> None:
    unwanted = {"streamlit", "pages", "streamlit_app", "tests", "benchmarks", "studies"}
    assert _foreign(list(MODULES.values()), unwanted) == set()


def test_pages_run_no_networks_and_do_no_arithmetic() -> None:
    pages = [PROJECT / "streamlit_app.py", *(PROJECT / "pages").rglob("*.py")]
    assert len(pages) > 1
    assert _foreign(pages, NOT_FOR_PAGES) == set()


def _loaded_by(code: str) -> set[str]:
    """Return the top-level packages in memory after a new process has run the code."""
    code += "\nimport json, sys; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PROJECT, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_what_diagnosing_uses_imports_no_training_library() -> None:
    modules = (
        *("cli.predict", "bundle.loading", "explain.heatmap_methods", "explain.overlay", "imaging.dicom.reader"),
        *("imaging.radiograph", "inference.engine", "inference.predictor", "reporting.finding_text", "__main__"),
    )
    loaded = _loaded_by("\n".join(f"import fracture_core.{module}" for module in modules))
    assert loaded & TRAINING_LIBRARIES == set()


def test_thresholds_and_calibration_need_numpy_alone() -> None:
    loaded = _loaded_by("import fracture_core.metrics.calibration, fracture_core.metrics.operating_points")
    assert loaded & (TRAINING_LIBRARIES | {"scipy", "openvino", "cv2"}) == set()


def test_loading_a_bundle_imports_no_training_library(small_models: Path) -> None:
    loaded = _loaded_by(
        "from pathlib import Path\nfrom fracture_core.inference.predictor import load_predictor\n"
        f"load_predictor('small', Path({str(small_models)!r}))"
    )
    assert loaded & TRAINING_LIBRARIES == set()


def test_running_the_engine_imports_no_training_library(tmp_path: Path) -> None:
    from fracture_core.network.weights import save_weights
    from tests.support.networks import SIZE, network

    _, graph, weights = network()
    save_weights(tmp_path / "weights.safetensors", weights)
    (tmp_path / "network.json").write_text(json.dumps(graph.to_json()))
    code = f"""
import json, sys
from pathlib import Path
import numpy as np
from fracture_core.inference.engine import Engine
from fracture_core.explain.heatmap_methods import METHODS
from fracture_core.inference.evidence_layer import evidence_head, with_evidence
from fracture_core.network.graph import Graph
from fracture_core.network.weights import load_weights
folder = Path({str(tmp_path)!r})
weights = load_weights(folder / "weights.safetensors")
graph = Graph.from_json(json.loads((folder / "network.json").read_text()))
engine, head = Engine(with_evidence(graph), weights), evidence_head(graph, weights)
outputs = engine.run(np.zeros((2, {SIZE}, {SIZE}), np.uint8))
one = {{name: values[0] for name, values in outputs.items()}}
for method in METHODS.values():
    method.evidence(one, head)
"""
    assert _loaded_by(code) & TRAINING_LIBRARIES == set()


@pytest.mark.parametrize("first", ["fracture_core.__main__", "streamlit, pages.parts.diagnose.page"])
def test_products_of_numpy_leave_no_thread_spinning(first: str) -> None:
    code = (
        f"import {first}\nimport json, numpy\nfrom threadpoolctl import threadpool_info\n"
        "print(json.dumps([pool['num_threads'] for pool in threadpool_info() if pool['user_api'] == 'blas']))"
    )
    plain = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=PROJECT, check=True, env=plain
    )
    assert set(json.loads(done.stdout.splitlines()[-1])) <= {1}


def _functions(node: ast.Module | ast.ClassDef, within: str = "") -> Iterator[tuple[str, ast.FunctionDef]]:
    """Yield the public functions of a module, and the public methods of its public classes, by qualified name."""
    for child in node.body:
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            if not child.name.startswith("_") and not any("overload" in ast.unparse(d) for d in child.decorator_list):
                yield within + child.name, child
        elif isinstance(child, ast.ClassDef) and not child.name.startswith("_"):
            yield from _functions(child, f"{within}{child.name}.")


def _own_nodes(function: ast.FunctionDef) -> Iterator[ast.AST]:
    """Yield the nodes of a function's body, without those of the functions and classes that it defines."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            waiting.extend(ast.iter_child_nodes(node))


def _undocumented(function: ast.FunctionDef, *, method: bool) -> list[str]:
    """Return which sections a function's docstring lacks: an argument, "Returns" or "Raises"."""
    text = ast.get_docstring(function) or ""
    sections = {name: text.partition(f"\n{name}:\n")[2].split("\n\n")[0] for name in ("Args", "Returns", "Yields")}
    decorators = " ".join(ast.unparse(decorator) for decorator in function.decorator_list)
    every = function.args
    names = [argument.arg for argument in (*every.posonlyargs, *every.args)]
    names = names[1 if method and "staticmethod" not in decorators else 0 :]
    names += [argument.arg for argument in (*every.kwonlyargs, every.vararg, every.kwarg) if argument]
    lacking = [name for name in names if not re.search(rf"^ +\*{{0,2}}{name}\b[^:]*:", sections["Args"], re.MULTILINE)]
    returns = function.returns is not None and ast.unparse(function.returns) not in ("None", "NoReturn", "Never")
    if returns and "property" not in decorators and not sections["Returns"] + sections["Yields"]:
        lacking.append("Returns")
    raises = any(isinstance(node, ast.Raise) and node.exc is not None for node in _own_nodes(function))
    return lacking + (["Raises"] if raises and "\nRaises:\n" not in text else [])


def test_public_functions_document_arguments_results_and_errors() -> None:
    lacking = {
        f"{module}.{name}": sections
        for module, path in MODULES.items()
        for name, function in _functions(_parsed(path))
        if (sections := _undocumented(function, method="." in name))
    }
    assert lacking == {}


def test_what_a_docstring_lacks_is_noticed() -> None:
    code = '''
def halve(values, *, by=2):
    """Halve values.

    Args:
        values: Numbers.
    """
    if not by:
        raise ValueError
    return values
'''
    function = next(iter(_functions(ast.parse(code))))[1]
    function.returns = ast.Name("list")
    assert _undocumented(function, method=False) == ["by", "Returns", "Raises"]

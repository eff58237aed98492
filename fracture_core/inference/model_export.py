"""A bundle's network as model servers load it: one folder that MLServer, OpenVINO Model Server and Triton read.

    config.json                          for OpenVINO Model Server: --config_path FOLDER/config.json
    settings.json                        for MLServer: mlserver start FOLDER
    models/NAME/1/model.xml, model.bin   the network in OpenVINO's format
    models/NAME/model-settings.json      for MLServer, with
    models/NAME/mlserver_runtime.py  what runs the network there
    models/NAME/config.pbtxt             for Triton: --model-repository FOLDER/models

NAME holds the bundle's hash, so an app never takes another network's answers for those of its own. A network that reads
at several sizes is there once for each, the size in its name. What only this side does (letterbox, calibration,
thresholds, heatmaps) stays here; a server sees images and gives numbers.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from fracture_core.bundle.bundle import Bundle
from fracture_core.errors import FractureCoreError
from fracture_core.files import write_text
from fracture_core.inference.engine import Engine
from fracture_core.inference.evidence_layer import with_evidence

#: The network's one input.
INPUT = "radiograph"
_RUNTIME = Path(__file__).with_name("mlserver_runtime.py")


class ExportError(FractureCoreError):
    """A folder that an export cannot be written to."""


def served_name(bundle: Bundle, size: int | None = None) -> str:
    """Return the name under which servers offer the bundle's network: its own, and the first digits of its hash.

    Args:
        bundle: The bundle.
        size: Side of the images, in pixels; the name says it where it is not the recipe's image size.

    Returns:
        The name.
    """
    name = f"{bundle.name}-{bundle.sha256[:12]}"
    return name if size in (None, bundle.recipe.image_size) else f"{name}-{size}"


def export(bundle: Bundle, folder: str | os.PathLike[str]) -> Path:
    """Write the bundle's network and the settings of model servers.

    Other networks in the folder are kept, and OpenVINO Model Server is told of all of them.

    Args:
        bundle: The bundle.
        folder: Where to write.

    Returns:
        The network's own folder in it.

    Raises:
        ExportError: The folder cannot be written.
    """
    folder, weights = Path(folder), bundle.weights()
    graph = with_evidence(bundle.graph)
    try:
        for size in bundle.recipe.test_time_sizes:
            _write_network(folder, served_name(bundle, size), Engine(graph.at_size(size), weights))
        own = _write_network(folder, served_name(bundle), Engine(graph, weights))
        # On this machine alone, and in one process, which uses every core as it is.
        _write_json(folder / "settings.json", {"debug": False, "host": "127.0.0.1", "parallel_workers": 0})
        _write_json(folder / "config.json", _for_openvino_model_server(folder))
    except OSError as error:
        raise ExportError(f"The export cannot be written to {folder} ({error.strerror}).") from error
    return own


def _write_network(folder: Path, name: str, engine: Engine) -> Path:
    own = folder / "models" / name
    engine.export(own / "1" / "model.xml")
    write_text(own / _RUNTIME.name, _RUNTIME.read_text("utf-8"))
    write_text(own / "config.pbtxt", _for_triton(name, engine))
    _write_json(own / "model-settings.json", _for_mlserver(name, engine))
    return own


def _tensors(engine: Engine) -> tuple[dict[str, tuple[int, ...]], dict[str, tuple[int, ...]]]:
    """Shapes of one image's input and outputs, by name, without the batch."""
    return {INPUT: (*engine.graph.input_size, 1)}, engine.shapes


def _for_mlserver(name: str, engine: Engine) -> dict[str, object]:
    inputs, outputs = (
        [{"name": key, "datatype": "FP32", "shape": [-1, *shape]} for key, shape in shapes.items()]
        for shapes in _tensors(engine)
    )
    return {
        "name": name,
        "implementation": f"{_RUNTIME.stem}.OpenVINORuntime",
        "platform": "openvino",
        "inputs": inputs,
        "outputs": outputs,
        "parameters": {"uri": "./1/model.xml", "version": "1"},
    }


def _for_triton(name: str, engine: Engine) -> str:
    lines = [f'name: "{name}"', 'backend: "openvino"', 'default_model_filename: "model.xml"', "max_batch_size: 8"]
    for kind, shapes in zip(("input", "output"), _tensors(engine), strict=True):
        for key, shape in shapes.items():
            lines.append(f'{kind} {{ name: "{key}" data_type: TYPE_FP32 dims: [ {", ".join(map(str, shape))} ] }}')
    return "\n".join(lines) + "\n"


def _for_openvino_model_server(folder: Path) -> dict[str, object]:
    """Every network in the folder, at full precision: its default would give other logits than ours."""
    names = sorted(path.parts[-3] for path in folder.glob("models/*/1/model.xml"))
    options = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    configs = [{"config": {"name": n, "base_path": f"./models/{n}", "plugin_config": options}} for n in names]
    return {"model_config_list": configs}


def _write_json(path: Path, content: Mapping[str, object]) -> None:
    write_text(path, json.dumps(content, indent=1) + "\n")

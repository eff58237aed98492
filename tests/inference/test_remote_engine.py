"""A network on a model server: what is exported, a real server's answers, and what happens while it is away."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from fracture_core.bundle.loading import load_bundle
from fracture_core.explain.heatmap_methods import METHODS
from fracture_core.imaging.radiograph import read_radiograph
from fracture_core.inference.engine import Engine, EngineError
from fracture_core.inference.evidence_layer import with_evidence
from fracture_core.inference.model_export import ExportError, export, served_name
from fracture_core.inference.predictor import Predictor, load_predictor
from fracture_core.inference.remote_engine import SETTING, RemoteEngine, reading_engine, server_address
from tests.browser.app import free_port
from tests.support.networks import pictures

ROOT = Path(__file__).parents[2]
SIZE = 64
#: Seconds that a server may take to start, on a busy machine.
_START = 120


@pytest.fixture(scope="module")
def bundle(small_models):
    return load_bundle("small", small_models)


@pytest.fixture(scope="module")
def local(bundle) -> Engine:
    return Engine(with_evidence(bundle.graph), bundle.weights())


def test_a_server_gives_all_that_the_app_asks_for(bundle, tmp_path):
    """A network that reads at several sizes is exported at each, with the layer that heatmaps explain."""
    several = dataclasses.replace(bundle, recipe=bundle.recipe.replace(test_time_sizes=(32,)))
    export(several, tmp_path)
    predictor = Predictor(several)
    for size in (SIZE, 32):
        settings = json.loads((tmp_path / "models" / served_name(several, size) / "model-settings.json").read_text())
        offered = {one["name"]: tuple(one["shape"][1:]) for one in settings["outputs"]}
        network = with_evidence(bundle.graph).at_size(size)
        assert offered == Engine(network, bundle.weights()).shapes
        assert settings["inputs"][0]["shape"] == [-1, size, size, 1]
    assert predictor.scorer.size == SIZE


@pytest.fixture(scope="module")
def exported(bundle, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("served")
    export(bundle, folder)
    return folder


def find_mlserver() -> str | None:
    """The mlserver command: FRACTURE_MLSERVER, that of `make model-server`, or the PATH's."""
    made = ROOT / ".venv-model-server" / "bin" / "mlserver"
    return os.environ.get("FRACTURE_MLSERVER") or (str(made) if made.is_file() else shutil.which("mlserver"))


class MLServer:
    """A real MLServer on the exported folder, started and stopped as often as a test likes."""

    def __init__(self, folder: Path, model: str):
        command = find_mlserver()
        if command is None:
            pytest.skip("needs MLServer, which cannot live beside TensorFlow: `make model-server` installs it apart")
        self.url, self._folder, self._model, self._command = f"http://127.0.0.1:{free_port()}", folder, model, command
        self._process: subprocess.Popen | None = None

    def start(self) -> None:
        ports = {
            "MLSERVER_HTTP_PORT": self.url.rpartition(":")[2],
            "MLSERVER_GRPC_PORT": str(free_port()),
            "MLSERVER_METRICS_PORT": str(free_port()),
        }
        with (self._folder / "log").open("a") as log:
            self._process = subprocess.Popen(
                [self._command, "start", str(self._folder)],
                cwd=self._folder,
                env=os.environ | ports,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        end = time.monotonic() + _START
        while time.monotonic() < end and self._process.poll() is None:
            try:
                urllib.request.urlopen(f"{self.url}/v2/models/{self._model}/ready", timeout=5)
                return
            except OSError:
                time.sleep(0.2)
        self.stop()
        pytest.fail(f"MLServer does not serve the export: {(self._folder / 'log').read_text()[-2000:]}")

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, 9)
                self._process.wait(20)
            self._process = None


@pytest.fixture(scope="module")
def mlserver(exported, bundle) -> Iterator[MLServer]:
    server = MLServer(exported, served_name(bundle))
    server.start()
    yield server
    server.stop()


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray], tolerance: float) -> None:
    assert one.keys() == other.keys()
    for name, values in one.items():
        assert values.dtype == np.float32 and values.flags.writeable
        np.testing.assert_allclose(values, other[name], atol=tolerance, rtol=1e-5)


def test_the_export_holds_the_network_and_what_each_server_needs(exported, bundle, local):
    import openvino

    name = served_name(bundle)
    assert name == f"small-{bundle.sha256[:12]}"
    own = exported / "models" / name
    written = {str(p.relative_to(own)) for p in own.rglob("*") if p.is_file()}
    runtime = "mlserver_runtime.py"
    assert {"1/model.xml", "1/model.bin", "config.pbtxt", "model-settings.json", runtime} <= written
    model = openvino.Core().read_model(own / "1" / "model.xml")
    names = {port.any_name for port in model.outputs}
    settings = json.loads((own / "model-settings.json").read_text())
    assert settings["name"] == name and settings["implementation"] == "mlserver_runtime.OpenVINORuntime"
    assert model.input().any_name == "radiograph"
    assert {o["name"] for o in settings["outputs"]} == names == set(local.graph.outputs)
    assert settings["inputs"] == [{"name": "radiograph", "datatype": "FP32", "shape": [-1, SIZE, SIZE, 1]}]
    triton = (own / "config.pbtxt").read_text()
    for output in settings["outputs"]:
        dims = ", ".join(map(str, output["shape"][1:]))
        assert f'output {{ name: "{output["name"]}" data_type: TYPE_FP32 dims: [ {dims} ] }}' in triton
    [entry] = json.loads((exported / "config.json").read_text())["model_config_list"]
    assert (exported / entry["config"]["base_path"] / "1" / "model.xml").is_file()
    assert json.loads((exported / "settings.json").read_text())["host"] == "127.0.0.1"


def test_an_export_that_cannot_be_written_is_a_sentence(bundle, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ExportError, match=r"cannot be written to .*\.$"):
        export(bundle, tmp_path / "file")


def test_a_real_server_gives_the_same_logits_probability_and_heatmaps(mlserver, small_models, local, monkeypatch):
    pytest.importorskip("tritonclient.http")
    files = sorted((small_models.parent / "data" / "images").rglob("*.jpg"))[:3]
    here = load_predictor("small", small_models)
    monkeypatch.setenv(SETTING, mlserver.url)
    there = load_predictor("small", small_models)

    def never(squares):
        raise AssertionError("the server was to read this")

    monkeypatch.setattr(there.scorer._engines[0]._local, "run", never)
    for path in files:
        ours, theirs = here.predict(read_radiograph(path)), there.predict(read_radiograph(path))
        assert theirs.logit == pytest.approx(ours.logit, abs=1e-3)
        assert theirs.probability == pytest.approx(ours.probability, abs=1e-3)
        assert theirs.triage == ours.triage and theirs.warnings == ours.warnings
        for method in METHODS:
            np.testing.assert_allclose(theirs.heatmap(method), ours.heatmap(method), atol=1e-3)
    monkeypatch.undo()
    squares = pictures(11)
    engine = RemoteEngine(mlserver.url, there.scorer._engines[0]._model, local)
    same(engine.run(squares), local.run(squares), 1e-3)
    same(engine.run(squares[:0]), local.run(squares[:0]), 0)
    assert engine.remark == ""


def test_many_threads_get_each_their_own_answer(mlserver, bundle, local):
    pytest.importorskip("tritonclient.http")
    engine, squares, wrong = RemoteEngine(mlserver.url, served_name(bundle), local), pictures(12), []

    def read(row: int) -> None:
        logit = engine.run(squares[row : row + 1])["logit"]
        if engine.remark or abs(logit - local.run(squares[row : row + 1])["logit"]).max() > 1e-3:
            wrong.append((row, engine.remark))

    threads = [threading.Thread(target=read, args=(row,)) for row in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []


def test_a_server_that_goes_and_comes_back_costs_nobody_a_finding(mlserver, bundle, local, small_models, caplog):
    pytest.importorskip("tritonclient.http")
    squares, engine = pictures(1), RemoteEngine(mlserver.url, served_name(bundle), local, again=0.5)
    engine.run(squares)
    assert engine.remark == ""
    mlserver.stop()
    same(engine.run(squares), local.run(squares), 0)
    assert engine.remark.startswith(f"The model server at {mlserver.url} does not answer")
    assert engine.remark.endswith("assessed on this computer instead.")
    assert caplog.text.count("this computer reads meanwhile") == 1
    mlserver.start()
    end = time.monotonic() + 60
    while engine.remark and time.monotonic() < end:
        same(engine.run(squares), local.run(squares), 1e-3)
        time.sleep(0.1)
    assert engine.remark == "" and "is back" in caplog.text


def test_a_server_without_this_very_network_is_not_asked_for_another(mlserver, local):
    pytest.importorskip("tritonclient.http")
    engine = RemoteEngine(mlserver.url, "small-000000000000", local)
    same(engine.run(pictures(1)), local.run(pictures(1)), 0)
    assert "does not offer the network small-000000000000" in engine.remark


class _Impostor(BaseHTTPRequestHandler):
    """Speaks HTTP, and answers every question with the same words."""

    body = b"{}"

    def do_GET(self) -> None:
        self._answer(b'{"name": "impostor", "extensions": []}')

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(self.body)

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_) -> None:
        pass


def _outputs(local: Engine, value: float) -> bytes:
    """A well-formed answer in which every number is `value`."""
    outputs = [
        {"name": n, "datatype": "FP32", "shape": [1, *s], "data": [value] * int(np.prod(s))}
        for n, s in local.shapes.items()
    ]
    return json.dumps({"model_name": "x", "outputs": outputs}).encode()


@pytest.mark.parametrize("kind", ["empty", "no JSON", "too few numbers", "another shape", "not a number"])
def test_nonsense_from_a_server_never_becomes_a_finding(kind, bundle, local):
    pytest.importorskip("tritonclient.http")
    short = json.loads(_outputs(local, 1.0))
    short["outputs"][0]["data"] = []
    other = json.loads(_outputs(local, 1.0))
    other["outputs"][0] |= {"shape": [1, 1, 1], "data": [1.0]}
    bodies = {
        "empty": b"{}",
        "no JSON": b"<html>hello</html>",
        "too few numbers": json.dumps(short).encode(),
        "another shape": json.dumps(other).encode(),
        "not a number": _outputs(local, float("nan")),
    }
    handler = type("Handler", (_Impostor,), {"body": bodies[kind]})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        engine = RemoteEngine(f"http://127.0.0.1:{server.server_port}", served_name(bundle), local)
        same(engine.run(pictures(1)), local.run(pictures(1)), 0)
        assert engine.remark
        server.shutdown()


@pytest.mark.timeout(60)  # it gives up; it does not wait for ever
def test_an_address_where_nobody_listens_is_said_in_the_findings_warnings(small_models, monkeypatch):
    monkeypatch.setenv(SETTING, f"http://127.0.0.1:{free_port()}/")
    reader = load_predictor("small", small_models)
    path = min((small_models.parent / "data" / "images").rglob("*.jpg"))
    finding = reader.predict(read_radiograph(path))
    assert sum("model server" in warning for warning in finding.warnings) == 1
    assert 0 <= finding.probability <= 1


def test_without_the_setting_the_local_engine_reads(local, monkeypatch):
    monkeypatch.delenv(SETTING, raising=False)
    assert server_address() == "" and reading_engine(local, "any") is local


@pytest.mark.parametrize(
    "address",
    ["localhost:8080", "ftp://x:1", "http://", "http://host", "http://u:p@host:1", "http://h:1?x", "http://h:x"],
)
def test_an_address_that_makes_no_sense_is_a_sentence(address, local, monkeypatch):
    monkeypatch.setenv(SETTING, address)
    with pytest.raises(EngineError, match=r"not the address of a model server; .*\.$") as caught:
        reading_engine(local, "any")
    assert "u:p" not in str(caught.value)


def test_pictures_of_another_shape_are_refused_before_they_are_sent(local):
    engine = RemoteEngine("http://127.0.0.1:1", "any", local)
    with pytest.raises(EngineError, match="64 x 64"):
        engine.run(np.zeros((1, 3, 3), np.uint8))

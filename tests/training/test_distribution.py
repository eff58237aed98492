"""One run shared by several replicas and by several processes: the losses and weights of one with the same batch."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from fracture_core.network.weights import load_weights
from fracture_core.training.distribution import Workers, available_strategy
from fracture_core.training.progress import TrainingError
from fracture_core.training.run_folder import RunFolder
from tests.support.training import SMALL, miniature

#: Trains in a process of its own, because a process meets its devices and its peers once. Dropout is off: each
#: replica throws its own dice. Of several workers the last is asked to stop, once, and then all go on.
SCRIPT = """
import json, os, sys
from pathlib import Path
import tensorflow as tf
from fracture_core.training.distribution import available_strategy
from fracture_core.data.fracatlas import FracAtlas
from fracture_core.training.progress import TrainingStoppedError
from fracture_core.training.train import train
from tests.support.training import SMALL, tiny_network
root, names = Path(sys.argv[1]), sys.argv[2:]
recipe = SMALL.replace(dropout=0.0, epochs=2)
if "mirrored" in names:
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
steps = []
hear = lambda p: steps.append(p.done) if p.stage == "training" else None
stop = lambda: "a pause" if steps == [1, 2] else None
with tiny_network(root):
    dataset = FracAtlas(root / "FracAtlas")
    for name in names:
        if name == "mirrored":
            train(recipe, dataset, run=root / name, strategy=tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]))
            continue
        strategy = available_strategy()
        if name == "workers":
            mine = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
            try:
                ask = stop if mine else None
                train(recipe, dataset, run=root / name, strategy=strategy, progress=hear, should_stop=ask)
            except TrainingStoppedError as error:
                print(f"stopped: {error.reason}")
        train(recipe, dataset, run=root / name, strategy=strategy)
"""
ROOT = Path(__file__).parents[2]
# Three processes import TensorFlow; on a machine that is idle, half a minute.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def _start(root: Path, *names: str, log: Path, tf_config: dict | None = None) -> subprocess.Popen:
    environment = {k: v for k, v in os.environ.items() if k != "TF_CONFIG"}
    # More threads would only spin while the processes wait for each other.
    environment |= {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_NUM_INTRAOP_THREADS": "1", "CUDA_VISIBLE_DEVICES": "-1"}
    if tf_config:
        environment["TF_CONFIG"] = json.dumps(tf_config)
    with log.open("w") as file:
        return subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(root), *names], cwd=ROOT, env=environment, stdout=file, stderr=file
        )


def _cluster(workers: int) -> dict[str, list[str]]:
    """Addresses on loopback that nobody uses now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(workers)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return {"worker": [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """Finished runs of one recipe: by one process, by two replicas within one, by two processes on loopback."""
    root = tmp_path_factory.mktemp("distribution")
    miniature(root / "FracAtlas", 40)
    cluster = _cluster(2)
    processes = {"one.txt": _start(root, "one", "mirrored", log=root / "one.txt")}
    for index in (0, 1):
        config = {"cluster": cluster, "task": {"type": "worker", "index": index}}
        processes[f"{index}.txt"] = _start(root, "workers", log=root / f"{index}.txt", tf_config=config)
    try:
        for log, process in processes.items():
            assert process.wait(600) == 0, (root / log).read_text()[-2000:]
    finally:
        for process in processes.values():
            process.kill()
    return root


@pytest.mark.parametrize("how", ["mirrored", "workers"])
def test_shared_by_several_it_ends_where_one_process_does(root, how: str) -> None:
    alone, shared = RunFolder(root / "one"), RunFolder(root / how)
    assert (alone.record()["replicas"], shared.record()["replicas"]) == (1, 2)
    for name in ("loss", "label", "global", "box", "val_loss"):
        wanted = [row[name] for row in alone.history()]
        np.testing.assert_allclose([row[name] for row in shared.history()], wanted, rtol=1e-4, err_msg=name)
    wanted, weights = (load_weights(run.path / "weights.safetensors") for run in (alone, shared))
    assert wanted.keys() == weights.keys()
    for key, array in wanted.items():
        np.testing.assert_allclose(weights[key], array, rtol=2e-3, atol=2e-4, err_msg=key)


def test_asked_to_stop_one_worker_stops_them_all(root) -> None:
    assert "stopped: another worker was stopped" in (root / "0.txt").read_text()
    assert "stopped: a pause" in (root / "1.txt").read_text()
    assert [line.split("  ")[1] for line in (root / "workers" / "log.txt").read_text().splitlines()][:2] == [
        "started at step 0",
        "resumed at step 2",
    ]


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("{", "TF_CONFIG must name the cluster"),
        ('{"cluster": {"worker": ["127.0.0.1:1"]}}', "TF_CONFIG must name the cluster"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 3}}', "TF_CONFIG must name the cluster"),
        (
            '{"cluster": {"ps": ["a:1"], "worker": ["b:1"]}, "task": {"type": "ps", "index": 0}}',
            "only chief and worker",
        ),
    ],
)
def test_a_tf_config_that_makes_no_sense_is_a_sentence(monkeypatch, config: str, words: str) -> None:
    monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(TrainingError, match=words):
        available_strategy()


def test_a_batch_that_cannot_be_shared_evenly_is_a_sentence() -> None:
    class Three(tf.distribute.OneDeviceStrategy):
        num_replicas_in_sync = 3

    Workers(Three("CPU:0")).check_batch(9)
    with pytest.raises(TrainingError, match="divided evenly among 3 replicas"):
        Workers(Three("CPU:0")).check_batch(8)


def test_the_chief_keeps_others_from_starting(tmp_path, monkeypatch):
    from fracture_core.__main__ import main
    from fracture_core.jobs.lock import current_trainer
    from fracture_core.training import distribution, packaging, train

    for name in ("RUNS", "CACHE"):
        monkeypatch.setenv(f"FRACTURE_{name}_DIR", str(tmp_path / name.lower()))
    monkeypatch.setenv("TF_CONFIG", "{}")
    seen = []

    def note(step):
        return lambda *given, **named: (
            seen.append((step, current_trainer() and current_trainer().run))
            or SimpleNamespace(name="w", folder=tmp_path)
        )

    monkeypatch.setattr(distribution, "available_strategy", tf.distribute.get_strategy)
    monkeypatch.setattr(train, "train", note("train"))
    monkeypatch.setattr(packaging, "package", note("package"))
    miniature(tmp_path / "data")
    run = tmp_path / "runs" / "shared"
    run.mkdir(parents=True)
    (run / "recipe.json").write_text(json.dumps(SMALL.to_json()))
    assert main(["train", "--resume", str(run), "--dataset", str(tmp_path / "data")]) == 0
    assert seen == [("train", run), ("package", run)] and current_trainer() is None

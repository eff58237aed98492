from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest

from fracture_core.data.image_cache import load_image_cache
from fracture_core.data.split import Split
from fracture_core.inference.engine import Engine
from fracture_core.metrics.curves import roc_auc
from fracture_core.network.graph import Graph
from fracture_core.network.model import build_model
from fracture_core.network.weights import half_precision, load_weights, weights_of
from fracture_core.recipe import Augmentation, Recipe
from fracture_core.training.progress import TrainingError
from fracture_core.training.run_folder import RunFolder, new_run_path
from fracture_core.training.schedule import is_better, learning_rate, stale_epochs
from fracture_core.training.train import TrainingStoppedError, split_for, train
from fracture_core.training.trainer import Trainer
from tests.support.training import SMALL, miniature, tiny_network

pytestmark = pytest.mark.slow
SCRIPT = """
import sys
from pathlib import Path
from tests.support.training import SMALL, tiny_network
from fracture_core.data.fracatlas import FracAtlas
from fracture_core.training.train import train
root = Path(sys.argv[1])
with tiny_network(root):
    train(SMALL.replace(fast_path=sys.argv[3] == "fast"), FracAtlas(root / "FracAtlas"), run=Path(sys.argv[2]),
          checkpoint_seconds=0.05)
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("train")
    with tiny_network(folder):
        yield folder


@pytest.fixture(scope="module")
def dataset(root):
    return miniature(root / "FracAtlas")


@pytest.fixture(scope="module")
def runs(root, dataset):
    """Finished runs, never interrupted, by whether they took the fast path: folder, recipe, what they told."""
    made = {}
    for fast in (False, True):
        recipe, told = SMALL.replace(fast_path=fast), []
        made[fast] = train(recipe, dataset, run=root / f"whole-{fast}", progress=told.append), recipe, told
    return made


@pytest.fixture(params=[False, True], ids=["ordinary", "fast"])
def finished(request, runs):
    return runs[request.param]


def digest(run):
    return RunFolder(run).record()["weights_sha256"]


class Killed(BaseException):
    """What a kill is to the code: nothing that it would catch."""


def test_a_finished_run_holds_what_a_bundle_is_made_of(finished, dataset):
    run, recipe, _ = finished
    folder = RunFolder(run)
    record = folder.record()
    assert folder.finished and folder.recipe() == recipe
    assert folder.split().digest == split_for(recipe, dataset).digest == record["split"]
    assert record["start"]["source"] == "none" and record["versions"]["keras"] and record["seconds"] >= 0
    assert [row["epoch"] for row in folder.history()] == [1, 2, 3]
    assert not list(run.glob("checkpoint*")) and not list(run.glob("best*")) and not list(run.glob(".*"))
    assert len((run / "log.txt").read_text().splitlines()) == 5


def test_the_kept_weights_are_those_that_val_was_measured_with(finished, dataset):
    """The best epoch's figures again, from the files alone and with the inference engine."""
    run, recipe, _ = finished
    graph = Graph.from_json(json.loads((run / "network.json").read_text()))
    engine = Engine(graph, load_weights(run / "weights.safetensors"))
    val = RunFolder(run).split().val
    pictures = load_image_cache({i: dataset.path(i) for i in val}, recipe.image_size)
    logits = engine.run(np.asarray(pictures.squares))["logit"].reshape(-1)
    truth = dataset.table.loc[list(val), "label"].to_numpy()
    best = RunFolder(run).record()["best"]
    losses = np.logaddexp(0, logits) - truth * logits
    assert losses.mean() == pytest.approx(best["val_loss"], abs=5e-3)
    assert roc_auc(truth, logits) == pytest.approx(best["val_auc"], abs=1e-6)
    assert best["val_loss"] == pytest.approx(min(r["val_loss"] for r in RunFolder(run).history()), rel=1e-4)


def test_frozen_blocks_stay_as_they_started_and_the_rest_moves(root, dataset, finished):

    run, recipe, _ = finished
    keras.utils.set_random_seed(recipe.seed)
    before = half_precision(weights_of(build_model(recipe)))
    after = load_weights(run / "weights.safetensors")
    for key, array in after.items():
        frozen = key.startswith(("conv1", "conv2", "conv3", "conv4", "pool"))
        same = np.array_equal(array, before[key].astype(np.float32))
        assert same == frozen, key


def test_progress_tells_every_stage_in_order(finished):
    run, recipe, told = finished
    stages = list(dict.fromkeys(p.stage for p in told))
    wanted = ["decoding", "features", "training", "validating", "epoch ended", "finished"]
    assert [s for s in wanted if s in stages] == stages
    assert ("features" in stages) == recipe.fast_path
    steps = [p for p in told if p.stage == "training"]
    assert [p.done for p in steps] == list(range(1, steps[0].total + 1))
    assert all(math.isfinite(p.loss) and p.run == run for p in steps)
    assert steps[-1].images_per_second > 0
    assert [p.row["epoch"] for p in told if p.stage == "epoch ended"] == [1, 2, 3]


def test_a_finished_run_is_given_back_as_it_is(finished, dataset):
    run, recipe, _ = finished
    before = (run / "run.json").read_bytes()
    assert train(recipe, dataset, run=run) == run
    assert (run / "run.json").read_bytes() == before


def interrupt(stage, number):
    """Callbacks that kill a run at the `number`-th report of a stage of this attempt, or ask it to stop there."""
    reports = iter(range(1, 1000))

    def kill(p):
        if p.stage == stage and next(reports) == number:
            raise Killed

    if stage == "asked to stop":
        return {"should_stop": lambda: "paused by the user" if next(reports) == number else None}
    return {"progress": kill}


@pytest.mark.parametrize(
    ("fast", "checkpoint_seconds", "places"),
    [
        (False, 1e9, [("training", 4), ("epoch ended", 1), ("training", 2), ("asked to stop", 3), ("finished", 1)]),
        (True, 0.0, [("training", 4), ("asked to stop", 3), ("validating", 1), ("finished", 1)]),
    ],
    ids=["ordinary, a checkpoint an epoch", "fast, a checkpoint a step"],
)
def test_interrupted_anywhere_it_ends_with_the_same_weights(root, dataset, runs, fast, checkpoint_seconds, places):
    wanted, recipe, _ = runs[fast]
    run = root / f"interrupted-{fast}"
    for stage, number in places:
        with pytest.raises((Killed, TrainingStoppedError)):
            train(recipe, dataset, run=run, checkpoint_seconds=checkpoint_seconds, **interrupt(stage, number))
    train(recipe, dataset, run=run)
    assert digest(run) == digest(wanted)
    histories = [RunFolder(r).history() for r in (run, wanted)]
    without_times = [[{**row, "seconds": 0} for row in rows] for rows in histories]
    assert without_times[0] == without_times[1]


def test_another_seed_gives_other_weights(root, dataset, runs):
    run, recipe, _ = runs[True]
    assert digest(train(recipe.replace(seed=7), dataset, run=root / "seed")) != digest(run)


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_real_kill_is_survived(root, dataset, runs):
    """Kill -9 just after a checkpoint: the process gets no chance to tidy up."""
    wanted, recipe, _ = runs[False]
    run = root / "sigkill"
    for after in (1, 4):
        process = subprocess.Popen([sys.executable, "-c", SCRIPT, root, run, "ordinary"], cwd=Path(__file__).parents[2])
        seen, stamp = 0, None
        while seen < after and process.poll() is None:
            checkpoint = run / "checkpoint.safetensors"
            now = checkpoint.stat().st_mtime_ns if checkpoint.exists() else stamp
            seen, stamp = seen + (now != stamp), now
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
    train(recipe, dataset, run=run)
    assert digest(run) == digest(wanted)


def test_killed_at_its_first_record_a_run_still_knows_what_it_trains_on(root, dataset, monkeypatch):
    class KilledError(Exception):
        pass

    def kill(folder, **entries):
        write(folder, **entries)
        raise KilledError

    write = RunFolder.update_record
    monkeypatch.setattr(RunFolder, "update_record", kill)
    with pytest.raises(KilledError):
        train(SMALL, dataset, run=root / "killed-early")
    folder = RunFolder(root / "killed-early")
    assert folder.started and folder.record()["dataset"] == dataset.name


def test_asked_to_stop_it_says_so_and_saves(root, dataset):
    run = root / "stopped"
    with pytest.raises(TrainingStoppedError, match="paused by the user") as caught:
        train(SMALL, dataset, run=run, **interrupt("asked to stop", 1))
    assert (caught.value.run, caught.value.reason) == (run, "paused by the user")
    assert RunFolder(run).load("checkpoint").state["step"] == 0
    assert not RunFolder(run).finished


def test_another_recipe_or_split_cannot_go_on_in_a_run(root, dataset, finished):
    run, recipe, _ = finished
    with pytest.raises(TrainingError, match="another recipe"):
        train(recipe.replace(epochs=9), dataset, run=run)
    split = RunFolder(run).split()
    with pytest.raises(TrainingError, match="another split"):
        train(recipe, dataset, run=run, split=Split(split.train[1:], split.val, split.test, {}))


def test_a_damaged_checkpoint_is_a_sentence(root, dataset):
    run = root / "damaged"
    with pytest.raises(TrainingStoppedError):
        train(SMALL, dataset, run=run, should_stop=lambda: "stop")
    whole = (run / "checkpoint.safetensors").read_bytes()
    (run / "checkpoint.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(Exception, match="cannot continue: its checkpoint is missing or damaged"):
        train(SMALL, dataset, run=run)


def test_a_loss_that_is_not_finite_ends_the_run_with_a_readable_error(root, dataset, monkeypatch):
    recipe = SMALL.replace(learning_rate=1.0, gradient_norm=0.0, epochs=60, fast_path=True)
    run, step = root / "blown", Trainer.train_step

    def overflowing(self, *batch):  # what an overflow does, at a step of our choosing
        if self.step == 3:
            self.model.get_layer("global_logit").bias.assign([math.nan])
        return step(self, *batch)

    monkeypatch.setattr(Trainer, "train_step", overflowing)
    with pytest.raises(TrainingError, match="not finite"):
        train(recipe, dataset, run=run)
    assert not (run / "weights.safetensors").exists()


def test_one_class_is_refused_with_a_sentence(root, dataset):
    split = split_for(SMALL, dataset)
    labels = dataset.table["label"]
    healthy = tuple(i for i in split.train if not labels[i])
    with pytest.raises(TrainingError, match="has one class only"):
        train(SMALL, dataset, run=root / "one-class", split=Split(healthy, split.val, split.test, {}))


def test_early_stopping_ends_a_run_that_gets_no_better(root, dataset):
    recipe = SMALL.replace(learning_rate=1e-8, weight_averaging=0.0, early_stopping=2, epochs=50, monitor="auc")
    run = train(recipe.replace(fast_path=True), dataset, run=root / "early")
    history = RunFolder(run).history()
    assert len(history) < 50
    assert stale_epochs(history, recipe) == 2
    assert RunFolder(run).record()["best"]["epoch"] == len(history) - 2


@pytest.mark.parametrize(
    "choices",
    [
        {"loss": "focal", "class_balance": "weights", "label_smoothing": 0.1},
        {"mixup": 0.3, "class_balance": "oversample", "weight_averaging": 0.0},
        {"trainable_blocks": None, "localiser": 0, "box_weight": 0.0, "weight_decay": 0.0},
        {"trainable_blocks": 0, "fast_path": True, "schedule": "reduce_on_plateau"},
    ],
    ids=lambda choices: " ".join(choices),
)
def test_every_option_trains(root, dataset, choices):
    recipe = SMALL.replace(**{"epochs": 1, **choices})
    run = train(recipe, dataset, run=new_run_path(recipe))
    assert RunFolder(run).finished and run.parent == root / "runs"
    assert load_weights(run / "weights.safetensors")


def test_it_learns_what_there_is_to_learn(root, dataset):
    """The drawn breaks are easy: a few epochs of the whole network must find them on val."""
    recipe = SMALL.replace(trainable_blocks=None, epochs=15, learning_rate=3e-3, dropout=0.0)
    history = RunFolder(train(recipe, dataset, run=root / "learns")).history()
    assert history[-1]["label"] < 0.5 * history[0]["label"]
    assert history[-1]["box"] < 0.7 * history[0]["box"]
    assert max(row["val_auc"] for row in history) == 1.0


def test_the_fast_path_is_ordinary_training_where_nothing_is_augmented(root, dataset):
    """Same batches, same start: losses agree to what half precision rounds, and so do the weights."""
    plain = SMALL.replace(augmentation=Augmentation(), views=1, dropout=0.0)
    runs = [train(plain.replace(fast_path=f), dataset, run=root / f"plain-{f}") for f in (False, True)]
    ordinary, fast = ([(r["loss"], r["val_loss"]) for r in RunFolder(run).history()] for run in runs)
    np.testing.assert_allclose(fast, ordinary, rtol=5e-3)
    weights = [load_weights(run / "weights.safetensors") for run in runs]
    for key, array in weights[0].items():
        np.testing.assert_allclose(weights[1][key], array, rtol=0.05, atol=2e-2, err_msg=key)


# How the rate goes and what the history says: pure functions, held against their formulas.


def rates(recipe, steps=100, history=()):
    return [learning_rate(step, steps, history, recipe) for step in range(steps)]


def test_a_cosine_rises_over_the_warm_up_and_falls_to_a_hundredth():
    peak = rates(Recipe(name="x", schedule="cosine", warmup=0.1, learning_rate=1.0))
    np.testing.assert_allclose(peak[:10], np.arange(1, 11) / 10)
    assert peak[10] == 1.0 and peak[-1] == pytest.approx(0.01, abs=1e-3)
    assert np.all(np.diff(peak[10:]) < 0)
    assert peak[55] == pytest.approx(0.505, abs=1e-9)  # half way down, between 1 and 0.01


def test_a_constant_rate_stays():
    assert set(rates(Recipe(name="x"))) == {1e-4}


def test_a_plateau_lowers_the_rate_after_three_epochs_without_gain():
    recipe = Recipe(name="x", schedule="reduce_on_plateau", learning_rate=1.0)

    def rate(losses):
        history = [{"val_loss": loss, "val_auc": 0.5} for loss in losses]
        return learning_rate(0, 10, history, recipe)

    assert rate([3, 2, 1]) == rate([1, 2, 2]) == rate([]) == 1.0
    assert rate([1, 2, 2, 2]) == rate([1, 2, 2, 2, 0.5, 2]) == pytest.approx(0.3)
    assert rate([1, 2, 2, 2, 2, 2, 2]) == pytest.approx(0.09)


@pytest.mark.parametrize(("monitor", "best"), [("loss", 1), ("auc", 2)])
def test_the_best_epoch_is_the_monitors(monitor, best):
    recipe = Recipe(name="x", monitor=monitor)
    history = [{"val_loss": loss, "val_auc": auc} for loss, auc in ((3, 0.5), (1, 0.6), (2, 0.9), (math.nan, math.nan))]
    better = [i for i in range(len(history)) if is_better(history[i], history[:i], recipe)]
    assert better[0] == 0 and better[-1] == best
    assert stale_epochs(history, recipe) == len(history) - 1 - best
    assert stale_epochs([], recipe) == 0

"""What makes a training step of the whole network fast on a CPU: one setting changed at a time, beside the default.

    python -m benchmarks.training_step [--only NAME ...] [--steps 3] [--rounds 4] [--size 224] [--stored] [--write]

Every setting runs in a process of its own, because TensorFlow reads most of them once. The default's process lives
through the whole benchmark, and each other one takes turns with it, round by round, while the idle one sleeps, so that
other load on the machine affects both alike. Reported are images per second relative to the default in the same rounds,
and the spread over the rounds; on another machine only the ratios are meaningful. Images are random, which does not
affect the time of a step. `--stored` measures the step of the default recipe, from cached features. `--write` puts the
table into docs/tensorflow_speed.md.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fracture_core.cli.exit_status import exit_status

if TYPE_CHECKING:
    import keras

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "tensorflow_speed.md"
BEGIN = "<!-- measurements: written by python -m benchmarks.training_step --write -->"
END = "<!-- end of measurements -->"


@dataclass(frozen=True)
class Setting:
    """What one process does differently; the defaults are those of the project's training."""

    batch: int = 32
    intra: int = 0  # threads within an operation; 0 lets TensorFlow choose
    inter: int = 0  # operations at a time; 0 lets TensorFlow choose
    policy: str = "float32"
    xla: bool = False
    onednn: bool = True
    products: bool = False  # 1x1 convolutions by matrix products
    stored: bool = False  # what the default recipe trains, from stored activations


def settings() -> dict[str, Setting]:
    """Return every setting by name, the default first."""
    cores = os.cpu_count() or 1
    variants = {"default": Setting()}
    variants |= {f"batch of {n}": Setting(batch=n) for n in (8, 16, 64)}
    variants |= {f"{n} intra-op threads": Setting(intra=n) for n in sorted({1, cores, 2 * cores})}
    variants |= {f"{n} inter-op threads": Setting(inter=n) for n in sorted({1, cores})}
    variants["1x1 convolutions as products"] = Setting(products=True)
    variants["oneDNN off"] = Setting(onednn=False)
    variants["bfloat16 (mixed policy)"] = Setting(policy="mixed_bfloat16")
    variants["XLA"] = Setting(xla=True)
    variants["XLA and bfloat16"] = Setting(xla=True, policy="mixed_bfloat16")
    return variants


def work(setting: Setting, size: int) -> None:
    """Be the process of one setting: for every line `n` on stdin run n steps and print their seconds as JSON."""
    import keras
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(setting.intra)
    tf.config.threading.set_inter_op_parallelism_threads(setting.inter)
    keras.mixed_precision.set_global_policy(setting.policy)
    step = _step(setting, size)
    for line in sys.stdin:
        began = time.perf_counter()
        for _ in range(int(line)):
            step()
        print(json.dumps(time.perf_counter() - began), flush=True)


def _step(setting: Setting, size: int):
    """Run the project's own training step, with its objective and optimiser, on a random batch."""
    import tensorflow as tf

    from fracture_core.network.model import CELL, build_model, train_last_blocks
    from fracture_core.recipe import Recipe
    from fracture_core.training.frozen_backbone import split_at_boundary
    from fracture_core.training.trainer import Trainer
    from fracture_core.training.training_data import TrainingData

    recipe = Recipe.load("default").replace(start="none", image_size=size, batch_size=setting.batch)
    if not setting.stored:
        recipe = recipe.replace(trainable_blocks=None, fast_path=False)
    model = build_model(recipe)
    if setting.products:
        _multiply_pointwise(model)
    train_last_blocks(model, recipe)
    learner = Trainer(model, recipe, tf.distribute.get_strategy())
    rng, n = np.random.default_rng(0), setting.batch
    labels = (np.arange(n) % 2).astype(np.float32)
    if setting.stored:
        part = split_at_boundary(model)
        network, names = part.trainable, part.names
        maps = zip(names, network.inputs, strict=True)
        inputs = {name: tf.constant(rng.random((n, *values.shape[1:])), tf.float16) for name, values in maps}
    else:
        network, names = model, ("radiograph",)
        inputs = {"radiograph": tf.constant(rng.integers(0, 256, (n, size, size)), tf.uint8)}
    cells = rng.random((n, size // CELL, size // CELL)) < 0.05
    targets = {"label": labels, "weight": np.ones(n, np.float32), "cells": cells.astype(np.float32)}
    learner.compile(TrainingData((), labels, inputs, labels, network, names))
    run = tf.function(learner._step_on_all_replicas, jit_compile=True) if setting.xla else learner._run_step
    targets = {name: tf.constant(values) for name, values in targets.items()}
    return lambda: [float(value) for value in run(inputs, targets).values()]


def _multiply_pointwise(model: keras.Model) -> None:
    """Make every 1x1 convolution of a built model compute a matrix product; results change by rounding only."""
    import keras

    def product(inputs: keras.KerasTensor, kernel: keras.KerasTensor) -> keras.KerasTensor:
        _, height, width, channels = inputs.shape
        rows = keras.ops.matmul(keras.ops.reshape(inputs, (-1, channels)), kernel[0, 0])
        return keras.ops.reshape(rows, (-1, height, width, kernel.shape[3]))

    for layer in model.layers:
        plain = type(layer) is keras.layers.Conv2D and layer.kernel_size == (1, 1) and layer.strides == (1, 1)
        if plain and layer.groups == 1 and layer.data_format == "channels_last":
            layer.convolution_op = product


@contextlib.contextmanager
def process(setting: Setting, size: int) -> Iterator[subprocess.Popen]:
    """Start a setting's process, ready to be told how many steps to run."""
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": str(int(setting.onednn))}
    command = [sys.executable, "-m", "benchmarks.training_step", "--work", json.dumps(asdict(setting))]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([*command, "--size", str(size)], text=True, env=environment, **pipes) as running:
        try:
            yield running
        finally:
            running.kill()


def seconds(running: subprocess.Popen, steps: int) -> float:
    """Let a process run some steps; raise RuntimeError with its last output if it died."""
    try:
        running.stdin.write(f"{steps}\n")
        running.stdin.flush()
        return float(json.loads(running.stdout.readline()))
    except (BrokenPipeError, ValueError) as error:
        running.kill()
        words = [line for line in running.stderr.read().splitlines() if line.strip()]
        raise RuntimeError(words[-1][:160] if words else "the process died without a word") from error


def compare(
    chosen: dict[str, Setting], size: int, steps: int, rounds: int, stored: bool = False
) -> list[tuple[str, ...]]:
    """Return the rows of the table: setting, first step in seconds, relative speed, lowest and highest round."""
    rows, base = [], Setting(stored=stored)
    with process(base, size) as default:
        first = seconds(default, 1)
        rows.append(("default", f"{first:.0f}", "1.00", "", ""))
        for name, setting in chosen.items():
            setting = replace(setting, stored=stored)
            if setting == base:
                continue
            try:
                with process(setting, size) as other:
                    first, ratios = seconds(other, 1), []
                    for _ in range(rounds):
                        beside = seconds(default, steps) / Setting().batch
                        ratios.append(beside / (seconds(other, steps) / setting.batch))
                row = (name, f"{first:.0f}", f"{np.median(ratios):.2f}", f"{min(ratios):.2f}", f"{max(ratios):.2f}")
            except RuntimeError as error:
                row = (name, "", f"does not run: {error}", "", "")
            print("  ".join(row), flush=True)
            rows.append(row)
    return rows


def as_markdown(rows: Sequence[Sequence[str]], size: int, steps: int, rounds: int) -> str:
    """Return the table, with what it was measured on."""
    from importlib.metadata import version

    lines = [
        f"Measured {date.today()} on {os.cpu_count()} processors ({_processor()}), TensorFlow {version('tensorflow')}, "
        f"Keras {version('keras')}, at {size} px: {rounds} rounds of {steps} steps, medians.",
        "",
        "| setting | first step, s | images/s, of the default's | lowest round | highest round |",
        "|---|---|---|---|---|",
        *("| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in rows),
    ]
    return "\n".join(lines)


def _processor() -> str:
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        return next(line for line in lines if line.startswith("model name")).partition(":")[2].strip()
    return platform.processor() or platform.machine()


def write(block: str) -> None:
    """Put the table between the document's markers."""
    from fracture_core.files import write_text

    before, _, rest = DOCUMENT.read_text("utf-8").partition(BEGIN)
    write_text(DOCUMENT, f"{before}{BEGIN}\n\n{block}\n\n{END}{rest.partition(END)[2]}")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--only", nargs="+", metavar="NAME", help="some of the settings, by name")
    arguments.add_argument("--steps", type=int, default=3, help="of each turn")
    arguments.add_argument("--rounds", type=int, default=4)
    arguments.add_argument("--size", type=int, default=224, help="side of the image, in pixels")
    arguments.add_argument(
        "--stored", action="store_true", help="what the default recipe trains, from stored activations"
    )
    arguments.add_argument("--write", action="store_true", help="put the table into docs/tensorflow_speed.md")
    arguments.add_argument("--work", help=argparse.SUPPRESS)
    arguments = arguments.parse_args()
    if arguments.work:
        work(Setting(**json.loads(arguments.work)), arguments.size)
        return
    variants = settings()
    if unknown := set(arguments.only or ()) - set(variants):
        raise SystemExit(f"There is no setting {sorted(unknown)[0]!r}; there is {', '.join(variants)}.")
    chosen = {name: variants[name] for name in arguments.only or variants}
    rows = compare(chosen, arguments.size, arguments.steps, arguments.rounds, arguments.stored)
    block = as_markdown(rows, arguments.size, arguments.steps, arguments.rounds)
    print(f"\n{block}")
    if arguments.write:
        write(block)


if __name__ == "__main__":
    raise SystemExit(exit_status(main))

"""Latency of file -> finding with heatmap, beside other ways to run the same network, in one run.

    python -m benchmarks.latency [--bundle NAME] [--folder DIR] [--rounds N]

Every contender gets the same radiograph and the same weights, and they take turns, so that other load on the machine
affects all of them alike. On another machine only the ratios are meaningful.
"""

from __future__ import annotations

import argparse
import os
import random
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import openvino
import tensorflow as tf

from fracture_core.bundle.loading import DEFAULT_BUNDLE, load_bundle
from fracture_core.cli.exit_status import exit_status
from fracture_core.imaging.radiograph import read_radiograph
from fracture_core.inference.predictor import Predictor
from fracture_core.network.model import build_model
from fracture_core.network.weights import set_weights


def keras_model(bundle) -> keras.Model:
    model = build_model(bundle.recipe)
    set_weights(model, bundle.weights())
    return model


def eager_grad_cam(model: keras.Model, square: np.ndarray) -> np.ndarray:
    """Compute Grad-CAM as tutorials do: an eager tape over the whole network, no graph."""
    with tf.GradientTape() as tape:
        outputs = model(tf.constant(square[None, ..., None], tf.float32), training=False)
        score, last = outputs["global_logit"], outputs["last_map"]
    gradient = tape.gradient(score, last)
    weights = tf.reduce_mean(gradient, axis=(1, 2))
    return tf.nn.relu(tf.reduce_sum(last * weights[:, None, None, :], axis=-1)).numpy()


def bare_openvino(model: keras.Model) -> Callable[[np.ndarray], object]:
    converted = openvino.convert_model(model, input=[1, *model.input.shape[1:]])
    compiled = openvino.Core().compile_model(
        converted, "CPU", {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    )
    request = compiled.create_infer_request()
    return lambda square: request.infer([square[None, ..., None].astype(np.float32)])


def onnx_runtime(model: keras.Model, folder: Path) -> Callable[[np.ndarray], object]:
    import onnxruntime

    path = folder / "network.onnx"
    model.export(str(path), format="onnx", verbose=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = os.cpu_count()
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda square: session.run(None, {name: square[None, ..., None].astype(np.float32)})


def contenders(bundle, path: Path, folder: Path) -> dict[str, Callable[[], object]]:
    reader = Predictor(bundle)
    model = keras_model(bundle)
    square, _ = reader.scorer.fit(read_radiograph(path).pixels)
    batch = square[None, ..., None].astype(np.float32)
    compiled = tf.function(lambda x: model(x, training=False)["logit"])
    bare = bare_openvino(model)
    ways = {
        "file -> finding with heatmap": lambda: reader.predict(read_radiograph(path)).heatmap(reader.default_method),
        "bare OpenVINO f32 forward pass": lambda: bare(square),
        "tf.function forward pass": lambda: compiled(tf.constant(batch)).numpy(),
        "Keras predict": lambda: model.predict(batch, verbose=0),
        "eager GradientTape Grad-CAM": lambda: eager_grad_cam(model, square),
    }
    try:
        run = onnx_runtime(model, folder)
        ways["ONNX Runtime forward pass"] = lambda: run(square)
    except Exception as error:
        print(f"ONNX Runtime left out: {type(error).__name__}: {str(error)[:120]}")
    return ways


def take_turns(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the median seconds of each, after two warm-up rounds."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    order = list(ways.items())
    for turn in range(rounds + 2):
        # Some runtimes' threads spin for a while after their turn; a pause and a changing order keep that from
        # being charged to whoever comes next.
        random.shuffle(order)
        for name, run in order:
            time.sleep(0.05)
            began = time.perf_counter()
            run()
            if turn >= 2:
                times[name].append(time.perf_counter() - began)
    return {name: float(np.median(values)) for name, values in times.items()}


def folder_throughput(bundle, paths: list[Path]) -> dict[str, float]:
    """Return images per second, decoding included: our scorer, and Keras predict fed by the same decoder."""
    reader = Predictor(bundle)
    model = keras_model(bundle)

    def ours() -> None:
        reader.scorer.score_files(paths)

    def keras_predict() -> None:
        for start in range(0, len(paths), 32):
            chunk = [
                reader.scorer.fit(read_radiograph(p, accept_cut_short=True).pixels)[0]
                for p in paths[start : start + 32]
            ]
            model.predict(np.stack(chunk)[..., None].astype(np.float32), verbose=0)

    rates = {}
    for name, run in (("fracture_core", ours), ("Keras predict", keras_predict)) * 2:
        began = time.perf_counter()
        run()
        rates[name] = max(rates.get(name, 0), len(paths) / (time.perf_counter() - began))
    return rates


def main() -> None:
    import tempfile

    from fracture_core.data.fracatlas import FracAtlas

    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--bundle", default=DEFAULT_BUNDLE)
    arguments.add_argument("--rounds", type=int, default=20)
    arguments.add_argument("--images", type=int, default=817, help="how many test images to score (default: all)")
    arguments = arguments.parse_args()
    bundle = load_bundle(arguments.bundle)
    dataset = FracAtlas()
    table = bundle.predictions()
    test = [dataset.path(i) for i in table[table["split"] == "test"]["image_id"]]
    with tempfile.TemporaryDirectory() as folder:
        medians = take_turns(contenders(bundle, test[0], Path(folder)), arguments.rounds)
    base = medians["bare OpenVINO f32 forward pass"]
    print(f"\n{bundle.version}, {bundle.recipe.backbone} at {bundle.recipe.image_size} px, one image")
    for name, seconds in sorted(medians.items(), key=lambda item: item[1]):
        print(f"  {name:32} {1000 * seconds:8.1f} ms   {seconds / base:6.2f} x bare OpenVINO")
    rates = folder_throughput(bundle, test[: arguments.images])
    print(f"\nscoring {min(arguments.images, len(test))} test images, decoding included")
    for name, rate in rates.items():
        print(f"  {name:32} {rate:8.1f} images/s   {rate / rates['Keras predict']:6.2f} x Keras predict")


if __name__ == "__main__":
    raise SystemExit(exit_status(main))

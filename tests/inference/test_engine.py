"""The engine against Keras: the same outputs, whatever the architecture, the thread or the number of images."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fracture_core.inference import engine as engine_room
from fracture_core.inference.engine import Engine, EngineError, TensorFlowEngine, ready_engine
from fracture_core.inference.graph_fusion import simplify
from fracture_core.inference.openvino_backend import openvino_graph
from fracture_core.network.graph import Graph, GraphError, Node
from tests.support.networks import BACKBONES, HEADS, SIZE, keras_outputs, network, pictures, real_square, recipe

WINDOW = {"strides": [1, 1], "padding": [0, 0, 0, 0], "dilation": [1, 1], "bias": False}


@pytest.fixture(scope="module")
def densenet() -> Engine:
    _, graph, weights = network()
    return Engine(graph, weights)


def largest_difference(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> float:
    """Over all outputs, relative to each output's own size where that is above one."""
    assert one.keys() == other.keys()
    assert all(one[name].shape == other[name].shape for name in one)
    return max(float(np.abs(a - other[name]).max() / max(1, np.abs(a).max())) for name, a in one.items())


@pytest.mark.slow
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("backbone", BACKBONES)
def test_gives_what_keras_gives(backbone: str, head: str) -> None:
    model, graph, weights = network(backbone, head=head)
    engine, squares = Engine(graph, weights), pictures(3)
    expected = keras_outputs(model, squares)
    assert expected["cells"].shape == (3, SIZE // 8, SIZE // 8, 1)
    assert np.ptp(expected["logit"]) > 1e-3  # the images do make a difference
    assert largest_difference(engine.run(squares), expected) < 1e-4
    assert largest_difference(engine.run(squares[:1]), keras_outputs(model, squares[:1])) < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("sharpness", [0, -1.0, float("nan"), float("inf"), "sharp", None])
def test_a_pooling_that_makes_no_sense_is_refused(sharpness: object) -> None:
    _, graph, weights = network(head="cells")
    pool = next(node for node in graph.nodes if node.operation == "log_mean_exp_pool")
    bad = replace(pool, attributes={"sharpness": sharpness})
    nodes = tuple(bad if node is pool else node for node in graph.nodes)
    with pytest.raises(GraphError):
        Engine(Graph(nodes, graph.outputs), weights)


@pytest.mark.slow
def test_without_a_localiser_the_logit_is_the_global_one() -> None:
    model, graph, weights = network("xception", localiser=0)
    outputs = Engine(graph, weights).run(pictures(2))
    assert set(outputs) == {"logit", "global_logit", "embedding", "last_map"}
    np.testing.assert_array_equal(outputs["logit"], outputs["global_logit"])
    assert largest_difference(outputs, keras_outputs(model, pictures(2))) < 1e-4


def test_a_real_radiograph_gives_what_keras_gives(fracatlas_dir, densenet: Engine) -> None:
    squares = real_square(fracatlas_dir)[None]
    assert largest_difference(densenet.run(squares), keras_outputs(network()[0], squares)) < 1e-4


@pytest.mark.slow
def test_one_by_one_side_by_side_and_from_many_threads_are_the_same_to_the_bit(densenet: Engine) -> None:
    squares = pictures(12)
    together = densenet.run(squares)
    with ThreadPoolExecutor(6) as pool:
        singles = list(pool.map(lambda i: densenet.run(squares[i : i + 1]), range(12)))
        batches = list(pool.map(lambda _: densenet.run(squares), range(4)))
    for name, values in together.items():
        np.testing.assert_array_equal(np.concatenate([one[name] for one in singles]), values)
        for batch in batches:
            np.testing.assert_array_equal(batch[name], values)


def test_results_are_copies_that_later_runs_leave_alone(densenet: Engine) -> None:
    squares = pictures(2)
    first = densenet.run(squares[:1])
    kept = {name: values.copy() for name, values in first.items()}
    densenet.run(squares[1:])
    for name, values in first.items():
        np.testing.assert_array_equal(values, kept[name])
        assert values.flags.owndata and values.dtype == np.float32


def test_bytes_and_floats_not_in_one_piece_and_no_pictures_at_all(densenet: Engine) -> None:
    squares = pictures(3)
    mirrored = squares[:, :, ::-1]
    expected = densenet.run(np.ascontiguousarray(mirrored))
    assert largest_difference(densenet.run(mirrored), expected) == 0
    assert largest_difference(densenet.run(mirrored.astype(np.float32)), expected) == 0
    assert densenet.run(squares[:0])["last_map"].shape == (0, SIZE // 32, SIZE // 32, 1024)


@pytest.mark.parametrize(
    "squares",
    [
        np.zeros((SIZE, SIZE), np.uint8),
        np.zeros((1, SIZE, SIZE + 1), np.uint8),
        np.zeros((1, SIZE, SIZE, 1), np.uint8),
        np.zeros((1, SIZE, SIZE), np.float64),
    ],
    ids=["no batch", "another size", "with channels", "float64"],
)
def test_other_pictures_are_refused(densenet: Engine, squares: np.ndarray) -> None:
    with pytest.raises(EngineError, match=f"{SIZE} x {SIZE}"):
        densenet.run(squares)


def test_a_missing_weight_or_a_senseless_option_is_refused() -> None:
    _, graph, weights = network()
    key = "conv2_block1_1_conv/kernel"
    with pytest.raises(GraphError, match="conv2_block1_1_conv"):
        Engine(graph, {k: v for k, v in weights.items() if k != key})
    with pytest.raises(GraphError, match="damaged"):
        Engine(graph, {**weights, key: np.full_like(weights[key], np.nan)})
    with pytest.raises(EngineError, match="precision"):
        Engine(graph, weights, precision="int3")
    with pytest.raises(EngineError, match="0 threads"):
        Engine(graph, weights, threads=0)


@given(st.data())
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_node_with_a_senseless_attribute_is_refused_or_runs(data: st.DataObject) -> None:
    nodes = (
        Node("conv", "convolution", ("radiograph",), WINDOW),
        Node("norm", "batch_norm", ("conv",), {"epsilon": 1e-3, "scale": True}),
        Node("relu", "activation", ("norm",), {"function": "relu"}),
        Node("pad", "pad", ("relu",), {"padding": [1, 1, 1, 1]}),
        Node("pool", "max_pool", ("pad",), {"window": [3, 3], "strides": [2, 2], "padding": [0, 0, 0, 0]}),
        Node("mean", "global_average_pool", ("pool",), {"keepdims": False}),
    )
    weights = {
        "conv/kernel": np.ones((3, 3, 1, 2), np.float32),
        **{f"norm/{part}": np.ones(2, np.float32) for part in ("gamma", "beta", "mean", "variance")},
    }
    place = data.draw(st.integers(0, len(nodes) - 1))
    attributes = dict(nodes[place].attributes)
    key = data.draw(st.sampled_from(sorted(attributes)))
    if data.draw(st.booleans()):
        del attributes[key]
    else:
        attributes[key] = data.draw(st.none() | st.text(max_size=3) | st.lists(st.integers(-2, 9), max_size=4))
    damaged = [replace(node, attributes=attributes) if node is nodes[place] else node for node in nodes]
    try:
        openvino_graph(small_graph(*damaged, outputs={"mean": "mean"}), weights)
    except GraphError as error:
        assert str(error).endswith(".")


def test_the_threads_asked_for_are_the_threads_used() -> None:
    _, graph, weights = network()
    engine = Engine(graph, weights, threads=1)
    engine.run(pictures(1))
    engine.run(pictures(2))
    assert [c.get_property("INFERENCE_NUM_THREADS") for c in engine._compiled.values()] == [1, 1]


def test_export_is_the_same_network_for_a_model_server(tmp_path, densenet: Engine) -> None:
    import openvino

    densenet.export(tmp_path / "model" / "network")
    assert {p.name for p in (tmp_path / "model").iterdir()} == {"network.xml", "network.bin"}
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    served = openvino.Core().compile_model(tmp_path / "model" / "network.xml", "CPU", options)
    results = served({"radiograph": pictures(5)[..., None].astype(np.float32)})
    for name, values in densenet.run(pictures(5)).items():
        np.testing.assert_allclose(results[name], values, atol=1e-4)


@pytest.mark.slow
def test_tensorflow_takes_over_where_openvino_is_missing_and_gives_the_same(monkeypatch, caplog) -> None:
    _, graph, weights = network("xception")
    engine = ready_engine(graph, weights, recipe("xception"))
    assert isinstance(engine, Engine)
    expected = engine.run(pictures(2))
    monkeypatch.setattr(engine_room, "openvino", None)
    other = ready_engine(graph, weights, recipe("xception"))
    assert isinstance(other, TensorFlowEngine) and "TensorFlow takes its place" in caplog.text
    assert largest_difference(other.run(pictures(2)), expected) < 1e-4
    with pytest.raises(EngineError):
        other.run(np.zeros((1, 3, 3), np.uint8))


@pytest.mark.slow
@pytest.mark.parametrize("backbone", BACKBONES)
def test_simplifying_leaves_no_step_that_could_go(backbone: str) -> None:
    _, graph, weights = network(backbone)
    simple, made = simplify(graph, weights)
    operations = {n.name: n.operation for n in simple.nodes}
    convolutions = {name for name, kind in operations.items() if kind.endswith("convolution")}
    read_once = {name for name in operations if sum(n.inputs.count(name) for n in simple.nodes) == 1}
    kept = [n.name for n in simple.nodes if n.operation == "batch_norm" and n.inputs[0] in convolutions & read_once]
    assert kept == [] and len(simple.nodes) < len(graph.nodes)
    assert simple.outputs == graph.outputs
    simple._check_order()
    simple.check_weights(made)
    # The arguments stay as they were.
    assert weights.keys() == network(backbone)[2].keys() and any(n.operation == "batch_norm" for n in graph.nodes)


def test_densenets_transitions_pool_before_they_convolve() -> None:
    _, graph, weights = network()
    simple, _ = simplify(graph, weights)
    by_name = {n.name: n for n in simple.nodes}
    pools = [n for n in simple.nodes if n.operation == "average_pool"]
    assert len(pools) == 3
    assert all(by_name[pool.inputs[0]].operation == "activation" for pool in pools)


def small_graph(*nodes: Node, outputs: dict[str, str]) -> Graph:
    source = Node("radiograph", "input", (), {"shape": [8, 8, 1]})
    return Graph((source, *nodes), outputs)


def by_hand(squares: np.ndarray, kernel: np.ndarray, padding: tuple[int, int, int, int], stride: int) -> np.ndarray:
    """A convolution of (n, H, W) with (h, w, 1, out), written out as a sum over the kernel's places."""
    top, bottom, left, right = padding
    padded = np.pad(squares.astype(np.float64), ((0, 0), (top, bottom), (left, right)))
    height, width = kernel.shape[:2]
    windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), (1, 2))[:, ::stride, ::stride]
    return np.einsum("nijhw,hwo->nijo", windows, kernel[:, :, 0])


@pytest.mark.parametrize("padding", [(0, 1, 0, 1), (2, 0, 1, 3), (1, 1, 1, 1)])
@pytest.mark.parametrize("separate", [False, True], ids=["own padding", "pad node"])
def test_uneven_padding_is_exact(padding: tuple[int, int, int, int], separate: bool) -> None:
    kernel = np.random.default_rng(0).normal(size=(3, 3, 1, 4)).astype(np.float32)
    own = [0, 0, 0, 0] if separate else list(padding)
    pad = Node("pad", "pad", ("radiograph",), {"padding": list(padding)})
    source = ("pad",) if separate else ("radiograph",)
    window = {**WINDOW, "strides": [2, 2], "padding": own}
    nodes = [*([pad] if separate else []), Node("conv", "convolution", source, window)]
    engine = Engine(small_graph(*nodes, outputs={"map": "conv"}), {"conv/kernel": kernel})
    expected = by_hand(pictures(2, 8), kernel, padding, 2)
    np.testing.assert_allclose(engine.run(pictures(2, 8))["map"], expected, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("first", ["linear", "relu"])
def test_padding_before_a_maximum_stays_zero_where_values_can_be_negative(first: str) -> None:
    """Below zero a border of zeros wins the maximum, so only behind a ReLU may it go into the pooling."""
    shift = Node("shift", "rescale", ("radiograph",), {"scale": [1.0], "offset": [-300.0]})
    start = Node("start", "activation", ("shift",), {"function": "relu"}) if first == "relu" else None
    pad = Node("pad", "pad", ("start" if start else "shift",), {"padding": [1, 1, 1, 1]})
    pool = Node("pool", "max_pool", ("pad",), {"window": [3, 3], "strides": [2, 2], "padding": [0, 0, 0, 0]})
    graph = small_graph(*[n for n in (shift, start, pad, pool) if n], outputs={"map": "pool"})
    values = pictures(1, 8)[0].astype(np.float32) - 300
    padded = np.pad(np.maximum(values, 0) if start else values, 1)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3))[::2, ::2]
    np.testing.assert_array_equal(Engine(graph, {}).run(pictures(1, 8))["map"][0, :, :, 0], windows.max((2, 3)))
    assert any(n.operation == "pad" for n in simplify(graph, {})[0].nodes) == (start is None)


def test_what_is_an_output_itself_is_never_merged_away() -> None:
    rng = np.random.default_rng(0)
    weights = {
        "conv/kernel": rng.normal(size=(3, 3, 1, 2)).astype(np.float32),
        **{f"norm/{part}": rng.uniform(0.5, 2, 2).astype(np.float32) for part in ("gamma", "beta", "mean", "variance")},
    }
    conv = Node("conv", "convolution", ("radiograph",), WINDOW)
    norm = Node("norm", "batch_norm", ("conv",), {"epsilon": 1e-3, "scale": True})
    merged = small_graph(conv, norm, outputs={"map": "norm"})
    both = replace(merged, outputs={"map": "norm", "raw": "conv"})
    assert len(simplify(merged, weights)[0].nodes) == 2 and len(simplify(both, weights)[0].nodes) == 3
    outputs, squares = Engine(both, weights).run(pictures(2, 8)), pictures(2, 8)
    np.testing.assert_allclose(outputs["map"], Engine(merged, weights).run(squares)["map"], rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(
        outputs["raw"], by_hand(squares, weights["conv/kernel"], (0, 0, 0, 0), 1), rtol=1e-5, atol=1e-3
    )


def test_log_mean_exp_does_not_overflow() -> None:
    scaled = Node("scaled", "rescale", ("radiograph",), {"scale": [4.0], "offset": [-100.0]})
    pool = Node("pool", "log_mean_exp_pool", ("scaled",), {})
    values = pictures(2, 8).astype(np.float64).reshape(2, -1) * 4 - 100
    expected = np.logaddexp.reduce(values, axis=1) - np.log(64)
    result = Engine(small_graph(scaled, pool, outputs={"pool": "pool"}), {}).run(pictures(2, 8))["pool"]
    np.testing.assert_allclose(result[:, 0], expected, rtol=1e-6)

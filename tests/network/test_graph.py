"""Networks as plain data: described, written, read back, and refused where damaged; and their weights by name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fracture_core.network.graph import FORMAT, OPERATIONS, Graph, GraphError, Node, same_padding
from fracture_core.network.weights import (
    WeightsError,
    half_precision,
    load_weights,
    save_weights,
    set_weights,
    weights_of,
)
from tests.support.networks import BACKBONES, HEADS, SIZE, keras_outputs, network, pictures, recipe


@pytest.mark.slow
@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_description_survives_json(backbone: str) -> None:
    _, graph, weights = network(backbone)
    text = json.dumps(graph.to_json())
    assert Graph.from_json(json.loads(text)) == graph
    assert graph.input_size == (SIZE, SIZE)
    assert set(graph.outputs) == {"logit", "global_logit", "embedding", "last_map", "cells"}
    assert len(text) < 150_000
    graph.check_weights(weights)
    # Every weight belongs to a node, and no name hangs on what else this process has built.
    nodes = {node.name for node in graph.nodes}
    assert all(key.rpartition("/")[0] in nodes for key in weights)


@pytest.mark.slow
def test_names_depend_on_the_architecture_alone() -> None:
    from fracture_core.network.keras_graph import graph_from_keras
    from fracture_core.network.model import build_model

    for backbone in ("resnet50v2", "xception"):
        build_model(recipe("densenet121"))
        model = build_model(recipe(backbone))
        assert weights_of(model).keys() == network(backbone)[2].keys()
        assert graph_from_keras(model) == network(backbone)[1]


def test_layers_and_ways_that_the_engine_does_not_know_are_refused() -> None:
    import keras

    from fracture_core.network.keras_graph import graph_from_keras

    source = keras.Input((8, 8, 1))
    for layer in (
        keras.layers.LayerNormalization(),
        keras.layers.Conv2DTranspose(2, 3, strides=2),
        keras.layers.UpSampling2D(2, interpolation="bilinear"),
        keras.layers.AveragePooling2D(3, padding="same"),
    ):
        with pytest.raises(GraphError, match="The network has a"):
            graph_from_keras(keras.Model(source, {"map": layer(source)}))


@st.composite
def damaged(draw: st.DrawFn) -> object:
    """A description of a real network with one thing in it replaced, renamed, or taken away."""
    data = json.loads(json.dumps(network()[1].to_json()))
    parents = [data, data["outputs"], data["nodes"], *data["nodes"][:20], *[n["inputs"] for n in data["nodes"][:20]]]
    parent = draw(st.sampled_from([p for p in parents if p]))
    key = draw(st.sampled_from(sorted(parent) if isinstance(parent, dict) else range(len(parent))))
    if draw(st.booleans()):
        del parent[key]
    else:
        junk = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
        parent[key] = draw(junk | st.lists(junk, max_size=2) | st.dictionaries(st.text(max_size=3), junk, max_size=2))
    return data


@given(damaged())
def test_a_damaged_description_is_refused_or_still_a_graph(data: object) -> None:
    try:
        graph = Graph.from_json(data)
    except GraphError as error:
        assert str(error).endswith(".")
        return
    names = [node.name for node in graph.nodes]
    assert len(set(names)) == len(names) and set(graph.outputs.values()) <= set(names)
    assert all(node.operation in OPERATIONS for node in graph.nodes)


@pytest.mark.parametrize("data", [None, 3, "network", [], {}, {"format": 2}, {"format": 1}, {"format": 1, "nodes": []}])
def test_what_is_no_description_is_refused(data: object) -> None:
    with pytest.raises(GraphError):
        Graph.from_json(data)


def changed(graph: Graph, place: int, **changes: object) -> dict:
    data = json.loads(json.dumps(graph.to_json()))
    data["nodes"][place] |= changes
    return data


def test_loops_unknown_operations_and_unknown_outputs_are_named() -> None:
    graph = network()[1]
    later = graph.nodes[9].name
    with pytest.raises(GraphError, match=graph.nodes[5].name):
        Graph.from_json(changed(graph, 5, inputs=[later]))
    with pytest.raises(GraphError, match="attention"):
        Graph.from_json(changed(graph, 5, operation="attention"))
    with pytest.raises(GraphError, match="start"):
        Graph.from_json(changed(graph, 0, operation="activation"))
    with pytest.raises(GraphError, match="output"):
        Graph.from_json({**graph.to_json(), "outputs": {"logit": "nowhere"}})


@given(st.data())
def test_missing_and_misshapen_weights_are_named(data: st.DataObject) -> None:
    _, graph, weights = network()
    key = data.draw(st.sampled_from(sorted(weights)))
    layer = key.rpartition("/")[0]
    others = {k: v for k, v in weights.items() if k != key}
    infinite = weights[key].copy()
    infinite.flat[data.draw(st.integers(0, infinite.size - 1))] = np.inf
    with pytest.raises(GraphError, match=f"'{layer}'"):
        graph.check_weights(others)
    for wrong in (infinite, weights[key].reshape(1, 1, 1, 1, -1)):
        with pytest.raises(GraphError, match=f"'{layer}'"):
            graph.check_weights({**others, key: wrong})


@given(st.integers(1, 300), st.integers(1, 7), st.integers(1, 3))
def test_same_padding_is_tensorflows(size: int, kernel: int, stride: int) -> None:
    before, after = same_padding(size, kernel, stride)
    # TensorFlow: ceil(size / stride) outputs, the odd pixel behind.
    assert (size + before + after - kernel) // stride + 1 >= -(-size // stride)
    assert 0 <= after - before <= 1 and before + after < max(kernel, 1)


def test_weights_come_back_from_a_file_at_half_precision(tmp_path: Path) -> None:
    _, _, weights = network()
    save_weights(tmp_path / "w.safetensors", weights)
    read = load_weights(tmp_path / "w.safetensors")
    assert read.keys() == weights.keys()
    for key, array in weights.items():
        assert read[key].dtype == np.float32
        if key.endswith("/kernel") and array.size > 64:
            np.testing.assert_array_equal(read[key], array.astype(np.float16).astype(np.float32))
        else:
            np.testing.assert_array_equal(read[key], array)
    assert (tmp_path / "w.safetensors").stat().st_size < 0.55 * sum(a.nbytes for a in weights.values())
    # A second round changes nothing more.
    again = half_precision(read)
    assert all(np.array_equal(again[key].astype(np.float32), read[key]) for key in read)


@pytest.mark.slow
def test_half_precision_hardly_moves_the_answer() -> None:
    from fracture_core.inference.engine import Engine

    _, graph, weights = network()
    rounded = {key: array.astype(np.float32) for key, array in half_precision(weights).items()}
    exact, near = (Engine(graph, w).run(pictures(4))["logit"] for w in (weights, rounded))
    assert np.abs(exact - near).max() < 0.05 and (exact != near).any()


@pytest.mark.parametrize("damage", ["missing", "cut short", "text", "empty"])
def test_a_damaged_weights_file_is_said(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(path, {"a/kernel": np.ones((8, 16), np.float32)})
    whole = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes({"cut short": whole[:-40], "text": b"weights" * 9, "empty": b""}[damage])
    with pytest.raises(WeightsError, match=r"w\.safetensors is (missing|damaged)"):
        load_weights(path)


@pytest.mark.slow
def test_weights_go_into_a_model_whole_partly_or_not_at_all() -> None:
    from fracture_core.network.model import build_model

    model, _, weights = network()
    fresh = build_model(recipe())
    before = weights_of(fresh)
    without = {key: array for key, array in weights.items() if not key.startswith("global_logit")}
    with pytest.raises(WeightsError, match="global_logit"):
        set_weights(fresh, without)
    assert all(np.array_equal(array, before[key]) for key, array in weights_of(fresh).items())
    assert set_weights(fresh, without, partly=True) == ["global_logit/kernel", "global_logit/bias"]
    assert set_weights(fresh, weights) == []
    expected = keras_outputs(model, pictures(2))
    for name, values in keras_outputs(fresh, pictures(2)).items():
        np.testing.assert_allclose(values, expected[name], atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_network_at_another_size_is_what_keras_would_build_there(backbone: str, head: str) -> None:
    from fracture_core.network.keras_graph import graph_from_keras
    from fracture_core.network.model import build_model

    larger = build_model(recipe(backbone, head=head).replace(image_size=128))
    assert network(backbone, head=head)[1].at_size(128) == graph_from_keras(larger)


@pytest.mark.parametrize("size", [0, 16, 100, -32])
def test_a_size_that_the_strides_do_not_divide_is_refused(size: int) -> None:
    with pytest.raises(GraphError, match="multiple of 32"):
        network()[1].at_size(size)


def test_a_node_without_attributes_is_still_plain_data() -> None:
    graph = Graph((Node("x", "input", (), {"shape": [4, 4, 1]}), Node("y", "add", ("x", "x"))), {"y": "y"})
    assert Graph.from_json(graph.to_json()) == graph


@pytest.mark.parametrize(
    ("layer", "attribute", "value"),
    [
        *(("batch_norm", "epsilon", value) for value in (-1, 0, 3, 10**400, float("nan"), float("inf"), "x", None)),
        *(("rescale", "scale", value) for value in (10**400, 1e308, [float("nan")], [[10**400]])),
        ("upsample", "factor", 10**400),
    ],
)
def test_numbers_that_no_layer_has_are_refused(layer: str, attribute: str, value: object) -> None:
    nodes = [
        {"name": "input", "operation": "input", "inputs": [], "shape": [32, 32, 1]},
        {"name": "layer", "operation": layer, "inputs": ["input"], attribute: value},
    ]
    with pytest.raises(GraphError, match="damaged"):
        Graph.from_json({"format": FORMAT, "nodes": nodes, "outputs": {"out": "layer"}})


def test_a_negative_variance_is_damage() -> None:
    nodes = (
        Node("input", "input", (), {"shape": [32, 32, 1]}),
        Node("norm", "batch_norm", ("input",), {"epsilon": 1e-3, "scale": False}),
    )
    weights = {f"norm/{part}": np.ones(1, np.float32) for part in ("beta", "mean", "variance")}
    graph = Graph(nodes, {"out": "norm"})
    graph.check_weights(weights)
    with pytest.raises(GraphError, match="'variance'"):
        graph.check_weights(weights | {"norm/variance": -np.ones(1, np.float32)})

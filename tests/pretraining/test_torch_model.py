"""The PyTorch twin: the same outputs as Keras, and weights that go there and come back."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.networks import BACKBONES, HEADS, SIZE, keras_outputs, network, pictures, real_square

pytestmark = pytest.mark.slow

torch = pytest.importorskip("torch", reason="needs PyTorch, the optional extra for long pre-training")


def twin_outputs(backbone: str, squares: np.ndarray, head: str = "global") -> dict[str, np.ndarray]:
    from fracture_core.pretraining.torch_model import GraphModule

    _, graph, weights = network(backbone, head=head)
    with torch.no_grad():
        outputs = GraphModule(graph, weights).eval()(torch.from_numpy(squares[:, None].astype(np.float32)))
    # Maps come in PyTorch's own order, channels first.
    return {name: (t.permute(0, 2, 3, 1) if t.ndim == 4 else t).numpy() for name, t in outputs.items()}


def assert_same(made: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert made.keys() == expected.keys()
    for name, values in expected.items():
        assert made[name].shape == values.shape
        assert np.abs(made[name] - values).max() < 1e-4 * max(1, np.abs(values).max()), name


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("backbone", BACKBONES)
def test_gives_what_keras_gives(backbone: str, head: str) -> None:
    expected = keras_outputs(network(backbone, head=head)[0], pictures(2))
    assert_same(twin_outputs(backbone, pictures(2), head), expected)


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 1), (5, 2)])
def test_depthwise_gradients_in_bfloat16_are_autodiffs_within_its_rounding(kernel: int, stride: int) -> None:
    from fracture_core.pretraining.torch_operations import Depthwise

    torch.manual_seed(0)
    x = torch.randn(2, 6, 12, 12).bfloat16().float().requires_grad_()
    weight = torch.randn(6, 1, kernel, kernel).bfloat16().float().requires_grad_()
    exact = torch.nn.functional.conv2d(x, weight, None, stride, kernel // 2, 1, 6)
    by = torch.randn_like(exact).bfloat16()
    expected = torch.autograd.grad(exact, (x, weight), by.float())
    made = Depthwise.apply(x.bfloat16(), weight, stride, kernel // 2)
    gradients = torch.autograd.grad(made, (x, weight), by)
    for got, wanted in zip((made, *gradients), (exact, *expected), strict=True):
        assert (got.float() - wanted).abs().max() < 0.02 * wanted.abs().max()


def test_gives_what_keras_gives_for_a_real_radiograph(fracatlas_dir) -> None:
    squares = real_square(fracatlas_dir)[None]
    assert_same(twin_outputs("densenet121", squares), keras_outputs(network()[0], squares))


@pytest.mark.parametrize("backbone", BACKBONES)
def test_weights_go_there_and_come_back_to_the_bit(backbone: str) -> None:
    from fracture_core.pretraining.torch_model import GraphModule

    _, graph, weights = network(backbone)
    exported = GraphModule(graph, weights).export()
    assert exported.keys() == weights.keys()
    for key, array in weights.items():
        assert exported[key].dtype == np.float32
        np.testing.assert_array_equal(exported[key], array)


def test_a_tap_gives_an_inner_map_and_the_gradient_reaches_the_first_layer() -> None:
    from fracture_core.pretraining.torch_model import GraphModule

    _, graph, weights = network()
    twin = GraphModule(graph, weights, taps=("pool3_pool",)).train()
    outputs = twin(torch.from_numpy(pictures(2)[:, None].astype(np.float32)))
    assert outputs["pool3_pool"].shape[2:] == (SIZE // 16, SIZE // 16)
    outputs["logit"].sum().backward()
    first = twin.modules_by_node["conv1_conv"].weight.grad
    assert first is not None and float(first.abs().max()) > 0


def test_training_moves_the_running_statistics_as_keras_does() -> None:
    import keras

    from fracture_core.pretraining.torch_model import GraphModule

    _, graph, weights = network()
    squares = pictures(4)
    twin = GraphModule(graph, weights).train()
    with torch.no_grad():
        twin(torch.from_numpy(squares[:, None].astype(np.float32)))
    key = "conv1_bn"
    layer = keras.layers.BatchNormalization(momentum=0.99, epsilon=1.001e-5)
    layer.build((None, None, None, 64))
    layer.set_weights([weights[f"{key}/{part}"] for part in ("gamma", "beta", "mean", "variance")])
    model = network()[0]
    before = keras.Model(model.input, model.get_layer("conv1_conv").output)(squares[..., None].astype(np.float32))
    layer(before, training=True)
    np.testing.assert_allclose(twin.export()[f"{key}/mean"], layer.moving_mean.numpy(), atol=1e-5)
    # PyTorch divides a batch's variance by n - 1, Keras by n; with thousands of cells that is the same.
    np.testing.assert_allclose(twin.export()[f"{key}/variance"], layer.moving_variance.numpy(), rtol=1e-3)


def test_what_is_frozen_may_run_on_the_engine() -> None:
    from fracture_core.inference.engine import Engine
    from fracture_core.pretraining.teacher import in_torch
    from fracture_core.pretraining.torch_model import GraphModule

    _, graph, weights = network("efficientnet-lite2")
    twin = GraphModule(graph, weights).eval()
    twin.freeze_through("block3c_add")
    squares = pictures(2)
    part = twin.frozen_part()
    assert list(part.outputs) == ["block3c_add"]
    frozen = in_torch(Engine(part, weights).run(squares))
    x = torch.from_numpy(squares[:, None].astype(np.float32))
    with torch.no_grad():
        whole, split = twin(x), twin(x, frozen)
    assert_same({k: v.numpy() for k, v in split.items()}, {k: v.numpy() for k, v in whole.items()})

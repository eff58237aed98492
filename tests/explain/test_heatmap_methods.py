"""Heatmaps: what the closed forms say against autodiff, what their units mean, and where a hot cell lands."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fracture_core.explain.evidence_head import AveragedMapHead, PooledCellsHead
from fracture_core.explain.heatmap_methods import METHODS, HeatmapError, heatmap
from fracture_core.imaging.letterbox import letterbox
from fracture_core.inference.engine import Engine
from fracture_core.inference.evidence_layer import EVIDENCE, evidence_head, with_evidence
from fracture_core.metrics.localisation import hottest_point_in_box
from fracture_core.network.backbones import BACKBONES
from tests.support.autodiff import maps_and_gradients
from tests.support.networks import SIZE, network, pictures, real_square

GRADIENT_METHODS = ("grad-cam", "grad-cam++", "hires-cam")
SHAPES = ((120, 96), (96, 120), (64, 64), (17, 301))


@lru_cache
def engine(backbone: str, localiser: int = 16) -> Engine:
    _, graph, weights = network(backbone, localiser)
    return Engine(with_evidence(graph), weights)


def forward(square: np.ndarray, backbone: str = "densenet121", localiser: int = 16):
    """One image's outputs, and the network's head."""
    _, graph, weights = network(backbone, localiser)
    outputs = {name: values[0] for name, values in engine(backbone, localiser).run(square[None]).items()}
    return outputs, evidence_head(graph, weights)


def assert_close(one: np.ndarray, other: np.ndarray, relative: float = 1e-5) -> None:
    assert one.shape == other.shape
    assert np.abs(one - other).max() <= relative * np.abs(other).max()


@pytest.mark.slow
@pytest.mark.parametrize("localiser", [16, 0])
@pytest.mark.parametrize("backbone", ["densenet121", "efficientnetv2-b0"])
def test_the_closed_form_equals_autodiff_of_the_shown_logit(backbone: str, localiser: int) -> None:
    model, _, _ = network(backbone, localiser)
    square = pictures(1)[0]
    outputs, head = forward(square, backbone, localiser)
    layer = head.layer if localiser else BACKBONES[backbone].last
    maps, gradients = maps_and_gradients(model, square, layer)
    assert np.ptp(gradients) > 0
    cells = model(square[None, ..., None].astype(np.float32), training=False)["cells"][0].numpy() if localiser else None
    exact = {head.layer: maps, "cells": cells}
    assert_close(head.gradient(exact), gradients)
    for method in GRADIENT_METHODS:
        expected = METHODS[method].weigh(maps, gradients)
        assert_close(METHODS[method].evidence(exact, head), expected)
        # Out of the engine's forward pass, the same but for that pass's own rounding.
        assert_close(METHODS[method].evidence(outputs, head), expected, 1e-3)


@pytest.mark.slow
def test_the_closed_form_equals_autodiff_for_the_published_networks_on_a_real_radiograph(fracatlas_dir) -> None:
    from fracture_core.bundle.loading import list_bundles, load_bundle
    from fracture_core.network.model import build_model
    from fracture_core.network.weights import set_weights

    if not list_bundles():
        pytest.skip("needs a bundle in models/")
    bundle = load_bundle(list_bundles()[0])
    weights = bundle.weights()
    model = build_model(bundle.recipe)
    set_weights(model, weights)
    square = real_square(fracatlas_dir, bundle.recipe.image_size)
    head = evidence_head(bundle.graph, weights)
    reading = Engine(with_evidence(bundle.graph), weights).run(square[None])
    outputs = {name: values[0] for name, values in reading.items()}
    maps, gradients = maps_and_gradients(model, square, head.layer)
    for method in GRADIENT_METHODS:
        assert_close(METHODS[method].evidence(outputs, head), METHODS[method].weigh(maps, gradients), 1e-4)


@pytest.mark.parametrize("sharpness", [1.0, 2.0])
@given(seed=st.integers(0, 2**32 - 1), height=st.integers(1, 9), width=st.integers(1, 9), channels=st.integers(1, 40))
def test_cells_pooled_without_a_split_follow_their_chain_rule(
    sharpness: float, seed: int, height: int, width: int, channels: int
) -> None:
    """A head of one 1x1 convolution and a sharper pooling, against differences of its logit in float64."""
    rng = np.random.default_rng(seed)
    maps, kernel = rng.random((height, width, channels)), rng.normal(size=channels)

    def cells(maps: np.ndarray) -> np.ndarray:
        return maps @ kernel - 1.5

    def logit(maps: np.ndarray) -> float:
        return 0.7 * float(np.log(np.exp(sharpness * cells(maps)).mean()) / sharpness)

    head = PooledCellsHead(kernel=kernel, share=0.7, sharpness=sharpness)
    outputs = {EVIDENCE: maps.astype(np.float32), "cells": cells(maps).astype(np.float32)}
    gradient = head.gradient(outputs)
    step = rng.normal(size=maps.shape)
    slope = (logit(maps + 1e-5 * step) - logit(maps - 1e-5 * step)) / 2e-5
    assert (gradient * step).sum(dtype=np.float64) == pytest.approx(slope, rel=1e-4, abs=1e-5)
    # Grad-CAM then ranks the cells as they rank themselves: the map is their logits, less the bias, over their number.
    cam = METHODS["grad-cam"].evidence(outputs, head)
    np.testing.assert_allclose(cam, 0.7 * (cells(maps) + 1.5) / (height * width), rtol=1e-3, atol=1e-5)


def tutorial_grad_cam_plus_plus(maps: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """Equations 10 and 19 of Chattopadhyay et al. as they stand, for maps behind a ReLU, in float64."""
    maps, gradients = maps.astype(np.float64), gradients.astype(np.float64)
    below = 2 * gradients**2 + maps.sum((0, 1)) * gradients**3
    alpha = np.divide(gradients**2, below, out=np.zeros_like(below), where=below != 0)
    return (maps * (alpha * np.maximum(gradients, 0)).sum((0, 1))).sum(-1)


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(1, 9), st.integers(1, 40))
def test_methods_on_random_maps_against_their_papers(seed: int, height: int, width: int, channels: int) -> None:
    rng = np.random.default_rng(seed)
    maps = np.maximum(rng.normal(size=(height, width, channels)), 0).astype(np.float32)
    kernel = rng.normal(size=channels).astype(np.float32)
    head = AveragedMapHead(kernel)
    gradients = np.broadcast_to(kernel / (height * width), maps.shape)
    cam = METHODS["grad-cam"].evidence({"last_map": maps}, head)
    # The whole map is the logit, less its bias; each cell is its share.
    np.testing.assert_allclose(cam.sum(), maps.mean((0, 1), dtype=np.float64) @ kernel, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(cam, (maps * gradients).sum(-1), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(METHODS["hires-cam"].evidence({"last_map": maps}, head), cam, rtol=1e-4, atol=1e-5)
    plus = METHODS["grad-cam++"].evidence({"last_map": maps}, head)
    np.testing.assert_allclose(plus, tutorial_grad_cam_plus_plus(maps, gradients), rtol=1e-4, atol=1e-6)
    assert (plus >= 0).all()


@pytest.mark.parametrize("method", ["grad-cam", "hires-cam"])
def test_without_a_localiser_evidence_sums_to_the_logit_less_its_bias(method: str) -> None:
    bias = float(network("densenet121", 0)[2]["global_logit/bias"][0])
    for square in pictures(3):
        outputs, head = forward(square, localiser=0)
        share = METHODS[method].evidence(outputs, head).sum(dtype=np.float64)
        assert share == pytest.approx(float(outputs["logit"][0]) - bias, rel=1e-5, abs=1e-5)


def test_the_localisers_evidence_is_a_noisy_or() -> None:
    outputs, head = forward(pictures(1)[0])
    evidence = METHODS["localiser"].evidence(outputs, head)
    chance = 1 / (1 + np.exp(-outputs["cells"][..., 0].astype(np.float64)))
    assert evidence.shape == (SIZE // 8, SIZE // 8)
    assert np.exp(-evidence.sum(dtype=np.float64)) == pytest.approx(np.prod(1 - chance), rel=1e-4)


def test_the_localisers_extremes_neither_overflow_nor_stain_a_clean_radiograph() -> None:
    cells, head = np.array([[-200.0, -12.0], [0.0, 200.0]], np.float32), AveragedMapHead(np.zeros(1))
    evidence = METHODS["localiser"].evidence({"cells": cells}, head)
    np.testing.assert_allclose(evidence, [[0, 6.1e-6], [np.log(2), 200]], rtol=0.01)
    np.testing.assert_array_equal(METHODS["localiser"].evidence({"cells": cells[..., None]}, head), evidence)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("method", METHODS)
def test_every_method_gives_every_radiograph_its_own_map(method: str, shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    square, placement = letterbox(pixels, SIZE)
    outputs, head = forward(square)
    made = heatmap(method, [outputs], head, placement, shape)
    evidence = METHODS[method].evidence(outputs, head)
    assert made.shape == shape and made.dtype == np.float32 and np.isfinite(made).all()
    # Interpolated, never stretched: no pixel is hotter or colder than the cells are.
    assert evidence.min() - 1e-5 <= made.min() and made.max() <= evidence.max() + 1e-5


def test_views_are_explained_one_by_one_and_averaged() -> None:
    plain, other = (forward(square)[0] for square in pictures(2))
    _, placement = letterbox(np.zeros((64, 64), np.uint8), SIZE)
    _, head = forward(pictures(1)[0])
    for method in METHODS:
        alone = [heatmap(method, [view], head, placement, (64, 64)) for view in (plain, other)]
        both = heatmap(method, [plain, other], head, placement, (64, 64))
        np.testing.assert_allclose(both, np.mean(alone, axis=0), atol=1e-5)


@given(st.sampled_from(SHAPES), st.integers(0, SIZE // 8 - 1), st.integers(0, SIZE // 8 - 1))
def test_a_hot_cell_lands_on_its_place_in_the_radiograph(shape: tuple[int, int], row: int, column: int) -> None:
    _, placement = letterbox(np.zeros(shape, np.uint8), SIZE)
    cells = np.full((SIZE // 8, SIZE // 8), -20, np.float32)
    cells[row, column] = 5
    made = heatmap("localiser", [{"cells": cells}], AveragedMapHead(np.zeros(1)), placement, shape)
    if made.max() < 2:  # the middle of the cell lies on the letterbox's border
        return
    y, x = np.unravel_index(np.argmax(made), shape)
    in_square = placement.boxes_in_square(np.array([[x + 0.5, y + 0.5, 0, 0]]))[0, :2]
    assert (column * 8, row * 8) <= tuple(in_square) and np.abs(in_square - (column * 8 + 4, row * 8 + 4)).max() <= 4.5


@pytest.mark.parametrize("method", METHODS)
@given(st.sampled_from(((720, 576), (373, 454), (454, 373), (224, 224))), st.integers(0, 6), st.integers(0, 6))
def test_the_hottest_point_is_in_the_box_round_the_hot_cell_and_in_no_mirrored_one(
    method: str, shape: tuple[int, int], row: int, column: int
) -> None:
    """The coarse map's whole way at the shipped size: a flip, a transpose or an offset by half a cell would show."""
    _, placement = letterbox(np.zeros(shape, np.uint8), 224)
    longer, cell = max(shape), max(shape) / 7
    # By hand: the radiograph is centred in a square as long as its longer side.
    x, y = column * cell - (longer - shape[1]) / 2, row * cell - (longer - shape[0]) / 2
    if not (0 <= x + cell / 2 < shape[1] and 0 <= y + cell / 2 < shape[0]):
        return  # the middle of the cell lies on the letterbox's border
    maps = np.full((7, 7, 2), 0.1, np.float32)
    maps[row, column, 0] = 3.0
    outputs = {"last_map": maps, "cells": np.where(maps[..., 0] > 1, 2.0, -9.0).astype(np.float32)}
    made = heatmap(method, [outputs], AveragedMapHead(np.array([1.0, -0.5], np.float32)), placement, shape)
    # Not the whole cell, or half a cell's offset might pass; at the map's rim the hot part reaches to the rim.
    part = 0.6 * cell
    assert hottest_point_in_box(made, [[x + 0.2 * cell, y + 0.2 * cell, part, part]])
    mirrored = shape[1] - (x + 0.2 * cell) - part
    if abs(mirrored - (x + 0.2 * cell)) >= part:
        assert not hottest_point_in_box(made, [[mirrored, y + 0.2 * cell, part, part]])


def test_methods_explain_themselves_in_a_sentence() -> None:
    for method in METHODS.values():
        assert method.title and method.sentence.endswith(".") and len(method.sentence) < 120


def test_what_cannot_be_drawn_is_said() -> None:
    square, placement = letterbox(pictures(1)[0], SIZE)
    outputs, head = forward(square)
    with pytest.raises(HeatmapError, match="choose one of grad-cam, localiser"):
        heatmap("saliency", [outputs], head, placement, (SIZE, SIZE))
    without = {name: values for name, values in outputs.items() if name != "cells"}
    with pytest.raises(HeatmapError, match="Localiser"):
        heatmap("localiser", [without], head, placement, (SIZE, SIZE))


@pytest.mark.parametrize("method", GRADIENT_METHODS)
def test_a_coarser_views_shares_keep_their_sum(method: str) -> None:
    """The evidence of a view with fewer cells is spread over the finer ones, not counted once for each."""
    rng = np.random.default_rng(3)
    head = PooledCellsHead(kernel=rng.normal(size=8).astype(np.float32), share=1.5)
    views = [
        {"cells_mix": rng.random((n, n, 8), np.float32), "cells": rng.normal(size=(n, n)).astype(np.float32)}
        for n in (12, 6)
    ]
    _, placement = letterbox(np.zeros((96, 96), np.uint8), 96)
    together = heatmap(method, views, head, placement, (96, 96))
    by_cell = [METHODS[method].evidence(view, head) for view in views]
    assert together.sum() * (12 / 96) ** 2 == pytest.approx(np.mean([one.sum() for one in by_cell]), rel=0.05)


def test_views_of_two_sizes_point_at_the_same_spot() -> None:
    head = PooledCellsHead(kernel=np.ones(4, np.float32), share=1.0)
    views = []
    for n in (12, 6):
        cells = np.full((n, n), -5, np.float32)
        cells[n // 3 * 2 - 1, n // 2] = 3
        views.append({"cells_mix": np.maximum(cells, 0)[..., None].repeat(4, 2) / 4, "cells": cells})
    _, placement = letterbox(np.zeros((96, 96), np.uint8), 96)
    for method in (*GRADIENT_METHODS, "localiser"):
        row, column = np.unravel_index(heatmap(method, views, head, placement, (96, 96)).argmax(), (96, 96))
        assert 50 <= row <= 64, method
        assert 46 <= column <= 60, method

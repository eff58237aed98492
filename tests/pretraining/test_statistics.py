"""Statistics measured again: what Keras computes in training mode, and only the statistics change."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="pre-training needs PyTorch: pip install -r requirements-pretrain.txt")

from fracture_core.data.image_pyramid import image_pyramid  # noqa: E402
from fracture_core.pretraining.statistics import measured_again, reading_batches  # noqa: E402
from tests.support.networks import network, pictures  # noqa: E402


def test_the_first_normalisation_has_the_images_own_mean_and_variance() -> None:
    _, graph, weights = network("efficientnet-lite2", head="cells")
    squares = pictures(6)
    made = measured_again(graph, weights, [squares])
    # The stem by hand: scaled, padded as SAME pads an even side (nothing before, one behind), stride 2.
    x = np.pad((squares - 127.0) / 128, ((0, 0), (0, 1), (0, 1)))
    kernel = weights["stem_conv/kernel"].sum(2)
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(1, 2))[:, ::2, ::2]
    values = np.einsum("nhwij,ijc->nhwc", windows, kernel).reshape(-1, kernel.shape[-1])
    np.testing.assert_allclose(made["stem_bn/mean"], values.mean(0), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(made["stem_bn/variance"], values.var(0, ddof=1), rtol=1e-3)


def test_nothing_but_the_statistics_changes_and_batches_count_the_same() -> None:
    _, graph, weights = network("efficientnet-lite2", head="cells")
    parts = [pictures(4), pictures(5), pictures(6)]
    made = measured_again(graph, weights, parts)
    assert made.keys() == weights.keys()
    changed = {key for key in weights if not np.array_equal(made[key], weights[key])}
    assert changed == {key for key in weights if key.endswith(("/mean", "/variance"))}
    single = [measured_again(graph, weights, [part])["stem_bn/mean"] for part in parts]
    np.testing.assert_allclose(made["stem_bn/mean"], np.mean(single, 0), rtol=1e-4, atol=1e-5)


def test_the_batches_are_the_training_radiographs_once_each() -> None:
    rng = np.random.default_rng(0)
    images = {f"IMG{n}": image_pyramid(rng.integers(0, 256, (90, 70), dtype=np.uint8), []) for n in range(40)}
    first, second = (list(reading_batches(images, dict.fromkeys(images, 0), 64, 100, 7)) for _ in range(2))
    assert [len(batch) for batch in first] == [32, 8]
    assert all(batch.shape[1:] == (64, 64) and batch.dtype == np.uint8 for batch in first)
    np.testing.assert_array_equal(np.concatenate(first), np.concatenate(second))

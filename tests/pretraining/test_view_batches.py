"""Batches of views: the seed and the step decide, sizes keep a step's cost, and a teacher sees the same, larger."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="pre-training needs PyTorch: pip install -r requirements-pretrain.txt")

from fracture_core.data.image_pyramid import image_pyramid  # noqa: E402
from fracture_core.pretraining.batches import StageSchedule  # noqa: E402
from fracture_core.pretraining.view_batches import view_batches  # noqa: E402
from fracture_core.recipe import Recipe  # noqa: E402

RECIPE = Recipe(name="x", image_size=64, batch_size=16)
BOXES = np.array([[60, 80, 20, 24]], np.float32)
IMAGES = {
    f"IMG{n}": image_pyramid(
        np.random.default_rng(n).integers(0, 256, (200 + n, 160), dtype=np.uint8), BOXES if n % 3 == 0 else []
    )
    for n in range(12)
}
LABELS = {f"IMG{n}": int(n % 3 == 0) for n in range(12)}


def test_a_batch_depends_on_seed_and_step_alone() -> None:
    schedule = StageSchedule(steps=4, sizes=(64, 96), joined=0.5)
    straight, later = (list(view_batches(IMAGES, LABELS, RECIPE, schedule, first)) for first in (0, 3))
    assert torch.equal(straight[3].images, later[0].images)
    assert torch.equal(straight[3].cells, later[0].cells)
    assert torch.equal(straight[3].labels, later[0].labels)
    other = next(view_batches(IMAGES, LABELS, RECIPE.replace(seed=1), schedule, 3))
    assert other.images.shape != later[0].images.shape or not torch.equal(other.images, later[0].images)


def test_larger_images_come_in_smaller_batches() -> None:
    schedule = StageSchedule(steps=30, sizes=(64, 128))
    made = {tuple(b.images.shape[i] for i in (0, 2)) for b in view_batches(IMAGES, LABELS, RECIPE, schedule, 0)}
    assert made == {(16, 64), (8, 128)}


def test_a_picture_is_fractured_where_its_cells_are() -> None:
    for batch in view_batches(IMAGES, LABELS, RECIPE, StageSchedule(steps=12, whole=0.0, joined=0.3), 0):
        assert torch.equal(batch.labels == 1, (batch.cells > 0).flatten(1).any(1))


def test_a_teachers_pictures_are_the_same_at_its_size() -> None:
    schedule = StageSchedule(steps=1, teacher_size=128)
    batch = next(view_batches(IMAGES, LABELS, RECIPE, schedule, 0))
    assert batch.taught is batch.larger and batch.larger.shape == (16, 1, 128, 128)
    shrunk = torch.nn.functional.avg_pool2d(batch.larger, 2)
    assert (shrunk - batch.images).abs().max() < 1e-3
    plain = next(view_batches(IMAGES, LABELS, RECIPE, StageSchedule(steps=1), 0))
    assert plain.taught is plain.images

"""Muon moves the trunk's convolutions by orthogonal steps, and AdamW everything else."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="pre-training needs PyTorch: pip install -r requirements-pretrain.txt")

from fracture_core.pretraining import optimiser as optimiser_module  # noqa: E402
from fracture_core.pretraining.batches import StageSchedule  # noqa: E402
from fracture_core.pretraining.optimiser import SinglePrecisionMuon, make_optimiser  # noqa: E402

RATE = 0.01


@pytest.fixture(params=[True, False], ids=["bfloat16", "single"])
def half(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the processor for one with bfloat16, and for one without."""
    monkeypatch.setattr(optimiser_module, "bfloat16_is_faster", lambda: request.param)


class Network(torch.nn.Module):
    """A trunk with a stem of one channel, a wide, a tall and a depthwise convolution, and a head."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.stem = torch.nn.Conv2d(1, 16, 3)
        self.wide = torch.nn.Conv2d(16, 24, 3)
        self.tall = torch.nn.Conv2d(24, 64, 1)
        self.depthwise = torch.nn.Conv2d(64, 64, 3, groups=64)
        self.frozen = torch.nn.Conv2d(64, 64, 1).requires_grad_(False)
        self.cells = torch.nn.Conv2d(64, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.cells(self.frozen(self.depthwise(self.tall(self.wide(self.stem(x))).relu())))


def stepped(optimiser: str) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor], Network]:
    """Return the weights before and after one step, and the network with its gradients."""
    network = Network().to(memory_format=torch.channels_last)
    schedule = StageSchedule(steps=1, learning_rate=RATE, weight_decay=0.0, optimiser=optimiser)
    before = {name: weights.clone() for name, weights in network.state_dict().items()}
    made = make_optimiser(network.named_parameters(), schedule)
    made.zero_grad()
    network(torch.randn(8, 1, 12, 12)).square().mean().backward()
    made.step()
    return before, {name: weights.clone() for name, weights in network.state_dict().items()}, network


@pytest.mark.usefixtures("half")
@pytest.mark.parametrize("name", ["wide.weight", "tall.weight"])
def test_a_kernels_step_is_the_orthogonal_factor_of_its_gradient(name: str) -> None:
    before, after, network = stepped("muon")
    step = ((before[name] - after[name]) / RATE).flatten(1).numpy()
    gradient = network.get_parameter(name).grad.flatten(1).numpy().astype(float)
    left, _, right = np.linalg.svd(gradient, full_matrices=False)
    singular = np.linalg.svd(step, compute_uv=False)
    largest = 0.2 * np.sqrt(max(step.shape))
    # Five Newton-Schulz steps bring every singular value that is not tiny to about one: between 0.7 and 1.2.
    assert singular.max() < 1.3 * largest
    assert np.median(singular) > 0.6 * largest
    polar = left @ right
    assert (step * polar).sum() / np.linalg.norm(step) / np.linalg.norm(polar) > 0.9


@pytest.mark.usefixtures("half")
def test_everything_else_moves_as_under_adamw() -> None:
    _, muon, _ = stepped("muon")
    before, adamw, _ = stepped("adamw")
    same = {name for name in adamw if torch.equal(adamw[name], muon[name])}
    assert set(adamw) - same == {"wide.weight", "tall.weight"}
    assert {name for name in before if torch.equal(before[name], adamw[name])} == {"frozen.weight", "frozen.bias"}


@pytest.mark.usefixtures("half")
def test_steps_are_about_as_large_as_adamws() -> None:
    before, muon, _ = stepped("muon")
    for name in ("wide.weight", "tall.weight"):
        assert 0.1 * RATE < (before[name] - muon[name]).square().mean().sqrt() < 0.4 * RATE


@pytest.mark.usefixtures("half")
def test_the_rate_that_is_set_is_the_rate_that_is_used() -> None:
    network = Network().to(memory_format=torch.channels_last)
    made = make_optimiser(network.named_parameters(), StageSchedule(steps=1, learning_rate=RATE, optimiser="muon"))
    for group in made.param_groups:
        group["lr"] = 0.0
    before = {name: weights.clone() for name, weights in network.state_dict().items()}
    network(torch.randn(8, 1, 12, 12)).square().mean().backward()
    made.step()
    assert all(torch.equal(before[name], weights) for name, weights in network.state_dict().items())


@pytest.mark.parametrize("shape", [(24, 144), (64, 24), (8, 8)])
def test_single_precision_moves_as_pytorchs_muon_within_the_rounding_of_bfloat16(shape: tuple[int, int]) -> None:
    torch.manual_seed(5)
    start = torch.randn(shape)
    gradients = [torch.randn(shape) for _ in range(4)]
    moved = []
    for kind in (torch.optim.Muon, SinglePrecisionMuon):
        matrix = torch.nn.Parameter(start.clone())
        muon = kind([matrix], lr=RATE, weight_decay=0.5, adjust_lr_fn="match_rms_adamw")
        for gradient in gradients:
            matrix.grad = gradient.clone()
            muon.step()
        moved.append((start - matrix.detach(), muon.state_dict()))
    (theirs, their_state), (ours, our_state) = moved
    assert (ours - theirs).norm() < 0.02 * theirs.norm()
    assert our_state["param_groups"] == their_state["param_groups"]
    assert torch.equal(our_state["state"][0]["momentum_buffer"], their_state["state"][0]["momentum_buffer"])

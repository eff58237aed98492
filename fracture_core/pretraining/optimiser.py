"""The optimiser of pre-training: AdamW, or Muon for the trunk's convolutions beside AdamW for the rest.

Muon gives every direction of a layer's weights the same step, which AdamW does not (Jordan et al. 2024, "Muon: an
optimizer for hidden layers in neural networks").
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from fracture_core.pretraining.batches import StageSchedule
from fracture_core.pretraining.precision import bfloat16_is_faster

Named = Iterable[tuple[str, torch.nn.Parameter]]


class SinglePrecisionMuon(torch.optim.Muon):
    """PyTorch's Muon with its arithmetic in single precision instead of bfloat16, which it is otherwise fixed to.

    For processors that emulate bfloat16, where its steps can take as long as the network's. The state is PyTorch's, so
    that a run may go on with either.
    """

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """Move all matrices by their gradients.

        Args:
            closure: Not supported.
        """
        assert closure is None
        for group in self.param_groups:
            for matrix in (p for p in group["params"] if p.grad is not None):
                momentum = self.state[matrix].setdefault("momentum_buffer", torch.zeros_like(matrix))
                momentum.lerp_(matrix.grad, 1 - group["momentum"])
                direction = _orthogonal(matrix.grad.lerp(momentum, group["momentum"]), group)
                matrix.mul_(1 - group["lr"] * group["weight_decay"])
                matrix.add_(direction, alpha=-0.2 * group["lr"] * max(matrix.shape) ** 0.5)  # "match_rms_adamw"


def _orthogonal(matrix: torch.Tensor, group: dict[str, Any]) -> torch.Tensor:
    """Return about the nearest matrix with orthonormal rows or columns, by Newton-Schulz iterations."""
    a, b, c = group["ns_coefficients"]
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / x.norm().clamp(min=group["eps"])
    for _ in range(group["ns_steps"]):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x


class MuonBesideAdamW:
    """PyTorch's Muon for convolutions, each taken as a matrix of output channels by everything else, and AdamW.

    Muon's steps are scaled to the size of AdamW's (Liu et al. 2025, "Muon is scalable for LLM training"), so that both
    take the same learning rate.
    """

    def __init__(self, kernels: list[torch.nn.Parameter], groups: list[dict[str, Any]], schedule: StageSchedule):
        """Take the parameters.

        Args:
            kernels: For Muon, float32 (out, in, h, w) in channels-last memory, which the matrices share.
            groups: For AdamW.
            schedule: The stage's.

        Raises:
            RuntimeError: A kernel is not in channels-last memory.
        """
        self._kernels = kernels
        self._matrices = [torch.nn.Parameter(_channels_last(k.detach()).view(len(k), -1)) for k in kernels]
        self._adamw = torch.optim.AdamW(groups, lr=schedule.learning_rate)
        muon = torch.optim.Muon if bfloat16_is_faster() else SinglePrecisionMuon
        self._muon = muon(
            [{"params": self._matrices, "head": False}],
            lr=schedule.learning_rate,
            weight_decay=schedule.weight_decay,
            adjust_lr_fn="match_rms_adamw",
        )

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The groups of both."""
        return [*self._adamw.param_groups, *self._muon.param_groups]

    def zero_grad(self) -> None:
        """Forget the gradients."""
        self._adamw.zero_grad()
        for kernel in self._kernels:
            kernel.grad = None

    def step(self) -> None:
        """Move all parameters by their gradients."""
        for kernel, matrix in zip(self._kernels, self._matrices, strict=True):
            matrix.grad = None if kernel.grad is None else _channels_last(kernel.grad).reshape(len(kernel), -1)
        self._adamw.step()
        self._muon.step()

    def state_dict(self) -> dict[str, Any]:
        """Return the states of both.

        Returns:
            What `load_state_dict` takes.
        """
        return {"adamw": self._adamw.state_dict(), "muon": self._muon.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take the states of both.

        Args:
            state: From `state_dict`.
        """
        self._adamw.load_state_dict(state["adamw"])
        self._muon.load_state_dict(state["muon"])


def make_optimiser(named: Named, schedule: StageSchedule) -> torch.optim.Optimizer | MuonBesideAdamW:
    """Return the schedule's optimiser; each of its groups says whether it is one of the `head`'s.

    Args:
        named: Parameters by name; those without gradient are left alone.
        schedule: The stage's.

    Returns:
        The optimiser.
    """
    named = [(name, parameter) for name, parameter in named if parameter.requires_grad]
    kernels = [p for name, p in named if _is_trunk_convolution(name, p)] if schedule.optimiser == "muon" else []
    taken = set(map(id, kernels))
    groups = []
    for head in (False, True):
        for matrix in (False, True):
            mine = [p for name, p in named if id(p) not in taken and (_is_head(name), p.ndim > 1) == (head, matrix)]
            if mine:
                groups.append({"params": mine, "weight_decay": schedule.weight_decay if matrix else 0.0, "head": head})
    if kernels:
        return MuonBesideAdamW(kernels, groups, schedule)
    return torch.optim.AdamW(groups, lr=schedule.learning_rate)


def _channels_last(kernel: torch.Tensor) -> torch.Tensor:
    return kernel.permute(0, 2, 3, 1)


def _is_head(parameter: str) -> bool:
    return any(head in parameter for head in ("global_logit", "local_logit", "cells", "projections"))


def _is_trunk_convolution(name: str, parameter: torch.nn.Parameter) -> bool:
    """Return whether a parameter mixes several channels into several: depthwise kernels are no matrices."""
    return not _is_head(name) and parameter.ndim == 4 and min(parameter.shape[:2]) > 1

"""The optimiser of pre-training: AdamW, or Muon for the trunk's convolutions beside AdamW for the rest.

Muon gives every direction of a layer's weights the same step, which AdamW does not (Jordan et al. 2024, "Muon: an
optimizer for hidden layers in neural networks").
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from fracture_core.pretraining.batches import StageSchedule

Named = Iterable[tuple[str, torch.nn.Parameter]]


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
        self._muon = torch.optim.Muon(
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

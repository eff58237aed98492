"""The optimiser of pre-training: AdamW, or Muon for the trunk's convolutions beside AdamW for the rest.

A student that starts far from its teacher is held back by how fast it learns, not by how few radiographs there are:
it follows its teacher no better on training radiographs than on others. Muon gives every direction of a layer's weights
the same step, which AdamW does not (Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks").
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Any

import torch

from fracture_core.pretraining.batches import StageSchedule

Named = Iterable[tuple[str, torch.nn.Parameter]]


class ConvolutionMuon(torch.optim.Optimizer):
    """PyTorch's Muon for convolutions, each taken as a matrix of output channels by everything else.

    Its steps are scaled to the size of AdamW's (Liu et al. 2025, "Muon is scalable for LLM training"), so that both
    take the same learning rate.
    """

    def __init__(self, kernels: list[torch.nn.Parameter], learning_rate: float, weight_decay: float):
        """Take the kernels, float32 (out, in, h, w) in channels-last memory, which the matrices share.

        Args:
            kernels: What to move.
            learning_rate: As AdamW's.
            weight_decay: As AdamW's.

        Raises:
            RuntimeError: A kernel is not in channels-last memory.
        """
        super().__init__([{"params": kernels}], {"lr": learning_rate})
        shared = [_channels_last(kernel.detach()).view(len(kernel), -1) for kernel in kernels]
        self._matrices = [torch.nn.Parameter(matrix) for matrix in shared]
        self._muon = torch.optim.Muon(
            self._matrices, lr=learning_rate, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw"
        )

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        """Move the kernels by their gradients.

        Args:
            closure: Computes the loss again, as PyTorch's optimisers allow; None for none.
        """
        (group,) = self.param_groups
        for kernel, matrix in zip(group["params"], self._matrices, strict=True):
            matrix.grad = None if kernel.grad is None else _channels_last(kernel.grad).reshape(len(kernel), -1)
        self._muon.param_groups[0]["lr"] = group["lr"]
        self._muon.step(closure)

    def state_dict(self) -> dict[str, Any]:
        """Return Muon's state.

        Returns:
            What `load_state_dict` takes.
        """
        return self._muon.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take Muon's state.

        Args:
            state_dict: From `state_dict`.
        """
        self._muon.load_state_dict(state_dict)


class Optimisers:
    """Several optimisers that step together."""

    def __init__(self, parts: list[torch.optim.Optimizer]):
        """Take the optimisers.

        Args:
            parts: In the order of their states.
        """
        self._parts = parts

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The groups of all."""
        return list(chain.from_iterable(part.param_groups for part in self._parts))

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for part in self._parts:
            part.zero_grad()

    def step(self) -> None:
        """Move all parameters by their gradients."""
        for part in self._parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """Return the states of all.

        Returns:
            What `load_state_dict` takes.
        """
        return {"parts": [part.state_dict() for part in self._parts]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take the states of all.

        Args:
            state: From `state_dict`.
        """
        for part, its_own in zip(self._parts, state["parts"], strict=True):
            part.load_state_dict(its_own)


def make_optimiser(named: Named, schedule: StageSchedule) -> Optimisers:
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
    parts: list[torch.optim.Optimizer] = [torch.optim.AdamW(groups, lr=schedule.learning_rate)]
    if kernels:
        muon = ConvolutionMuon(kernels, schedule.learning_rate, schedule.weight_decay)
        muon.param_groups[0]["head"] = False
        parts.append(muon)
    return Optimisers(parts)


def _channels_last(kernel: torch.Tensor) -> torch.Tensor:
    return kernel.permute(0, 2, 3, 1)


def _is_head(parameter: str) -> bool:
    return any(head in parameter for head in ("global_logit", "local_logit", "cells", "projections"))


def _is_trunk_convolution(name: str, parameter: torch.nn.Parameter) -> bool:
    """Return whether a parameter mixes several channels into several: depthwise kernels are no matrices."""
    return not _is_head(name) and parameter.ndim == 4 and min(parameter.shape[:2]) > 1

"""The graph's operations in PyTorch; `inference.openvino_backend` has the same ones in OpenVINO."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fracture_core.network.graph import GraphError, Node


class Depthwise(torch.autograd.Function):
    """A depthwise convolution in bfloat16 with faster gradients: PyTorch's own for bfloat16 are slow.

    Gradients of strided convolutions, and of the weights of 5x5 kernels, are computed in single precision (a third of
    the time); everything else as PyTorch does.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
        """Convolve, as PyTorch calls it through `apply`.

        Args:
            ctx: What `backward` needs is kept here.
            x: (N, C, H, W).
            weight: (C, 1, K, K).
            stride: In pixels, both ways.
            padding: In pixels, on each side.

        Returns:
            (N, C, H', W').
        """
        ctx.save_for_backward(x, weight)
        ctx.window = stride, padding
        return F.conv2d(x, weight.to(x.dtype), None, stride, padding, 1, x.shape[1])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Compute the gradients, as PyTorch calls it.

        Args:
            ctx: What `forward` kept.
            gradient: By the output, (N, C, H', W').

        Returns:
            The gradients by x and by weight, None where not needed, and None for stride and padding.
        """
        x, weight = ctx.saved_tensors
        stride, padding = ctx.window
        gradient = gradient.contiguous(memory_format=torch.channels_last)

        def part(wide: bool, mask: list[bool]) -> tuple:
            tensors = [t.float() if wide else t.to(x.dtype) for t in (gradient, x, weight)]
            window = [[stride] * 2, [padding] * 2, [1, 1], False, [0, 0], x.shape[1]]
            return torch.ops.aten.convolution_backward(*tensors, None, *window, mask)

        by_x = part(stride > 1, [True, False, False])[0].to(x.dtype) if ctx.needs_input_grad[0] else None
        by_weight = None
        if ctx.needs_input_grad[1]:
            by_weight = part(weight.shape[-1] > 3, [False, True, False])[1].float()
        return by_x, by_weight, None, None


def run_operation(node: Node, inputs: Sequence[Tensor]) -> Tensor:
    """Run a node that has no weights.

    Args:
        node: The node.
        inputs: Values of its inputs; maps are (N, C, H, W).

    Returns:
        Its value.

    Raises:
        GraphError: The operation is not known here.
    """
    if node.operation not in _OPERATIONS:
        raise GraphError(f"The operation {node.operation!r} is not known in PyTorch.")
    return _OPERATIONS[node.operation](node.attributes, *inputs)


def _rescale(a: Mapping[str, Any], x: Tensor) -> Tensor:
    shape = (1, -1, 1, 1)
    return x * x.new_tensor(a["scale"]).view(shape) + x.new_tensor(a["offset"]).view(shape)


def _activation(a: Mapping[str, Any], x: Tensor) -> Tensor:
    if a["function"] not in _ACTIVATIONS:
        raise GraphError(f"The activation {a['function']!r} is not known in PyTorch.")
    return _ACTIVATIONS[a["function"]](x)


def _pad(a: Mapping[str, Any], x: Tensor) -> Tensor:
    top, bottom, left, right = a["padding"]
    return F.pad(x, (left, right, top, bottom))


def _max_pool(a: Mapping[str, Any], x: Tensor) -> Tensor:
    top, bottom, left, right = a["padding"]
    x = F.pad(x, (left, right, top, bottom), value=-torch.inf) if any(a["padding"]) else x
    return F.max_pool2d(x, a["window"], a["strides"])


def _log_mean_exp_pool(a: Mapping[str, Any], x: Tensor) -> Tensor:
    cells = x.flatten(1).float()
    sharpness = a.get("sharpness", 1.0)
    summed = torch.logsumexp(sharpness * cells, 1, keepdim=True)
    return (summed - float(np.log(cells.shape[1]))) / sharpness


def _reshape(a: Mapping[str, Any], x: Tensor) -> Tensor:
    height, width, channels = a["shape"]
    return x.reshape(-1, channels, height, width)


_ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "relu6": F.relu6,
    "silu": F.silu,
    "sigmoid": torch.sigmoid,
}
_OPERATIONS: Mapping[str, Callable[..., Tensor]] = {
    "rescale": _rescale,
    "activation": _activation,
    "pad": _pad,
    "max_pool": _max_pool,
    "average_pool": lambda a, x: F.avg_pool2d(x, a["window"], a["strides"]),
    "global_average_pool": lambda a, x: x.mean((2, 3), keepdim=a["keepdims"]),
    "upsample": lambda a, x: F.interpolate(x, scale_factor=a["factor"], mode="nearest"),
    "concatenate": lambda _, *inputs: torch.cat(inputs, 1),
    "add": lambda _, x, *others: sum(others, start=x),
    "multiply": lambda _, x, y: x * y,
    "reshape": _reshape,
    "log_mean_exp_pool": _log_mean_exp_pool,
}

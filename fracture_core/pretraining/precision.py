"""Half or single precision: whichever this processor is faster at."""

from __future__ import annotations

import time
from functools import lru_cache

import torch


@lru_cache
def bfloat16_is_faster() -> bool:
    """Time once whether this processor supports bfloat16 natively, on a typical convolution.

    Where it is emulated (no AVX512-BF16, no AMX) a step takes ten times as long as in single precision.

    Returns:
        Whether bfloat16 is faster than single precision.
    """
    x = torch.rand(4, 64, 28, 28).contiguous(memory_format=torch.channels_last)
    layer = torch.nn.Conv2d(64, 64, 3, padding=1).to(memory_format=torch.channels_last)

    def seconds(enabled: bool) -> float:
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            layer(x)
            began = time.perf_counter()
            for _ in range(3):
                layer(x)
            return time.perf_counter() - began

    return min(seconds(True) for _ in range(3)) < min(seconds(False) for _ in range(3))


def half_where_faster() -> torch.autocast:
    """Choose the precision for this processor.

    Returns:
        A context that computes in bfloat16 if that is faster, else in single precision.
    """
    return torch.autocast("cpu", torch.bfloat16, enabled=bfloat16_is_faster())


def engine_precision() -> str:
    """Choose what the inference engine computes in where rounding does no harm: the teacher, and frozen layers.

    Returns:
        "bf16" or "f32".
    """
    return "bf16" if bfloat16_is_faster() else "f32"

"""Files whose later bytes were overwritten with zeros: a JPEG decoder makes of them one block, over and over.

Such a file is whole by its markers, so no reader complains; only the picture tells. In FracAtlas nine are so, every
one fractured: like the grey ends of cut-short files, a shortcut to the label.
"""

from __future__ import annotations

import numpy as np

_BLOCK = 8  # pixels of a JPEG block's side


def overwritten_share(pixels: np.ndarray) -> float:
    """The share (0..1) of a grey uint8 (H, W) picture, counted from below, that is one block repeated.

    A band of eight rows repeats where pixels eight apart are much more alike than pixels four apart; bands without
    any texture (plain background, the grey of a cut-short file) do not count.
    """
    if pixels.shape[1] < 4 * _BLOCK:
        return 0.0
    end = len(pixels)
    while end >= _BLOCK and _repeats(pixels[end - _BLOCK : end].astype(np.float32)):
        end -= _BLOCK
    return 1 - end / len(pixels)


def _repeats(band: np.ndarray) -> bool:
    period = np.abs(band[:, _BLOCK:] - band[:, :-_BLOCK]).mean()
    half = np.abs(band[:, _BLOCK // 2 :] - band[:, : -_BLOCK // 2]).mean()
    return bool(half > 1 and period < 0.25 * half)

"""Fit the network that tells limb radiographs from everything else (`inference.scope`).

It starts as the first five stages of EfficientNet-Lite2 with their published ImageNet weights, and learns what views of
many sources' images show. A view may be allowed several contents, where nobody says which of them it shows: the
loss is the probability of all of them together. Three views in ten are shown inverted, and that is to be said too.
Ten minutes on one idle core.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file

from fracture_core.files import atomic_write, write_text
from fracture_core.inference.scope import CONTENTS, IN_SCOPE
from fracture_core.network.weights import half_precision
from fracture_core.pretraining.content_network import SIZE, ContentModule
from fracture_core.pretraining.content_views import FILMS, SIDE, Source
from fracture_core.pretraining.precision import half_where_faster

_BATCH = 32
_WARM_UP = 40
_INVERTED = 0.3
#: Bars no brighter than this at a view's edges are what letterboxing added.
_BLACK = 3
#: Every fifth image is held out of the fit, to say what the network does on images that it has not seen.
_HELD = 5
#: Log odds at which an image is taken for a limb, and its greys for inverted. Both sides are seen equally often in
#: training; assessing what is no limb, and inverting what is right, are the worse mistakes, so they are above 0.
_LIMB_FROM, _INVERTED_FROM = 0.5, 0.5


def fit(
    module: ContentModule,
    sources: Sequence[Source],
    steps: int,
    rng: np.random.Generator,
    *,
    progress: Callable[[int, float], None] | None = None,
) -> None:
    """Fit the module, which ends with the running mean of its weights.

    Args:
        module: It is changed.
        sources: What it learns from, every fifth image left out.
        steps: Number of steps, of 32 views each.
        rng: What decides which views are seen, and how.
        progress: Called with the number of steps done and the mean loss of late.
    """
    shares = np.array([source.share for source in sources])
    seen = [np.flatnonzero(source.image % _HELD != _HELD - 1) for source in sources]
    head = [*module.hidden.parameters(), *module.output.parameters()]
    groups = [{"params": module.trunk.parameters(), "lr": 6e-4}, {"params": head, "lr": 2e-3}]
    optimiser = torch.optim.AdamW(groups, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, steps))
    mean = {key: value.clone() for key, value in module.state_dict().items()}
    module.to(memory_format=torch.channels_last).train()
    late = 0.0
    for step in range(steps):
        batch = []
        for place in rng.choice(len(sources), _BATCH, p=shares / shares.sum()):
            row = rng.choice(seen[place])
            view, inverted = augmented(sources[place].squares[row], rng)
            batch.append((view, sources[place].allowed[row], inverted))
        loss = _loss(module, batch)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 5)
        optimiser.step()
        schedule.step()
        late = 0.98 * late + 0.02 * loss.item()
        keep = min(0.995, (step + 1) / (step + 20))
        for key, value in module.state_dict().items():
            mean[key] = mean[key] * keep + value * (1 - keep) if value.is_floating_point() else value.clone()
        if progress:
            progress(step + 1, late / (1 - 0.98 ** (step + 1)))
    module.load_state_dict(mean)
    module.eval()


def _rate(step: int, steps: int) -> float:
    return min(1.0, (step + 1) / _WARM_UP) * 0.5 * (1 + np.cos(np.pi * step / steps)) + 0.003


def _loss(module: ContentModule, batch: Sequence[tuple[np.ndarray, np.ndarray, bool]]) -> torch.Tensor:
    views, allowed, inverted = zip(*batch, strict=True)
    pictures = torch.from_numpy(np.stack(views)[:, None]).contiguous(memory_format=torch.channels_last)
    with half_where_faster():
        logits = module(pictures).float()
    scores, upright = logits[:, : len(CONTENTS)], logits[:, -1]
    among = scores.masked_fill(~torch.from_numpy(np.stack(allowed)), -1e9)
    told = (torch.logsumexp(scores, 1) - torch.logsumexp(among, 1)).mean()
    return told + 0.5 * F.binary_cross_entropy_with_logits(upright, torch.tensor(inverted, dtype=torch.float32))


def augmented(square: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, bool]:
    """Cut a view a little smaller, change it, and invert some.

    What lies beyond the image is mostly black, inverted or not, as it is when an image is letterboxed: its grey must
    not be what tells inverted images from others.

    Args:
        square: uint8 (128, 128).
        rng: What decides.

    Returns:
        float32 (96, 96), 0..255, and whether it is inverted.
    """
    zoom, angle = float(np.exp(rng.uniform(-0.15, 0.22))), np.deg2rad(rng.normal(0, 6))
    mirror = -1 if rng.random() < 0.5 else 1
    cos, sin = np.cos(angle) * zoom * SIZE / SIDE, np.sin(angle) * zoom * SIZE / SIDE
    linear = np.array([[mirror * cos, -sin], [mirror * sin, cos]])
    shift = SIZE / 2 + rng.normal(0, 0.04, 2) * SIZE - linear @ np.full(2, SIDE / 2)
    matrix = np.column_stack([linear, shift])
    view = cv2.warpAffine(square, matrix, (SIZE, SIZE)).astype(np.float32) / 255
    inside = cv2.warpAffine(_inside(square), matrix, (SIZE, SIZE), flags=cv2.INTER_NEAREST).astype(bool)
    view = view ** float(np.exp(rng.normal(0, 0.25))) * rng.uniform(0.7, 1.15) + rng.normal(0, 0.06)
    if rng.random() < 0.25:
        view = cv2.GaussianBlur(view, (0, 0), rng.uniform(0.4, 1.6))
    if rng.random() < 0.25:
        view = view + rng.normal(0, rng.uniform(0.01, 0.06), view.shape)
    if rng.random() < 0.2:
        (top, left), side = rng.integers(0, SIZE, 2), rng.integers(4, SIZE // 3)
        view[top : top + side, left : left + side] = rng.random()
    inverted = bool(rng.random() < _INVERTED)
    view = 1 - np.clip(view, 0, 1) if inverted else np.clip(view, 0, 1)
    view[~inside] = 0 if rng.random() < 0.75 else rng.choice([1.0, rng.random()])
    return (view * 255).astype(np.float32), inverted


def _inside(square: np.ndarray) -> np.ndarray:
    """Return where a letterboxed view holds the image, uint8 (128, 128) of 0 and 1: all but black bars at the edges."""
    mask = np.zeros_like(square)
    rows, columns = (np.flatnonzero(square.max(axis) > _BLACK) for axis in (1, 0))
    if len(rows) and len(columns):
        mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = 1
    return mask


def logits_of(module: ContentModule, squares: np.ndarray, *, inverted: bool = False) -> np.ndarray:
    """Return the module's logits for views as they are.

    Args:
        module: The network.
        squares: uint8 (n, 128, 128).
        inverted: Show each inverted.

    Returns:
        float64 (n, 13).
    """
    small = np.stack([cv2.resize(image, (SIZE, SIZE), interpolation=cv2.INTER_AREA) for image in squares])
    if inverted:
        small = np.stack([np.where(_inside(image), 255 - image, 0) for image in small]).astype(np.uint8)
    with torch.no_grad():
        parts = [module(torch.from_numpy(small[i : i + 64, None]).float()) for i in range(0, len(small), 64)]
    return torch.cat(parts).numpy().astype(np.float64)


def limb_margin(logits: np.ndarray) -> np.ndarray:
    """Return the log odds of a limb.

    Args:
        logits: The network's, float (n, 13).

    Returns:
        float64 (n,).
    """
    limb, other = logits[:, :IN_SCOPE], logits[:, IN_SCOPE : len(CONTENTS)]
    return np.logaddexp.reduce(limb, axis=1) - np.logaddexp.reduce(other, axis=1)


def thresholds(module: ContentModule, sources: Sequence[Source]) -> tuple[float, float, dict[str, Any]]:
    """Return both thresholds, and what they do on the images held out.

    Args:
        module: The fitted network.
        sources: All sources, the held-out images among them.

    Returns:
        The threshold of the log odds of a limb, that of the logit of inversion, and a record for the file.
    """
    limbs: dict[str, np.ndarray] = {}
    others: dict[str, np.ndarray] = {}
    upright, turned = [], []
    for source in sources:
        rows = source.image % _HELD == _HELD - 1
        logits = logits_of(module, source.squares[rows])
        limb = bool(source.allowed[:, :IN_SCOPE].any())
        (limbs if limb else others)[source.name] = limb_margin(logits)
        if limb:
            upright.append(logits[:, -1])
            turned.append(logits_of(module, source.squares[rows], inverted=True)[:, -1])
    at_limb, at_inverted = _LIMB_FROM, _INVERTED_FROM
    record = {
        "fitted_on": {source.name: int(source.plain.sum()) for source in sources},
        "held_out": {
            "limb views in scope": float(np.mean(np.concatenate(list(limbs.values())) >= at_limb)),
            "other views out of scope": float(np.mean(np.concatenate(list(others.values())) < at_limb)),
            "inverted views noticed": float(np.mean(np.concatenate(turned) >= at_inverted)),
            "upright views taken for inverted": float(np.mean(np.concatenate(upright) >= at_inverted)),
        },
    }
    return at_limb, at_inverted, record


def save(module: ContentModule, at_limb: float, at_inverted: float, record: Mapping[str, Any], file: Path) -> None:
    """Write the network as `inference.scope` reads it.

    Args:
        module: The network.
        at_limb: The threshold of the log odds of a limb.
        at_inverted: The threshold of the logit of inversion.
        record: What it was fitted on, and what it does.
        file: The .json file; the weights go beside it.
    """
    arrays = module.trunk.export()
    for name, layer in (("hidden", module.hidden), ("output", module.output)):
        arrays[f"head/{name}/kernel"] = layer.weight.detach().numpy().T
        arrays[f"head/{name}/bias"] = layer.bias.detach().numpy()
    described = {
        "limb_threshold": at_limb,
        "inverted_threshold": at_inverted,
        "record": dict(record),
        "network": module.trunk.graph.to_json(),
    }
    with atomic_write(file.with_suffix(".safetensors")) as temporary:
        save_file({key: np.ascontiguousarray(array) for key, array in half_precision(arrays).items()}, temporary)
    write_text(file, json.dumps(described, separators=(",", ":")) + "\n")


def without(sources: Sequence[Source], left_out: Sequence[str]) -> list[Source]:
    """Return the sources but some, by name; the training films stay.

    Args:
        sources: The sources.
        left_out: Names of those to leave out.

    Returns:
        The others.
    """
    return [source for source in sources if source.name == FILMS or source.name not in left_out]

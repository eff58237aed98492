"""Fit the network that tells limb radiographs from everything else, which all bundles share.

    FRACATLAS_DIR=... python -m studies.fit_scope --outsiders FOLDER [--steps N] [--without NAME ...] [--write]

FOLDER has `outside/`, one folder a source of images that are no limb radiographs, and may have `limbs/`, further limb
radiographs; docs/scope.md says which images the network that ships was fitted on and under which licences. A folder's
name begins with what it shows (`fracture_core.pretraining.content_views`). `--without` leaves sources out and prints
what the network makes of them: what it does on a source that it has never seen. `--write` puts the network into the
package. Needs PyTorch (requirements-pretrain.txt). Ten minutes on an idle core.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from fracture_core.cli.exit_status import exit_status
from fracture_core.data.audit import audit
from fracture_core.data.fracatlas import FracAtlas, find_fracatlas
from fracture_core.data.split import project_split
from fracture_core.inference.scope import FILE, IN_SCOPE
from fracture_core.pretraining.content_views import Source, load_sources
from fracture_core.pretraining.scope_fit import (
    ContentModule,
    fit,
    limb_margin,
    logits_of,
    published_trunk,
    save,
    thresholds,
    without,
)


def print_unseen(module: ContentModule, sources: list[Source], at_limb: float) -> None:
    """Print what the network makes of sources that it has not seen, of the images as they are."""
    for source in sources:
        margin = limb_margin(logits_of(module, source.squares[source.plain]))
        right = margin >= at_limb if source.allowed[:, :IN_SCOPE].any() else margin < at_limb
        print(f"  never seen: {source.name}: {np.sum(right)} of {len(right)} right ({np.mean(right):.1%})")


def main() -> int:
    """Fit, print what the network does on what was held out, and write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--outsiders", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1800)
    parser.add_argument("--without", nargs="*", default=[], metavar="NAME")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--to", type=Path, default=FILE, help="the .json file to write; default: the one that ships")
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    rng, started = np.random.default_rng(options.seed), time.perf_counter()
    dataset = FracAtlas(find_fracatlas())
    train = project_split(dataset, audit(dataset)).train
    sources = load_sources(dataset, train, options.outsiders, rng)
    seen = without(sources, options.without)
    module = ContentModule(*published_trunk())

    def progress(step: int, loss: float) -> None:
        if step % 100 == 0:
            print(f"  step {step}: loss {loss:.3f}, {time.perf_counter() - started:.0f} s", flush=True)

    fit(module, seen, options.steps, rng, progress=progress)
    at_limb, at_inverted, record = thresholds(module, seen)
    for name, share in record["held_out"].items():
        print(f"  held out: {name} {share:.3f}")
    print_unseen(module, [source for source in sources if source not in seen], at_limb)
    if options.write:
        save(module, at_limb, at_inverted, record, options.to)
    return 0


if __name__ == "__main__":
    raise SystemExit(exit_status(main))

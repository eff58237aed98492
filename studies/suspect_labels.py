"""Plant wrong labels in FracAtlas and count how many the list of suspect labels finds; write docs/suspect_labels.md.

    FRACATLAS_DIR=/path/to/FracAtlas python -m studies.suspect_labels [--draws N] [--share S] [--print]

Some minutes for the features of every radiograph, which are kept, and one for each draw.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from fracture_core.bundle.bundle import Bundle
from fracture_core.bundle.loading import load_bundle
from fracture_core.cli.exit_status import exit_status
from fracture_core.data.audit import Audit, audit
from fracture_core.data.fracatlas import FracAtlas, find_fracatlas
from fracture_core.evaluation.image_features import ImageFeatures, image_features
from fracture_core.evaluation.suspect_labels import FOLDS, REPEATS, components, judged_labels
from fracture_core.evaluation.suspect_list import duplicate_groups, trained_images
from fracture_core.files import write_text
from fracture_core.inference.engine import Engine
from fracture_core.inference.predictor import Predictor
from fracture_core.inference.scorer import Scorer
from fracture_core.network.efficientnet_lite import PublishedWeightsError, published_weights
from studies.figures import SHIPPED

PAGE = Path(__file__).resolve().parents[1] / "docs" / "suspect_labels.md"
_HEAD = "| judged by | planted | listed | planted ones listed | share of the list that was planted | of as many first |"


@dataclass(frozen=True)
class Judge:
    """One way to judge: what it is called, what it reads, and whose labels it may not have learned from."""

    name: str
    features: Sequence[ImageFeatures]
    trained_on: set[str]


@dataclass(frozen=True)
class Tally:
    """What one draw found in one part of the images: counts."""

    planted: int
    listed: int
    both: int  # planted and listed
    first: int  # planted among the `planted` most suspect


def judges(
    features: Sequence[ImageFeatures], trained_on: set[str], never_taught: ImageFeatures | None
) -> tuple[Judge, ...]:
    """Return the app's way to judge, and those that it is compared with.

    Args:
        features: Of each shipped network.
        trained_on: The images that a shipped network learned from.
        never_taught: Features of a network that saw no label of these images, or None.

    Returns:
        The app's way first.
    """
    every = set(features[0].ids)
    middle = _reduced(features)
    last = _reduced([replace(network, appearance=network.embedding) for network in features])
    results = [
        Judge("the app: answers, or the middle layers where a network was trained", middle, trained_on),
        Judge("the middle layers everywhere", middle, every),
        Judge("the last layers everywhere", last, every),
        Judge("the networks' answers everywhere", middle, set()),
    ]
    if never_taught is not None:
        results.append(Judge("the middle of a network that knows ImageNet alone", _reduced([never_taught]), every))
    return tuple(results)


def _reduced(features: Sequence[ImageFeatures]) -> list[ImageFeatures]:
    """Put the components of all networks' maps in the first one's place: the draws need not compute them anew."""
    together = components(np.concatenate([network.appearance for network in features], axis=1)).astype(np.float32)
    first, *others = features
    return [
        replace(first, appearance=together),
        *(replace(network, appearance=network.appearance[:, :0]) for network in others),
    ]


def flipped(labels: Mapping[str, int], share: float, seed: int) -> tuple[dict[str, int], set[str]]:
    """Return the labels with a share of them wrong, drawn at random, and the images that have a wrong one.

    Args:
        labels: 0 or 1 by image.
        share: 0..1.
        seed: Of the draw.

    Returns:
        Labels by image, and ids.
    """
    ids = sorted(labels)
    chosen = np.random.default_rng(seed).choice(len(ids), round(share * len(ids)), replace=False)
    planted = {ids[place] for place in chosen}
    return {image_id: 1 - label if image_id in planted else label for image_id, label in labels.items()}, planted


def count(judged: pd.DataFrame, planted: set[str]) -> Tally:
    """Count what was found in some images.

    Args:
        judged: Rows of `judged_labels`.
        planted: The images with a planted label.

    Returns:
        The counts.
    """
    wrong = judged["image_id"].isin(planted).to_numpy()
    order = np.argsort(judged["margin"].to_numpy(), kind="stable")[: wrong.sum()]
    suspect = judged["suspect"].to_numpy()
    return Tally(int(wrong.sum()), int(suspect.sum()), int((wrong & suspect).sum()), int(wrong[order].sum()))


def plant(
    ways: Sequence[Judge],
    labels: Mapping[str, int],
    groups: Mapping[str, Sequence[str]],
    trained_on: set[str],
    share: float,
    draws: int,
    report: Callable[[str], None],
) -> dict[tuple[str, bool], list[Tally]]:
    """Plant wrong labels and judge, again and again.

    Returns:
        What each draw found, by the name of the way and by whether a shipped network was trained on the images.
    """
    tallies: dict[tuple[str, bool], list[Tally]] = {}
    for seed in range(draws):
        given, planted = flipped(labels, share, seed)
        for way in ways:
            report(f"draw {seed + 1} of {draws}: {way.name}")
            judged = judged_labels(way.features, given, groups, way.trained_on)
            taught = judged["image_id"].isin(trained_on).to_numpy()
            for part in (False, True):
                tallies.setdefault((way.name, part), []).append(count(judged[taught == part], planted))
    return tallies


def rows(results: Mapping[tuple[str, bool], Sequence[Tally]], part: bool) -> list[str]:
    """Return the table of one part of the images, as Markdown lines."""
    lines = [_HEAD, "|" + "---|" * 6]
    for (name, of), draws in results.items():
        if of == part:
            recall = [draw.both / draw.planted for draw in draws]
            precision = [draw.both / max(draw.listed, 1) for draw in draws]
            first = [draw.first / draw.planted for draw in draws]
            planted, listed = (
                f"{np.mean([getattr(draw, key) for draw in draws]):.0f}" for key in ("planted", "listed")
            )
            shares = " | ".join(_share(values) for values in (recall, precision, first))
            lines.append(f"| {name} | {planted} | {listed} | {shares} |")
    return lines


def _share(values: Sequence[float]) -> str:
    return f"{np.mean(values):.0%} ({min(values):.0%} to {max(values):.0%})"


def opposite_pairs(labels: Mapping[str, int], audited: Audit, listed: set[str]) -> tuple[int, int]:
    """Return how many pairs of duplicates have opposite labels, and how many of them have an image in the list."""
    pairs = [pair for pair in audited.duplicate_pairs if labels[pair.first] != labels[pair.second]]
    return len(pairs), sum(pair.first in listed or pair.second in listed for pair in pairs)


def page(bundles: Sequence[Bundle], results: Mapping, real: pd.DataFrame, pairs: tuple[int, int], share: float) -> str:
    """Return the whole page."""
    listed = real[real["suspect"]]
    taught, fresh = listed[listed["trained_on"]], listed[~listed["trained_on"]]
    return _TEXT.format(
        versions=", ".join(f"`{bundle.version}`" for bundle in bundles),
        share=share,
        draws=len(next(iter(results.values()))),
        folds=FOLDS,
        repeats=REPEATS,
        fresh=(~real["trained_on"]).sum(),
        fresh_rows="\n".join(rows(results, False)),
        taught=real["trained_on"].sum(),
        taught_rows="\n".join(rows(results, True)),
        listed=len(listed),
        total=len(real),
        fresh_listed=len(fresh),
        fresh_fractured=fresh["label"].sum(),
        taught_listed=len(taught),
        taught_fractured=taught["label"].sum(),
        pairs=pairs,
    )


_TEXT = """# How many wrong labels does the list of suspect labels find?

Written by `python -m studies.suspect_labels`; no figure is typed in. Networks: {versions}.

{share:.0%} of FracAtlas's labels were flipped at random, {draws} times, and the list was made from the result.
*Planted ones listed*: the share of the flipped labels that the list has (recall). *Share of the list that was
planted*: what it says (precision); the rest are FracAtlas's own errors, and fractures that are hard to see. *Of as many
first*: where n labels were planted, the share of the first n in the list that were. Means, and the least and the most
of the draws.

Every label is judged by logistic regressions on {folds} folds, dealt {repeats} times, that saw neither the radiograph
nor its duplicates. FracAtlas has no patient ids: another view of the same patient may be among them.

## Radiographs that no network was trained on ({fresh:,})

The networks learned none of these labels, right or wrong, so this is what a reader can expect.

{fresh_rows}

## Radiographs that a network was trained on ({taught:,})

These figures flatter every row of our networks. They learned the true labels before some were flipped here; a label
that was wrong from the start they learned as it was, and their late layers repeat it. That is why the app leaves the
late layers out for these radiographs. A network that knows ImageNet alone never saw a label of FracAtlas: the truth
lies between its row and the app's.

{taught_rows}

## The labels as published

The list has {listed} of {total:,} labels: {fresh_listed} of radiographs that no network was trained on
({fresh_fractured} of them say fracture) and {taught_listed} of the others ({taught_fractured} say fracture). Of
{pairs[0]} pairs of duplicates with opposite labels, one of which must be wrong, {pairs[1]} have one or both of their
radiographs in the list.
"""


def _never_taught(bundle: Bundle, paths: Mapping[str, Path]) -> ImageFeatures | None:
    """Return features of EfficientNet-Lite2 as it was published, or None where its weights are not installed."""
    try:
        published = published_weights()
    except PublishedWeightsError:
        return None
    weights = dict(bundle.weights())
    weights |= {key: array for key, array in published.items() if key in weights}
    scorer = Scorer(Engine(bundle.graph, weights), bundle.recipe.replace(test_time_sizes=()))
    return image_features(scorer, f"ImageNet {bundle.recipe.backbone}", paths, progress=_told("ImageNet"))


def _told(name: str) -> Callable[[int, int], None]:
    return lambda done, of: print(f"\r{name}: {done} of {of}  ", end="", file=sys.stderr, flush=True)


def main() -> int:
    """Read every radiograph, plant, judge, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--share", type=float, default=0.03)
    parser.add_argument("--print", action="store_true", help="print the page instead of writing it")
    options = parser.parse_args()
    dataset = FracAtlas(find_fracatlas())
    paths = {image_id: dataset.path(image_id) for image_id in dataset.table.index}
    labels = dataset.table["label"].astype(int).to_dict()
    audited = audit(dataset)
    groups = duplicate_groups(audited)
    bundles = [load_bundle(name) for name in SHIPPED]
    features = []
    for bundle in bundles:
        scorer = Predictor(bundle).scorer
        features.append(image_features(scorer, bundle.version, paths, progress=_told(bundle.name)))
    trained_on = trained_images(paths, [bundle.predictions() for bundle in bundles])
    ways = judges(features, trained_on, _never_taught(bundles[-1], paths))
    results = plant(
        ways, labels, groups, trained_on, options.share, options.draws, lambda words: print(words, file=sys.stderr)
    )
    real = judged_labels(features, labels, groups, trained_on)
    pairs = opposite_pairs(labels, audited, set(real.loc[real["suspect"], "image_id"]))
    text = page(bundles, results, real, pairs, options.share)
    if options.print:
        print(text)
    else:
        write_text(PAGE, text)
    return 0


if __name__ == "__main__":
    raise SystemExit(exit_status(main))

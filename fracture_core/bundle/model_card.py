"""The model card: what a bundle is, what it was made from, its figures with intervals, and its limits.

Every figure is computed here from the bundle's own predictions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fracture_core.bundle.card_copies import copies_text
from fracture_core.bundle.card_metadata import front_matter
from fracture_core.data.combined.dataset import is_site
from fracture_core.data.dataset import dataset_name
from fracture_core.data.fracatlas import FracAtlas
from fracture_core.files import write_text
from fracture_core.formatting import format_percent
from fracture_core.metrics.auc_intervals import area_estimates, delong_interval
from fracture_core.metrics.calibration import expected_calibration_error
from fracture_core.metrics.confusion import Confusion, confusion, sigmoid
from fracture_core.metrics.curves import roc_auc
from fracture_core.metrics.intervals import threshold_table, wilson
from fracture_core.metrics.operating_points import OperatingPoint, default_operating_points, triage_groups
from fracture_core.metrics.reference_study import REFERENCE_STUDY
from fracture_core.metrics.subgroups import subgroup_row, subgroup_table
from fracture_core.recipe import Recipe


def write_card(
    folder: Path, name: str, recipe: Recipe, table: pd.DataFrame, temperature: float, provenance: Mapping[str, Any]
) -> None:
    """Write card.md.

    Args:
        folder: The bundle's folder.
        name: Name of the bundle.
        recipe: Its recipe.
        table: The predictions, with the columns of predictions.csv.
        temperature: The calibration temperature.
        provenance: How it was made, as plain data.
    """
    table = table.assign(probability=sigmoid(table["logit"].to_numpy() / temperature))
    val, test = (table[table["split"] == part] for part in ("val", "test"))
    fracatlas = dataset_name(provenance) == FracAtlas.name
    points = default_operating_points(val["label"], val["probability"])
    parts = [
        front_matter(name, recipe.backbone, dataset_name(provenance), test, points["single"].threshold).rstrip("\n"),
        _introduction(name, recipe, provenance, val, test),
        _figures(val, test, points, fracatlas),
        _sources(provenance, test, points["single"]),
        _comparison(provenance.get("comparison")),
        _triage(test, points),
        _pointing(test),
        _subgroups(test, points["single"]),
        _external(provenance.get("elsewhere")),
        _scope(provenance.get("scope")),
        _origin(recipe, provenance),
        *_limits(provenance, test),
    ]
    write_text(folder / "card.md", "\n\n".join(part for part in parts if part) + "\n")


def _introduction(
    name: str, recipe: Recipe, provenance: Mapping[str, Any], val: pd.DataFrame, test: pd.DataFrame
) -> str:
    return (
        f"# {name}\n\n"
        "Research demonstrator. Not a medical device; not for diagnosis.\n\n"
        f"A network ({recipe.backbone}) that reads one bone radiograph at {recipe.reading} "
        "and gives the probability that it shows a fracture. "
        f"Trained on {provenance.get('trained_on', 'an unknown number of')} images of {dataset_name(provenance)}; "
        f"thresholds and calibration come from {len(val)} validation images ({int(val['label'].sum())} fractured), "
        f"the figures below from {len(test)} test images ({int(test['label'].sum())} fractured) that took no part "
        "in any choice."
    )


def _figures(val: pd.DataFrame, test: pd.DataFrame, points: Mapping[str, OperatingPoint], fracatlas: bool) -> str:
    areas = area_estimates(test["label"], test["logit"])
    lines = [
        "## Figures\n",
        "On the test images, with 95 % intervals (bootstrap for areas, Wilson for rates).\n",
        f"- AUC {areas['roc_auc']}; on validation {roc_auc(val['label'], val['logit']):.3f}",
        f"- DeLong's interval for the AUC: {delong_interval(test['label'], test['logit'])}",
        f"- average precision {areas['average_precision']}",
        f"- expected calibration error (10 equal-mass bins) "
        f"{expected_calibration_error(test['label'], test['probability']):.3f}\n",
        "| threshold from validation | probability | sensitivity | specificity | PPV | NPV | TN / FP / FN / TP |",
        "|---|---|---|---|---|---|---|",
    ]
    for point in points.values():
        matrix = confusion(test["label"], test["probability"], point.threshold)
        lines.append(_row(f"{point.name}: {point.criterion}", f"{point.threshold:.3f}", matrix))
    if fracatlas:
        lines.append(_row("the reference study, as published", "", REFERENCE_STUDY.confusion))
    return "\n".join(lines)


def _sources(provenance: Mapping[str, Any], test: pd.DataFrame, point: OperatingPoint) -> str:
    """Say what each dataset contributed to a bundle that was trained on two, and tabulate both test parts."""
    sources = provenance.get("sources")
    if not sources:
        return ""
    lines = ["## Trained on FracAtlas and a site's films\n"]
    for source in sources:
        lines.append(
            f"- {source['name']}: {source['train']} training, {source['val']} validation and {source['test']} test "
            f"images; one counts as {source['weight']:g} of FracAtlas in training, all have "
            f"{format_percent(source['share'])} of the weight"
        )
    if copies := provenance.get("site_copies"):
        lines.append(f"- {copies} of the site's films show images of FracAtlas and were left out")
    lines += [
        "\nOn each test part, at the single threshold. No rate where there are fewer than 10 of either class.\n",
        "| test part | radiographs | fractured | AUC | sensitivity | specificity |",
        "|---|---|---|---|---|---|",
    ]
    of_site = test["image_id"].map(is_site).to_numpy(bool)
    for source, inside in zip(sources, (~of_site, of_site), strict=True):
        part = test[inside]
        row = subgroup_row("source", source["name"], part["label"], part["probability"], point.threshold)
        figures = " | ".join(str(f) if f else "too few" for f in (row.auc, row.sensitivity, row.specificity))
        lines.append(f"| {row.name} | {row.n} | {row.fractured} | {figures} |")
    return "\n".join(lines)


def _comparison(comparison: Sequence[Mapping[str, Any]] | None) -> str:
    """Tabulate the comparison with the bundle that was in use when this one was made, on each test part."""
    if not comparison:
        return ""
    lines = [
        "## Against the model in use at the time\n",
        "AUC on the same test images; DeLong's paired interval for the difference.\n",
        "| test part | radiographs | fractured | this model | the other | difference |",
        "|---|---|---|---|---|---|",
    ]
    remarks = []
    for part in comparison:
        if "n" not in part:
            lines.append(f"| {part['part']} | | | | | no comparison: {part['reason']} |")
            continue
        new, other = ("undefined" if value is None else f"{value:.3f}" for value in part["auc"])
        value, low, high = part["difference"]
        difference = (
            "too few" if part["too_few"] or None in (value, low, high) else f"{value:+.3f} ({low:+.3f} to {high:+.3f})"
        )
        name = f"{other} ({part['against']})"
        lines.append(f"| {part['part']} | {part['n']} | {part['fractured']} | {new} | {name} | {difference} |")
        remarks += [f"- {part['part']}: {remark}" for remark in (*part["unfair"], *part["remarks"])]
    return "\n".join([*lines, *(["", *remarks] if remarks else [])])


def _limits(provenance: Mapping[str, Any], test: pd.DataFrame) -> list[str]:
    """Return the limits of FracAtlas, of a user's own films, or of both."""
    name = dataset_name(provenance)
    if provenance.get("sources"):
        return [_LIMITS, _SITE_LIMITS.format(dataset=provenance["sources"][1]["name"])]
    return [_LIMITS if name == FracAtlas.name else _OWN_LIMITS.format(dataset=name) + copies_text(provenance, test)]


def _row(name: str, threshold: str, matrix: Confusion) -> str:
    figures = threshold_table(matrix)
    rates = " | ".join(str(figures[key]) for key in ("sensitivity", "specificity", "ppv", "npv"))
    return f"| {name} | {threshold} | {rates} | {matrix.tn} / {matrix.fp} / {matrix.fn} / {matrix.tp} |"


def _triage(test: pd.DataFrame, points: Mapping[str, OperatingPoint]) -> str:
    out, within = points["rule_out"].threshold, points["rule_in"].threshold
    lines = ["## The three answers on test\n", "| answer | radiographs | of them fractured |", "|---|---|---|"]
    for zone in triage_groups(test["label"], test["probability"], out, within):
        lines.append(f"| {zone.triage} | {zone.n} | {zone.fractured}: {zone.fracture_rate} |")
    return "\n".join(lines)


def _pointing(test: pd.DataFrame) -> str:
    columns = [c for c in test if c.startswith("hit_")]
    if not columns:
        return ""
    lines = ["## Where the heatmap points\n", "Share of fractured test images whose hottest point lies in a box.\n"]
    lines += ["| heatmap | share |", "|---|---|"]
    for column in columns:
        hits = test[column].dropna()
        name = {"hit_centre": "the image centre, for comparison"}.get(column, column.removeprefix("hit_"))
        lines.append(f"| {name} | {int(hits.sum())} of {len(hits)}: {wilson(int(hits.sum()), len(hits))} |")
    return "\n".join(lines)


def _external(measured: Mapping[str, Any] | None) -> str:
    if not measured:
        return ""

    def share(name: str, of: str) -> str:
        return f"{measured[name]} of {measured[of]}: {wilson(measured[name], measured[of])}"

    lines = [
        "## Films from other sources\n",
        "Read as an upload would be; thresholds from validation. Labels as collected: a trend, not a truth.\n",
        "| | share |",
        "|---|---|",
        f"| limb films called out of scope | {share('limbs_not_assessed', 'limbs')} |",
        f"| other images called out of scope | {share('others_not_assessed', 'others')} |",
        f"| fractures flagged at the single threshold (no answer is a miss) | {share('flagged', 'fractured')} |",
        f"| heatmap's hottest point in a box | {share('hits', 'boxed')} |",
    ]
    if measured.get("sound"):
        lines.append(f"| films presumed sound that are flagged | {share('flagged_sound', 'sound')} |")
    for scale, films in (("close", "the closest views"), ("far", "the views with most air round the limb")):
        if measured.get(f"fractured_{scale}"):
            lines.append(f"| fractures flagged on {films} | {share(f'flagged_{scale}', f'fractured_{scale}')} |")
    return "\n".join(lines)


def _scope(fitted: Mapping[str, Any] | None) -> str:
    if not fitted:
        return ""
    numbers = ", ".join(f"{name} {n}" for name, n in fitted["fitted_on"].items())
    rates = ", ".join(f"{name} {format_percent(rate, 1)}" for name, rate in fitted["held_out"].items())
    return (
        "## What is called out of scope\n\n"
        "A small network, the same for every bundle, says whether an image is a limb radiograph at all, and whether "
        f"its greys are inverted. Fitted on random views of images by source: {numbers}. Of a fifth that was held out: "
        f"{rates}. Lateral chest and skull, neck and abdomen are mostly projections of CT volumes; a film of both "
        "clavicles may be taken for a chest, and a film of abdomen and pelvis for a hip."
    )


def _subgroups(test: pd.DataFrame, point: OperatingPoint) -> str:
    lines = [
        "## Subgroups\n",
        "On test, at the single threshold. No rate where there are fewer than 10 of either class.\n",
        "| subgroup | radiographs | fractured | AUC | sensitivity | specificity |",
        "|---|---|---|---|---|---|",
    ]
    for row in subgroup_table(test, point.threshold):
        figures = " | ".join(str(f) if f else "too few" for f in (row.auc, row.sensitivity, row.specificity))
        lines.append(f"| {row.name} | {row.n} | {row.fractured} | {figures} |")
    return "\n".join(lines)


def _origin(recipe: Recipe, provenance: Mapping[str, Any]) -> str:
    lines = ["## How it was made\n", f"- recipe: {recipe.name}, kept whole in recipe.json"]
    start = provenance.get("start") or {}
    lines.append(f"- started from: {start.get('source', 'unknown')}" + _hash(start.get("sha256")))
    if before := provenance.get("pretraining"):
        lines += _pretraining(before)
    lines.append(f"- program: git revision {provenance.get('git_revision') or 'unknown'}")
    lines.append(f"- split: {provenance.get('split', 'unknown')[:16]} (digest of the three lists of ids)")
    if np.isfinite(provenance.get("offset", np.nan)):
        lines.append(f"- logit offset fitted on validation: {provenance['offset']:.3f}")
    dataset, sources = dataset_name(provenance), provenance.get("sources")
    if sources:
        lines += ["", f"Data: FracAtlas, as below, and {sources[1]['name']}, a site's own films, which do not ship."]
    elif dataset != FracAtlas.name:
        return "\n".join([*lines, "", f"Data: {dataset}, a user's own radiographs. They do not ship with the bundle."])
    lines += [
        "",
        "Data: FracAtlas, Abedeen et al., Scientific Data 10, 521 (2023), doi 10.1038/s41597-023-02432-4, "
        "figshare 10.6084/m9.figshare.22363012, licence CC BY 4.0. The images do not ship with the bundle.",
    ]
    return "\n".join(lines)


def _pretraining(record: Mapping[str, Any]) -> list[str]:
    """Return the lines on pre-training: the source of the first weights, and every stage."""
    start = record.get("start") or {}
    lines = [f"- pre-trained from: {start.get('source', 'unknown')}" + _hash(start.get("sha256"))]
    for stage in record.get("stages", ()):
        taught = f", taught by {record.get('teacher')}" if stage.get("teacher") else ""
        steps = stage.get("schedule", {}).get("steps", "unknown")
        lines.append(f"- pre-training stage {stage['name']}: {stage['image_size']} px, {steps} steps{taught}")
    return lines + [f"- {remark}" for remark in record.get("remarks", ())]


def _hash(sha256: str | None) -> str:
    return f" (SHA-256 {sha256[:16]})" if sha256 else ""


_LIMITS = """## Limits

- Adults' and children's hand, leg, hip and shoulder radiographs from three hospitals in Bangladesh; nothing else was
  validated. Chest, spine, skull and other modalities are out of scope.
- FracAtlas has no patient ids: another view of one patient may lie in train and test, which flatters every figure.
- Hip and shoulder have very few fractures: the counts above say how few.
- Orthopaedic hardware nearly always comes with a fracture in FracAtlas, so it raises the score by itself.
- The labels are readings, not follow-up: a fracture that the readers missed counts as none.
- Prevalence differs between clinics, and PPV and NPV with it."""

_SITE_LIMITS = """- The labels of {dataset} are as the site gave them; nobody else checked them.
- Where the site's data name no patients, one patient's images may lie in train and test, which flatters its figures."""

_OWN_LIMITS = """## Limits

- Trained and validated on {dataset} alone; nothing is known of other hospitals, machines, body parts and ages.
- Where the data name no patients, one patient's images may lie in train and test, which flatters every figure.
- The labels are as they were given; nobody checked them here.
- Prevalence differs between clinics, and PPV and NPV with it."""

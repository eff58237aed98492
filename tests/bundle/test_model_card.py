"""Every figure of the shipped cards is the bundle's, computed again from its predictions by other programs."""

from __future__ import annotations

import re

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn import metrics as sk

from fracture_core.bundle.card_metadata import sections
from fracture_core.bundle.loading import list_bundles, load_bundle
from fracture_core.paths import APP

SHIPPED = APP / "models"


@pytest.fixture(params=list_bundles(SHIPPED))
def bundle(request):
    return load_bundle(request.param, SHIPPED)


@pytest.fixture
def test_set(bundle):
    """Labels and probabilities of the bundle's test images, and its whole test table."""
    table = bundle.predictions().query("split == 'test'")
    return table["label"].to_numpy(int), table["probability"].to_numpy(float), table


def counted(k: int, n: int) -> str:
    """A share as cards print it, with Wilson's interval."""
    low, high = binomtest(int(k), int(n)).proportion_ci(method="wilson")
    return f"{k} of {n}: {k / n:.3f} ({low:.3f} to {high:.3f})"


def plain(text: str) -> str:
    return text.replace("\u00a0", " ")


def test_front_matter(bundle, test_set):
    truth, scores, _ = test_set
    flagged = scores >= bundle.points["single"].threshold
    block = bundle.card.split("---\n")[1]
    found = {kind: float(value) for kind, value in re.findall(r"\{type: (\w+), name: .*, value: ([\d.]+)\}", block)}
    assert found == pytest.approx(
        {
            "roc_auc": sk.roc_auc_score(truth, scores),
            "average_precision": sk.average_precision_score(truth, scores),
            "sensitivity": sk.recall_score(truth, flagged),
            "specificity": sk.recall_score(1 - truth, ~flagged),
        },
        abs=1e-4,
    )
    assert f'- name: "{bundle.name}"' in block and f'base_model: "{bundle.recipe.backbone}"' in block


def test_says_how_a_radiograph_is_read(bundle):
    size = bundle.recipe.image_size
    views = ", as it is and mirrored," if len(bundle.recipe.test_time_views) == 2 else ""
    assert f"reads one bone radiograph at {size} x {size} pixels{views} and gives the probability" in bundle.card


def test_figures_at_every_threshold(bundle, test_set):
    truth, scores, _ = test_set
    card = plain(bundle.card)
    figures, answers = sections(card)["Figures"], sections(card)["The three answers on test"]
    assert f"- AUC {sk.roc_auc_score(truth, scores):.3f} (" in figures
    assert f"- average precision {sk.average_precision_score(truth, scores):.3f} (" in figures
    for point in bundle.points.values():
        (tn, fp), (fn, tp) = sk.confusion_matrix(truth, scores >= point.threshold)
        (row,) = [line for line in figures.splitlines() if line.startswith(f"| {point.name}: ")]
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert cells[-1] == f"{tn} / {fp} / {fn} / {tp}" and cells[1] == f"{point.threshold:.3f}"
        assert cells[2].startswith(f"{tp / (tp + fn):.3f} (") and cells[3].startswith(f"{tn / (tn + fp):.3f} (")
    low, high = (bundle.points[name].threshold for name in ("rule_out", "rule_in"))
    groups = np.digitize(scores, [low, high])
    for group, words in enumerate(("fracture unlikely", "indeterminate", "fracture likely")):
        n, fractured = int(np.sum(groups == group)), int(truth[groups == group].sum())
        assert f"| {words} | {n} | {counted(fractured, n).replace(f' of {n}', '')} |" in answers


def test_heatmaps_and_other_sources(bundle, test_set):
    text, (*_, table) = sections(plain(bundle.card)), test_set
    for column in (name for name in table if name.startswith("hit_")):
        hits = table[column].dropna()
        assert f" | {counted(int(hits.sum()), len(hits))} |" in text["Where the heatmap points"]
    measured = bundle.manifest["provenance"]["elsewhere"]
    (elsewhere,) = [body for heading, body in text.items() if heading.endswith("other sources")]
    pairs = (("limbs_not_assessed", "limbs"), ("others_not_assessed", "others"), ("flagged", "fractured"))
    for part, whole in (*pairs, ("hits", "boxed")):
        assert f" | {counted(measured[part], measured[whole])} |" in elsewhere


def rated(k: int, n: int) -> str:
    """A rate as tables of cards print it, with Wilson's interval."""
    return counted(k, n).partition(": ")[2]


def delong(truth: np.ndarray, scores: np.ndarray) -> str:
    """The AUC by scikit-learn with DeLong's interval, its variance written out from pairs of radiographs."""
    auc = sk.roc_auc_score(truth, scores)
    above = (np.sign(scores[truth == 1][:, None] - scores[truth == 0][None]) + 1) / 2
    of_fractured, of_others = above.mean(axis=1), above.mean(axis=0)
    half = 1.959963984540054 * np.sqrt(
        of_fractured.var(ddof=1) / len(of_fractured) + of_others.var(ddof=1) / len(of_others)
    )
    return f"{auc:.3f} ({max(auc - half, 0):.3f} to {min(auc + half, 1):.3f})"


def test_figures_and_intervals_of_every_subgroup(bundle, test_set):
    truth, scores, table = test_set
    lines = [line for line in sections(plain(bundle.card))["Subgroups"].splitlines() if line.startswith("|")]
    rows = {cells[0]: cells[1:] for cells in ([c.strip() for c in line.strip("|").split("|")] for line in lines[2:])}
    columns = {name: (name, 1) for name in ("hand", "leg", "hip", "shoulder", "mixed", "frontal", "lateral", "oblique")}
    columns |= {"with hardware": ("hardware", 1), "without hardware": ("hardware", 0)}
    columns |= {"several views on one film": ("multiscan", 1), "one view on the film": ("multiscan", 0)}
    groups = {name: (table[column] == value).to_numpy() for name, (column, value) in columns.items()}
    groups = {"all": np.ones(len(truth), bool)} | {name: inside for name, inside in groups.items() if inside.any()}
    assert set(rows) == set(groups)
    for name, inside in groups.items():
        labels, flagged = truth[inside], scores[inside] >= bundle.points["single"].threshold
        n, fractured = len(labels), int(labels.sum())
        assert rows[name][:2] == [str(n), str(fractured)], name
        if min(fractured, n - fractured) < 10:
            assert rows[name][2:] == ["too few"] * 3, name
            continue
        hits, spared = int(np.sum(flagged & (labels == 1))), int(np.sum(~flagged & (labels == 0)))
        expected = [delong(labels, scores[inside]), rated(hits, fractured), rated(spared, n - fractured)]
        assert rows[name][2:] == expected, name

"""Shortcut probes: each changes the one thing that it says, and what it reports is what the network answers."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from fracture_core.bundle.loading import load_bundle
from fracture_core.data.fracatlas import FracAtlas
from fracture_core.evaluation.shortcuts import (
    PROBES,
    ShortcutError,
    markers,
    probe_split,
    with_black_bottom,
    with_grey_bottom,
    with_own_grey_bottom,
    without_borders,
    without_markers,
)
from fracture_core.imaging.exposed_field import exposed_field
from fracture_core.imaging.radiograph import Radiograph, read_radiograph
from fracture_core.inference.predictor import Predictor
from fracture_core.metrics.curves import roc_auc
from fracture_core.metrics.operating_points import triage


def radiograph(pixels: np.ndarray) -> Radiograph:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return read_radiograph(file.getvalue(), name="drawn.png")


def hand(shape: tuple[int, int] = (454, 373)) -> np.ndarray:
    """Noisy air and a palm of soft tissue with five fingers, each with bone in it."""
    pixels = np.full(shape, 26.0)
    pixels[200:454, 110:260] = 90
    for k in range(5):
        left = 112 + 30 * k
        pixels[90 + 12 * abs(k - 2) : 210, left : left + 22] = 80
        pixels[98 + 12 * abs(k - 2) : 454, left + 7 : left + 16] = 190
    noise = np.random.default_rng(0).normal(0, 1.5, shape)
    return np.clip(cv2.GaussianBlur(pixels, (3, 3), 0) + noise, 0, 255).astype(np.uint8)


def lettered(letter: str, place: tuple[int, int]) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    """The hand with a letter of lead at `place` x, y (its lower left corner), and the letter's own box."""
    bare = hand()
    pixels = bare.copy()
    cv2.putText(pixels, letter, place, cv2.FONT_HERSHEY_DUPLEX, 0.9, 245, 2, cv2.LINE_AA)
    rows, columns = np.nonzero(pixels != bare)
    return pixels, (columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1)


@pytest.mark.parametrize("letter", ["L", "R", "S"])
@pytest.mark.parametrize("place", [(30, 60), (310, 120), (40, 400)])
def test_a_letter_is_found_and_painted_over_and_the_hand_is_left_alone(letter: str, place: tuple[int, int]) -> None:
    pixels, (x, y, w, h) = lettered(letter, place)
    found = markers(pixels)
    assert len(found) == 1
    fx, fy, fw, fh = found[0]
    assert fx <= x and fy <= y and fx + fw >= x + w and fy + fh >= y + h and fw * fh < 6 * w * h
    changed = without_markers(radiograph(pixels))
    assert changed[y : y + h, x : x + w].max() < 40
    outside = np.ones(pixels.shape, bool)
    outside[fy : fy + fh, fx : fx + fw] = False
    np.testing.assert_array_equal(changed[outside], pixels[outside])


def test_fingers_are_no_letters() -> None:
    assert not len(markers(hand())) and without_markers(radiograph(hand())) is None


def test_letters_of_real_radiographs_are_found(fracatlas_dir: Path) -> None:
    """IMG0000040 has a letter and a name's plate in the air beside the limb; IMG0001895 is an elbow without either."""
    dataset = FracAtlas(fracatlas_dir)
    shown, plain = (read_radiograph(dataset.path(i)).pixels for i in ("IMG0000040", "IMG0001895"))
    found = markers(shown)
    middles = found[:, :2] + found[:, 2:] / 2
    for known in ((1815, 538), (1831, 643)):
        assert np.abs(middles - known).max(1).min() < 40
    assert len(found) == 2 and not len(markers(plain))


def test_borders_go_black_and_the_field_stays() -> None:
    pixels = hand()
    pixels[:25] = 235
    changed = without_borders(radiograph(pixels))
    x, y, w, h = exposed_field(pixels)
    np.testing.assert_array_equal(changed[y : y + h, x : x + w], pixels[y : y + h, x : x + w])
    assert int(changed.sum()) == int(pixels[y : y + h, x : x + w].sum()) and not changed[:20].any()
    assert without_borders(radiograph(np.full((60, 60), 90, np.uint8))) is None


def test_bottoms_are_grey_or_black_and_no_other_row_changes() -> None:
    one = radiograph(hand((400, 300)))
    for change, grey in ((with_grey_bottom, 128), (with_black_bottom, 0)):
        changed = change(one)
        assert (changed[300:] == grey).all()
        np.testing.assert_array_equal(changed[:300], one.pixels[:300])
    assert with_own_grey_bottom(one) is None


def test_a_cut_short_file_gets_back_the_grey_that_decoders_show(tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.fromarray(hand()).save(file, "JPEG", quality=90)
    cut = file.getvalue()[: int(len(file.getvalue()) * 0.7)]
    one = read_radiograph(cut, name="cut.jpg", accept_cut_short=True)
    assert one.missing > 0.1
    changed = with_own_grey_bottom(one)
    shown = cv2.imdecode(np.frombuffer(cut + b"\xff\xd9", np.uint8), cv2.IMREAD_GRAYSCALE)
    gone = round(one.missing * len(changed))
    assert (changed[-gone:] == 128).all() and np.abs(shown[-8:].astype(int) - 128).max() <= 2
    np.testing.assert_array_equal(changed[:-gone], one.pixels[:-gone])
    assert with_grey_bottom(one) is None and with_black_bottom(one) is None


@pytest.mark.slow
def test_effects_are_what_the_network_answers(small_models: Path) -> None:
    bundle, dataset = load_bundle("small", small_models), FracAtlas(small_models.parent / "data")
    table = bundle.predictions()
    reader = Predictor(bundle)
    effects = probe_split(bundle, reader.scorer, dataset, table)
    assert [effect.probe for effect in effects] == list(PROBES)
    thresholds = bundle.points["rule_out"].threshold, bundle.points["rule_in"].threshold
    for effect in effects:
        logits, moved, changes = table["logit"].to_numpy(np.float64).copy(), 0, []
        for row, image_id in enumerate(table["image_id"]):
            one = read_radiograph(dataset.path(image_id))
            if (changed := effect.probe.change(one)) is None:
                continue
            beside = one.pixels if effect.probe.beside is None else effect.probe.beside(one)
            before, after = (reader.predict(radiograph(pixels)) for pixels in (beside, changed))
            findings = [triage(f.probability, *thresholds) for f in (before, after)]
            moved += findings[0] != findings[1]
            changes.append(after.probability - before.probability)
            logits[row] = after.logit
        assert effect.changed == len(changes) and effect.moved == moved
        np.testing.assert_allclose(effect.change, changes, atol=1e-4)
        assert effect.auc.first == pytest.approx(roc_auc(table["label"], logits), abs=0.01)
    assert {e.probe.name: e.changed for e in effects}["grey bottom added"] == len(table)


def test_predictions_of_another_dataset_are_not_compared(small_models: Path) -> None:
    bundle, dataset = load_bundle("small", small_models), FracAtlas(small_models.parent / "data")
    table = bundle.predictions()
    table["logit"] += 1.0
    with pytest.raises(ShortcutError, match="is this its dataset"):
        probe_split(bundle, Predictor(bundle).scorer, dataset, table)

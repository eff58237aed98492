from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from fracture_core.data import image_likeness
from fracture_core.data.duplicates import DuplicatePair, find_duplicates, group
from fracture_core.data.fracatlas import FracAtlas
from tests.support.miniature import picture


def jpeg(pixels: np.ndarray, quality: int = 90, exif: int = 1) -> bytes:
    buffer = io.BytesIO()
    tag = Image.Exif()
    tag[0x0112] = exif
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, **({"exif": tag} if exif != 1 else {}))
    return buffer.getvalue()


def brighter(pixels):
    return np.clip(pixels * 1.3 + 20, 0, 255).astype(np.uint8)


def gamma(pixels):
    return (255 * (pixels / 255.0) ** 0.6).astype(np.uint8)


def resized(pixels):
    return cv2.resize(pixels, None, fx=1.7, fy=1.7, interpolation=cv2.INTER_CUBIC)


def rubbish_below(pixels):
    """As of a file whose later bytes were overwritten: the last two fifths are noise, another in each."""
    whole = len(pixels) * 6 // 10
    noise = np.random.default_rng(int(pixels.sum())).integers(0, 255, pixels[whole:].shape)
    return np.concatenate([pixels[:whole], noise.astype(np.uint8)])


CHANGES = {
    "re-saved": lambda pixels: jpeg(pixels, quality=35),
    "resized": lambda pixels: jpeg(resized(pixels)),
    "smaller": lambda pixels: jpeg(cv2.resize(pixels, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)),
    "brighter": lambda pixels: jpeg(brighter(pixels)),
    "gamma": lambda pixels: jpeg(gamma(pixels)),
    "mirrored": lambda pixels: jpeg(pixels[:, ::-1].copy()),
    "turned": lambda pixels: jpeg(np.rot90(pixels).copy()),
    "turned and mirrored": lambda pixels: jpeg(np.rot90(pixels, 3)[:, ::-1].copy()),
    "turned by EXIF": lambda pixels: jpeg(np.rot90(pixels).copy(), exif=6),
    "damaged": lambda pixels: jpeg(rubbish_below(pixels)),
}


def planted(originals: list[np.ndarray], folder, change: str):
    """Files of the originals and of one change of each, and the pairs that are to be found."""
    paths, wanted = {}, set()
    for number, pixels in enumerate(originals):
        for name, data in (("a", jpeg(pixels)), ("b", CHANGES[change](pixels))):
            paths[f"{number}{name}"] = folder / f"{number}{name}.jpg"
            paths[f"{number}{name}"].write_bytes(data)
        wanted.add((f"{number}a", f"{number}b"))
    return paths, wanted


@pytest.fixture(scope="module")
def radiographs(fracatlas_dir):
    """Two dozen real radiographs of one kind, hands, so that they look as alike as radiographs can."""
    dataset = FracAtlas(fracatlas_dir)
    table = dataset.table.loc[:"IMG0002200"]
    hands = table.index[(table["hand"] == 1) & (table["frontal"] == 1) & (table["multiscan"] == 0)][100:500:17]
    return [np.asarray(Image.open(dataset.path(image_id)).convert("L")) for image_id in hands]


@pytest.mark.parametrize("change", CHANGES)
def test_every_planted_duplicate_is_found_and_nothing_else(radiographs, tmp_path, change):
    paths, wanted = planted(radiographs, tmp_path, change)
    pairs = find_duplicates(paths, {})
    assert {(pair.first, pair.second) for pair in pairs} == wanted
    assert all(pair.kind == "near" for pair in pairs)


@pytest.mark.parametrize("change", ["brighter", "mirrored", "resized", "turned"])
def test_drawn_pictures_too(tmp_path, change):
    paths, wanted = planted([picture(seed, 240, 192) for seed in range(5)], tmp_path, change)
    assert {(pair.first, pair.second) for pair in find_duplicates(paths, {})} == wanted


def test_cut_short_files_are_compared_by_what_they_show(radiographs, tmp_path):
    """A progressive loss: from a file that lacks a tenth to one that lacks two thirds of its bytes."""
    paths, missing, wanted = {}, {}, set()
    for number, pixels in enumerate(radiographs):
        whole = jpeg(pixels, quality=75)
        cut = whole[: round(len(whole) * (0.9 - 0.55 * number / len(radiographs)))]
        names = f"{number}a", f"{number}b"
        for name, data in zip(names, (whole, cut), strict=True):
            paths[name] = tmp_path / f"{name}.jpg"
            paths[name].write_bytes(data)
        rows = cv2.imdecode(np.frombuffer(cut + b"\xff\xd9", np.uint8), cv2.IMREAD_GRAYSCALE)
        last = int(np.flatnonzero(np.ptp(rows.astype(int), axis=1))[-1])
        missing[names[1]] = 1 - (last - 16) / len(rows)
        wanted.add(names)
    assert {(pair.first, pair.second) for pair in find_duplicates(paths, missing)} == wanted


def test_equal_pixels_are_exact_even_in_other_bytes(tmp_path):
    data = jpeg(picture(1))
    paths = {name: tmp_path / f"{name}.jpg" for name in ("a", "b", "c")}
    paths["a"].write_bytes(data)
    paths["b"].write_bytes(data[:2] + b"\xff\xfe\x00\x06note" + data[2:])  # a JPEG comment
    paths["c"].write_bytes(jpeg(picture(1), quality=50))
    kinds = {(pair.first, pair.second): pair.kind for pair in find_duplicates(paths, {})}
    assert kinds == {("a", "b"): "exact", ("a", "c"): "near", ("b", "c"): "near"}


def test_blank_pictures_are_nobodys_duplicates(tmp_path):
    paths = {}
    for name, value in (("a", 0), ("b", 0), ("c", 128)):
        paths[name] = tmp_path / f"{name}.jpg"
        paths[name].write_bytes(jpeg(np.full((100, 80), value, np.uint8)))
    assert find_duplicates(paths, {}) == ()


def test_the_turn_lays_the_second_on_the_first(tmp_path):
    original = picture(3, 192, 192)
    for turn in range(8):
        turned = np.rot90(original, turn % 4)
        turned = turned[:, ::-1] if turn >= 4 else turned
        for name, pixels in (("a", turned), ("b", original)):
            (tmp_path / f"{name}.jpg").write_bytes(jpeg(np.ascontiguousarray(pixels)))
        (pair,) = find_duplicates({name: tmp_path / f"{name}.jpg" for name in "ab"}, {})
        assert (pair.first, pair.second, pair.turn) == ("a", "b", turn)


def test_groups_are_what_pairs_connect():
    def pair(first, second):
        return DuplicatePair(first, second, "near", 1.0, 0)

    assert group((pair("d", "e"), pair("c", "a"), pair("b", "c"))) == (("a", "b", "c"), ("d", "e"))
    assert group(()) == ()


def test_pairs_between_two_sets_are_those_among_all(tmp_path, monkeypatch):
    paths = {}
    for number in range(12):
        paths[str(number)] = tmp_path / f"{number}.png"
        # 0 to 5 and 6 to 11 have 0 and 6, and 1 and 7 turned, in common; 2 and 3 are a pair of the first set.
        pixels = picture({6: 0, 7: 1, 3: 2}.get(number, number))
        Image.fromarray(np.rot90(pixels) if number == 7 else pixels).save(paths[str(number)])
    everything = find_duplicates(paths, {})
    assert {(pair.first, pair.second) for pair in everything} == {("0", "6"), ("1", "7"), ("2", "3")}
    across = find_duplicates(paths, {}, between=6)
    assert set(across) == {pair for pair in everything if int(pair.first) < 6 <= int(pair.second)}
    monkeypatch.setattr(image_likeness, "_BLOCK", 5)
    assert find_duplicates(paths, {}) == everything and find_duplicates(paths, {}, between=6) == across

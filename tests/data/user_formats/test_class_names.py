"""What a class is called says whether it means a fracture, the same in every format."""

from __future__ import annotations

import json

import pytest

from fracture_core.data.fracatlas import DatasetError
from fracture_core.data.user_formats.class_names import class_label, fracture_classes
from tests.data.test_user_index import N, opened, save, write

DENIED = """
    no_fracture|nofracture|NoFracture|NO_FRACTURE|no fractures|not_fractured|NotFractured|non_fractured|non-fracture
    unfractured|without_fracture|withoutFracture|no_fx|nofx|not broken
    keine Fraktur|keine_Frakturen|keineFraktur|ohne_Fraktur|ohne Fraktur|Ohne-Fraktur|nicht_frakturiert
    unfrakturiert|nicht gebrochen|ungebrochen
"""
SOUND = "normal|healthy|gesund|intakt|negative|no|nein|none|0"
FRACTURES = "fracture|Fractured|FRACTURES|Fraktur|frakturiert|gebrochen|broken|fx|positive|study1_positive"


def names(text: str) -> list[str]:
    return [name.strip() for line in text.strip().splitlines() for name in line.split("|")]


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("FRACTURE_CACHE_DIR", str(tmp_path / "cache"))


@pytest.mark.parametrize("name", [*names(DENIED), *names(SOUND)])
def test_what_denies_a_fracture_is_none_in_any_format(name):
    assert class_label(name) == 0
    assert fracture_classes(["fracture", name], "data.yaml") == {"fracture"}


@pytest.mark.parametrize("name", names(FRACTURES))
def test_what_is_a_fracture_is_one_in_any_format(name):
    assert class_label(name) == 1
    assert fracture_classes([name, "no_fracture"], "data.yaml") == {name}


@pytest.mark.parametrize(
    "name", names("wrist_no_fracture|wristNotFractured|no visible fracture|fracture_free|elbow_negative|normal_bone")
)
def test_words_round_a_denial_do_not_make_it_a_fracture(name):
    assert fracture_classes(["fracture", name], "data.yaml") == {"fracture"}


@pytest.mark.parametrize(
    "name", names("Wrist-Fracture|wristFracture|elbow positive|hand_fx|non-displaced fracture|nondisplaced_fracture")
)
def test_words_round_a_fracture_leave_it_one(name):
    assert fracture_classes([name, "metal"], "data.yaml") == {name}


def test_classes_that_all_deny_are_refused():
    with pytest.raises(DatasetError, match=r"None of the classes 'no_fracture', 'keine Fraktur' in data\.yaml"):
        fracture_classes(["no_fracture", "keine Fraktur"], "data.yaml")


@pytest.mark.parametrize("sound", ["no_fracture", "NoFracture", "keine Fraktur", "ohne_Fraktur"])
@pytest.mark.parametrize("form", ["folders", "csv", "coco", "yolo"])
def test_every_format_counts_the_same_fractures(tmp_path, form, sound):
    kinds, fractured = ("fracture", sound), N // 2
    for number in range(N):
        folder = kinds[number % 2] if form == "folders" else "images"
        save(tmp_path / folder / f"{number}.png", number)
        if form == "yolo":
            write(tmp_path / "labels" / f"{number}.txt", f"{number % 2} 0.5 0.5 0.2 0.2")
    if form == "yolo":
        write(tmp_path / "data.yaml", json.dumps({"names": kinds}))
    if form == "csv":
        rows = [f"images/{n}.png,{kinds[n % 2]}" for n in range(N)]
        write(tmp_path / "list.csv", "\n".join(["image,label", *rows]))
    if form == "coco":
        made = {
            "images": [{"id": n, "file_name": f"{n}.png"} for n in range(N)],
            "annotations": [{"id": n, "image_id": n, "category_id": n % 2, "bbox": [4, 5, 9, 9]} for n in range(N)],
            "categories": [{"id": number, "name": name} for number, name in enumerate(kinds)],
        }
        write(tmp_path / "annotations.json", json.dumps(made))
    assert opened(tmp_path).table["label"].sum() == fractured


def test_a_part_of_coco_may_have_no_fracture(tmp_path):
    for part, numbers in (("train", range(N)), ("test", range(N, N + 6))):
        for number in numbers:
            save(tmp_path / part / f"{number}.png", number)
        kinds = {n: 1 if part == "test" else n % 2 for n in numbers}
        made = {
            "images": [{"id": n, "file_name": f"{n}.png"} for n in numbers],
            "annotations": [{"id": n, "image_id": n, "category_id": kinds[n], "bbox": [4, 5, 9, 9]} for n in numbers],
            "categories": [{"id": 0, "name": "fracture"}, {"id": 1, "name": "no_fracture"}],
        }
        write(tmp_path / part / "_annotations.coco.json", json.dumps(made))
    table = opened(tmp_path).table
    assert table.groupby("split")["label"].sum().to_dict() == {"train": N // 2, "test": 0}

"""Which folders of a tree name the classes, and which the parts, the patients and the folds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.test_user_index import opened, refusal, save


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("FRACTURE_CACHE_DIR", str(tmp_path / "cache"))


def tree(root: Path, *folders: str, n: int = 6) -> Path:
    for seed, folder in enumerate(folders):
        for number in range(n):
            save(root / folder / f"{number}.png", 100 * seed + number)
    return root


@pytest.mark.parametrize("folds", [("0", "1"), ("1",), ("0",), ("0", "1", "2")])
@pytest.mark.parametrize("pattern", ["{fold}/{kind}", "{kind}/{fold}"])
def test_folds_are_no_classes_where_words_name_these(tmp_path, folds, pattern):
    kinds = ("fractured", "normal")
    data = opened(tree(tmp_path, *(pattern.format(fold=fold, kind=kind) for fold in folds for kind in kinds), n=12))
    assert all(label == ("fractured" in Path(i).parts) for i, label in data.table["label"].items())


def test_folds_are_no_classes_where_one_of_the_words_is_not_known(tmp_path):
    root = tree(tmp_path, *(f"{fold}/{kind}" for fold in (0, 1) for kind in ("fractured", "normal", "unsure")))
    assert "'unsure' in the folders of" in refusal(root)


def test_numbers_alone_are_classes(tmp_path):
    assert opened(tree(tmp_path, "0", "1", n=12)).table["label"].sum() == 12


@pytest.mark.parametrize("inner", [("0", "1"), ("fractured", "normal")])
def test_two_levels_that_contradict_each_other_are_refused(tmp_path, inner):
    outer = ("0", "1") if inner[0] == "0" else ("positive", "negative")
    said = refusal(tree(tmp_path, *(f"{a}/{b}" for a in outer for b in inner)))
    assert said.startswith(f"Which folders of {tmp_path.name} are the classes? ") and " and in " in said


def test_two_levels_that_agree_are_no_question(tmp_path):
    assert opened(tree(tmp_path, "positive/fractured", "negative/normal", n=12)).table["label"].sum() == 12


@pytest.mark.parametrize("name", ["patients", "Patienten", "patients_2020", "Patientendaten", "patient_data"])
def test_a_folder_of_all_patients_is_no_patient(tmp_path, name):
    root = tree(tmp_path, f"{name}/fractured", f"{name}/normal", n=12)
    assert set(opened(root).table["patient"]) == {""}


@pytest.mark.parametrize("name", ["patient{}", "Patient_{}", "patient {}", "patientA{}"])
def test_patients_in_a_folder_of_patients_are_told_apart(tmp_path, name):
    kinds = ("fractured", "normal")
    root = tree(tmp_path, *(f"Patienten/{name.format(k)}/{kinds[k % 2]}" for k in range(20)), n=1)
    assert opened(root).table["patient"].nunique() == 20

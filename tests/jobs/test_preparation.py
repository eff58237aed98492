"""What is settled before a run's process starts: names, folders, and which runs can go on."""

from __future__ import annotations

from pathlib import Path

from fracture_core.bundle.manifest import check_name
from fracture_core.jobs.preparation import free_name, is_free_name


def taken(models: Path, *names: str) -> None:
    for name in names:
        (models / name).mkdir(parents=True)
        (models / name / "bundle.json").write_text("{}")


def test_a_long_name_that_is_taken_gets_its_number_within_what_a_name_may_have(tmp_path):
    stem = "m" * 100
    taken(tmp_path, stem, *(f"{'m' * 98}-{number}" for number in range(2, 10)))
    name = free_name(stem, tmp_path)
    assert check_name(name) == f"{'m' * 97}-10"
    assert is_free_name(name, stem) and not is_free_name(f"{'m' * 96}-10", stem)


def test_the_names_that_a_taken_one_gives_way_to_are_known(tmp_path):
    taken(tmp_path, "tiny")
    assert free_name("tiny", tmp_path) == "tiny-2" and free_name("other", tmp_path) == "other"
    assert is_free_name("tiny", "tiny") and is_free_name("tiny-2", "tiny")
    assert not any(is_free_name(name, "tiny") for name in ("tiny-x", "tiny-02", "tinier", "efficientnet-2"))

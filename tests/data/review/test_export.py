"""What a review set exports is read back by the loader of users' own radiographs, and by plain COCO and YOLO rules."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from shutil import copyfile

import numpy as np
import pandas as pd
import pytest

from fracture_core.data.review.export import EXPORTS, export_review, label_table, readers_agreement, reviewed_films
from fracture_core.data.review.review_set import ReviewSet
from fracture_core.data.review.verdict import ReviewError
from fracture_core.data.user_dataset import OwnDataset

BOX = (4.0, 6.0, 10.0, 12.0)


@pytest.fixture
def review(tmp_path) -> ReviewSet:
    """Twelve fractured and twelve sound films, one on which two readers differ, one that nobody can tell."""
    rng, made = np.random.default_rng(0), ReviewSet(tmp_path / "review")
    for k in range(24):
        film = rng.integers(0, 256, (80, 64), np.uint8)
        verdict = "fracture" if k % 2 else "no fracture"
        model = {"triage": "fracture likely" if k % 3 else "fracture unlikely"}
        boxes = [BOX] if k % 2 else []
        made.add(film, verdict, reader="a", boxes=boxes, patient=f"P{k // 2}", model=model)
        if k < 8:
            made.add(film, verdict if k else "fracture", reader="b")
    made.add(np.zeros((80, 64), np.uint8), "cannot tell", reader="a")
    return made


def test_a_film_has_a_label_if_its_readers_agree(review):
    films = reviewed_films(review.verdicts())
    assert len(films) == 25 and [f.disagreement for f in films].count(True) == 1
    assert films[0].disagreement and films[0].label is None and films[-1].label is None
    assert [f.label for f in films[1:24]] == [k % 2 for k in range(1, 24)]
    assert films[1].model_disagrees is False and films[2].model_disagrees is True and films[3].model_disagrees is True
    assert films[1].boxes == (BOX,)
    assert readers_agreement(films)["a", "b"].agreed == 7


def test_a_reader_may_change_their_mind(review):
    film = np.full((30, 30), 7, np.uint8)
    review.add(film, "fracture", reader="a")
    review.add(film, "no fracture", reader="a")
    last = reviewed_films(review.verdicts())[-1]
    assert last.label == 0 and not last.disagreement and last.verdicts == 2


@pytest.mark.parametrize("kind", list(EXPORTS))
def test_a_film_that_is_gone_is_left_out(review, tmp_path, kind):
    gone = reviewed_films(review.verdicts())[1].image
    review.path(gone).unlink()
    exported = export_review(review, tmp_path / "out", kind)
    assert exported.films == 22
    assert exported.left_out == (f"1 film was left out: no longer in {review.folder / 'images'}.",)
    assert not [path for path in (tmp_path / "out").rglob("*") if gone in path.name]


@pytest.mark.parametrize("kind", list(EXPORTS))
def test_an_export_that_fails_leaves_nothing_behind(review, tmp_path, kind, monkeypatch):
    copied = []

    def full(source, target):
        copied.append(target)
        if len(copied) == 5:
            raise OSError(28, "No space left on device")
        return copyfile(source, target)

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(ReviewError, match="No space left"):
        export_review(review, tmp_path / "out", kind)
    assert len(copied) == 5 and list((tmp_path / "out").iterdir()) == []
    monkeypatch.undo()
    assert export_review(review, tmp_path / "out", kind).films == 23


def test_a_comment_is_no_formula(review, tmp_path):
    review.add(np.full((30, 30), 7, np.uint8), "fracture", reader="a", comment='=HYPERLINK("http://x","y")')
    export_review(review, tmp_path / "out", "csv")
    comments = pd.read_csv(tmp_path / "out" / "labels.csv", keep_default_na=False)["comment"].tolist()
    assert comments[-1] == '\'=HYPERLINK("http://x","y")' and set(comments[:-1]) == {""}


@pytest.mark.parametrize("kind", ["csv", "folders"])
def test_the_loader_reads_what_was_exported(review, tmp_path, kind):
    assert export_review(review, tmp_path / "out", kind).films == 23
    dataset = OwnDataset(tmp_path / "out")
    assert len(dataset) == 23 and int(dataset.table["label"].sum()) == 12
    if kind == "csv":
        fractured = dataset.table.index[dataset.table["label"] == 1][0]
        assert dataset.boxes(fractured).tolist() == [list(BOX)]
        assert dataset.table["patient"].nunique() == 12
    labels = label_table(review)["label"]
    assert {path.split("/")[-1]: label for path, label in labels.items()} == {
        name.split("/")[-1]: int(label) for name, label in dataset.table["label"].items()
    }


def test_the_loader_reads_the_review_folder_as_it_is(review):
    dataset = OwnDataset(review.folder)
    assert len(dataset) == 23 and int(dataset.table["label"].sum()) == 12 and dataset.table["patient"].nunique() == 12
    fractured = dataset.table.index[dataset.table["label"] == 1][0]
    assert dataset.boxes(fractured).tolist() == [list(BOX)]
    assert "2 reviewed films have no agreed label" in dataset.summary_text()
    review.delete(fractured.split("/")[-1].removesuffix(".png"))
    assert len(OwnDataset(review.folder)) == 22


def test_a_look_at_the_review_folder_leaves_nothing_in_the_cache(review, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    monkeypatch.setenv("FRACTURE_CACHE_DIR", str(cache))
    looked: list[tuple[int, int]] = []
    first = OwnDataset(review.folder, progress=lambda done, of: looked.append((done, of)))
    assert looked == [(23, 23)] and not list(cache.rglob("*"))
    again = OwnDataset(review.folder, progress=lambda done, of: looked.append((done, of)))
    assert len(looked) == 1 and again.table.equals(first.table)  # but the same process need not look again
    review.add(np.full((80, 64), 3, np.uint8), "fracture", reader="a")
    assert len(OwnDataset(review.folder, progress=lambda done, of: looked.append((done, of)))) == 24
    assert looked[1:] == [(24, 24)] and not list(cache.rglob("*"))
    export_review(review, tmp_path / "out", "folders")
    OwnDataset(tmp_path / "out")
    assert [path.parent.name for path in cache.rglob("*.json")] == ["own-data"]  # any other folder's is kept there


def test_coco_and_yolo_hold_the_boxes(review, tmp_path):
    export_review(review, tmp_path / "coco", "coco")
    coco = json.loads((tmp_path / "coco" / "annotations.json").read_text())
    assert len(coco["images"]) == 23 and len(coco["annotations"]) == 12
    names = {image["id"]: image["file_name"] for image in coco["images"]}
    export_review(review, tmp_path / "yolo", "yolo")
    for annotation in coco["annotations"]:
        assert annotation["bbox"] == list(BOX) and annotation["area"] == 120
        stem = names[annotation["image_id"]].removesuffix(".png")
        kind, *numbers = (tmp_path / "yolo" / "labels" / f"{stem}.txt").read_text().split()
        assert kind == "0"
        assert np.allclose(np.array(numbers, float) * [64, 80, 64, 80], [9, 12, 10, 12], atol=1e-3)


@pytest.mark.parametrize("kind", list(EXPORTS))
def test_a_fracture_that_nobody_outlined_never_comes_back_as_none(review, tmp_path, kind):
    for grey in range(3):
        review.add(np.full((30, 30), grey, np.uint8), "fracture", reader="a")
    exported = export_review(review, tmp_path / "out", kind)
    dataset = OwnDataset(tmp_path / "out")
    truth = {Path(path).name: label for path, label in label_table(review)["label"].items()}
    assert all(truth[Path(name).name] == label for name, label in dataset.table["label"].items())
    fractured = 12 if kind == "yolo" else 15
    assert len(dataset) == exported.films == 11 + fractured and dataset.table["label"].sum() == fractured
    sentence = "3 films were left out: fractured without a box, which YOLO cannot say."
    assert exported.left_out == ((sentence,) if kind == "yolo" else ())


def test_yolo_without_any_box_is_refused(tmp_path):
    review = ReviewSet(tmp_path / "review")
    review.add(np.zeros((30, 30), np.uint8), "fracture", reader="a")
    with pytest.raises(ReviewError, match="No fracture has a box, without which YOLO cannot say it"):
        export_review(review, tmp_path / "out", "yolo")
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_exported_is_said(review, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("")
    with pytest.raises(ReviewError, match="not empty"):
        export_review(review, tmp_path / "full", "csv")
    with pytest.raises(ReviewError, match=", ".join(EXPORTS)):
        export_review(review, tmp_path / "out", "dicom")
    with pytest.raises(ReviewError, match="No film"):
        export_review(ReviewSet(tmp_path / "empty"), tmp_path / "out", "csv")

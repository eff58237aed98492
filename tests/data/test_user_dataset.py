"""A user's own radiographs: what a folder or a csv may look like, and the sentence where it cannot be used."""

from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from fracture_core.data.audit import audit
from fracture_core.data.augmentation import UNKNOWN, augment, cell_targets
from fracture_core.data.dataset import open_dataset
from fracture_core.data.fracatlas import DatasetError, FracAtlas
from fracture_core.data.split import SplitError, own_split
from fracture_core.data.user_dataset import OwnDataset
from fracture_core.data.user_index import last_change
from fracture_core.evaluation.evaluate import evaluate, format_evaluation
from fracture_core.recipe import Augmentation
from fracture_core.training.packaging import package
from fracture_core.training.run_folder import RunFolder
from fracture_core.training.train import split_for, train
from tests.support.miniature import picture
from tests.support.small import small_dataset
from tests.support.training import SMALL, tiny_network


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("FRACTURE_CACHE_DIR", str(tmp_path / "cache"))


def save(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture(seed, 64, 48))
    return path


def folders(root: Path, fractured: str = "fractured", whole: str = "normal", n: int = 12) -> Path:
    for number in range(n):
        save(root / fractured / f"a{number}.png", number)
        save(root / whole / f"b{number}.png", 100 + number)
    return root


def listed(root: Path, lines: list[str], header: str = "image,label", name: str = "list.csv") -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / name).write_text("\n".join([header, *lines]) + "\n")
    return root / name


def images(root: Path, n: int = 40) -> list[Path]:
    return [save(root / "pictures" / f"{number}.png", number) for number in range(n)]


@pytest.mark.parametrize(
    ("fractured", "whole"),
    [("Fracture", "Non-Fractured"), ("positive", "negative"), ("1", "0"), ("fractured", "not fractured")],
)
def test_a_folder_a_class(tmp_path, fractured: str, whole: str) -> None:
    data = open_dataset(folders(tmp_path / "own", fractured, whole))
    assert isinstance(data, OwnDataset) and len(data) == 24
    for image_id, row in data.table.iterrows():
        assert row["label"] == row["csv_label"] == (Path(image_id).parent.name == fractured)
        assert data.path(image_id) == tmp_path / "own" / image_id
        assert data.boxes(image_id).shape == (0, 4) and data.outlined(image_id) == (row["label"] == 0)
    with pytest.raises(DatasetError, match="is not in own"):
        data.path("../secret.png")


def test_folders_that_are_divided_already(tmp_path) -> None:
    for part in ("train", "valid", "test"):
        folders(tmp_path / "own" / part, n=4 if part == "valid" else 8)
    data = open_dataset(tmp_path / "own")
    assert data.table["split"].value_counts().to_dict() == {"train": 16, "val": 8, "test": 16}
    split = own_split(data, None)
    assert all(Path(i).parts[0] == "valid" for i in split.val) and len(split.val) == 8


def test_fracatlas_is_known_for_what_it_is(tmp_path) -> None:
    made = small_dataset(tmp_path / "data", 20)
    assert isinstance(open_dataset(made.root), FracAtlas)
    (made.root / "Annotations" / "COCO JSON" / "COCO_fracture_masks.json").unlink()
    with pytest.raises(DatasetError, match="COCO"):
        open_dataset(made.root)


def test_a_csv_with_everything(tmp_path) -> None:
    root = tmp_path / "own"
    paths = images(root)
    rows = []
    for number, path in enumerate(paths):
        boxes = json.dumps([[1, 2, 3, 4]]).replace(",", ", ") if number % 2 else ""
        rows.append(f'{path.relative_to(root)};{"yes" if number % 2 else "no"};P{number // 4};"{boxes}";1')
    rows.append(f'{paths[1].relative_to(root)};yes;P0;"[5, 6, 7, 8]";1')
    data = open_dataset(listed(root, rows, "Path;Fractured;patient_id;boxes;hand"))
    assert len(data) == 40 and data.table["label"].sum() == 20 and set(data.table["hand"]) == {1}
    assert data.boxes("pictures/1.png").tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]
    assert data.outlined("pictures/1.png") and data.table.at["pictures/1.png", "fracture_count"] == 2
    assert open_dataset(root).table.equals(data.table), "the folder's only csv is meant"


@pytest.mark.parametrize(
    ("lines", "header", "words"),
    [
        (["a.png,1"], "picture,label", "no column image"),
        (["a.png"], "image", "one column only"),
        ([], "image,label", "lists no images"),
        (["a.png,left", "b.png,right"], "image,label", "Which of 'left', 'right' means fractured"),
        (["../../etc/passwd,1", "a.png,0"], "image,label", "Row 2 of list.csv names no file below"),
        (["/etc/passwd,1", "a.png,0"], "image,label", "Row 2 of list.csv names no file below"),
        (["a.png,1,later", "b.png,0,train"], "image,label,split", "Row 2 of list.csv has the split 'later'"),
        (['a.png,1,"{""x"":1}"', "b.png,0,"], "image,label,boxes", "Row 2 of list.csv has no readable boxes"),
        (['a.png,1,"[1,2]"', "b.png,0,"], "image,label,boxes", "Row 2 of list.csv has no readable boxes"),
        (['a.png,1,"[[1,2,3,-4]]"', "b.png,0,"], "image,label,boxes", "Row 2 of list.csv has no readable boxes"),
        (["a.png,1", "b.png,0", "a.png,0"], "image,label", "lists a.png more than once, with a different label"),
    ],
)
def test_a_csv_that_makes_no_sense_is_a_sentence(tmp_path, lines: list[str], header: str, words: str) -> None:
    with pytest.raises(DatasetError, match=words):
        open_dataset(listed(tmp_path, lines, header))


def test_wrong_folders_are_sentences(tmp_path) -> None:
    def said(path: Path) -> str:
        with pytest.raises(DatasetError) as caught:
            open_dataset(path)
        return str(caught.value)

    assert "There is no folder" in said(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert "has no folders of images: put the images into two folders" in said(tmp_path / "empty")
    assert "Which of 'left', 'right' means fractured?" in said(folders(tmp_path / "sides", "left", "right"))
    assert "neither a folder nor a csv" in said(save(tmp_path / "lone.png", 1))
    for name in ("one.csv", "two.csv"):
        listed(tmp_path / "both", ["a.png,1"], name=name)
    assert "2 csv files that list images (one.csv, two.csv)" in said(tmp_path / "both")
    assert "2 fractured and 1 normal images: training needs at least 10 of each" in said(_three(tmp_path / "three"))
    for number in range(12):
        save(tmp_path / "one" / "fractured" / f"{number}.png", number)
    assert "All 12 images of one are fractured: training needs both classes." in said(tmp_path / "one")


def _three(root: Path) -> Path:
    save(root / "fractured" / "1.png", 1), save(root / "fractured" / "2.png", 2), save(root / "normal" / "3.png", 3)
    return root


def test_unreadable_images_are_counted_and_left_out(tmp_path) -> None:
    root = folders(tmp_path / "own", n=24)
    (root / "normal" / "letter.png").write_text("Dear doctor")
    (root / "normal" / "Thumbs.db").write_bytes(b"\0")  # passes for no image, and is no news
    (root / "fractured" / "outside.png").symlink_to(save(tmp_path / "elsewhere.png", 7))
    data = open_dataset(root)
    assert len(data) == 48 and set(data.unreadable) == {"normal/letter.png", "fractured/outside.png"}
    assert "outside the folder" in data.unreadable["fractured/outside.png"]
    assert data.summary_text() == (
        "own: 48 radiographs, 24 fractured and 24 not. 2 files cannot be read and were left out."
    )
    assert [line.split(":")[0] for line in data.conflicts] == list(data.unreadable)


def test_too_many_unreadable_images_are_refused(tmp_path) -> None:
    root = folders(tmp_path / "own", n=24)
    for number in range(6):
        (root / "normal" / f"letter{number}.png").write_text("Dear doctor")
    with pytest.raises(
        DatasetError, match=r"6 of 54 images cannot be read.* The first is normal/letter0.png: This file is"
    ):
        open_dataset(root)


def test_a_second_look_reads_nothing_until_a_file_changes(tmp_path, monkeypatch) -> None:
    import fracture_core.data.user_dataset as module

    root, read = folders(tmp_path / "own", n=20), []
    real = module.read_radiograph
    monkeypatch.setattr(module, "read_radiograph", lambda path, **k: read.append(path) or real(path, **k))
    heard = []
    open_dataset(root, progress=lambda done, total: heard.append((done, total)))
    assert len(read) == 40 and heard[-1] == (40, 40)
    open_dataset(root)
    assert len(read) == 40
    (root / "normal" / "b0.png").write_text("Dear doctor")
    assert list(open_dataset(root).unreadable) == ["normal/b0.png"]


def test_a_file_that_could_not_be_opened_is_looked_at_again(tmp_path, monkeypatch) -> None:
    """A disk that comes back, or permissions that are given, change neither size nor time of a file."""
    root, real, away = folders(tmp_path / "own", n=20), Path.open, {"b0.png"}

    def opened(path: Path, *arguments, **named):
        if path.name in away:
            raise PermissionError(13, "Permission denied")
        return real(path, *arguments, **named)

    monkeypatch.setattr(Path, "open", opened)
    (root / "normal" / "b1.png").write_text("Dear doctor")
    assert list(open_dataset(root).unreadable) == ["normal/b0.png", "normal/b1.png"]
    away.clear()
    heard = []
    data = open_dataset(root, progress=lambda done, total: heard.append((done, total)))
    assert list(data.unreadable) == ["normal/b1.png"] and heard == [(1, 1)]
    open_dataset(root, progress=lambda done, total: heard.append((done, total)))
    assert heard == [(1, 1)] and list(data.table.index) == sorted(data.table.index)


def by_patient(root: Path, splits: tuple[str, ...] = ()) -> OwnDataset:
    """Forty patients with three images each; where `splits` are given, patients take turns."""
    lines = []
    for number, path in enumerate(images(root, 120)):
        patient = number // 3
        part = f",{splits[patient % len(splits)]}" if splits else ""
        lines.append(f"{path.relative_to(root)},{patient % 2},{patient}{part}")
    return open_dataset(listed(root, lines, "image,label,patient" + (",split" if splits else "")))


def test_one_patients_images_stay_in_one_part(tmp_path) -> None:
    data = by_patient(tmp_path)
    split = split_for(SMALL, data)
    for _, same in data.table.groupby("patient"):
        assert len({split.part_of(i) for i in same.index}) == 1
    assert set(split.train) | set(split.val) | set(split.test) == set(data.table.index)
    assert (len(split.train), len(split.val), len(split.test)) == (84, 12, 24)
    for part in (split.train, split.val, split.test):
        assert 0.3 < data.table.loc[list(part), "label"].mean() < 0.7
    assert split_for(SMALL, data).digest == split.digest


def test_a_given_split_is_kept_and_val_is_taken_from_train_by_patient(tmp_path) -> None:
    data = by_patient(tmp_path, ("train", "train", "train", "test", "test"))
    split = split_for(SMALL, data)
    given = data.table["split"]
    assert set(split.test) == set(given.index[given == "test"])
    assert set(split.train) | set(split.val) == set(given.index[given == "train"]) and len(split.val) >= 6
    assert not set(data.table.loc[list(split.train), "patient"]) & set(data.table.loc[list(split.val), "patient"])


def test_a_patient_in_two_parts_is_refused(tmp_path) -> None:
    with pytest.raises(DatasetError, match="is in train and test: one patient's images must stay in one part"):
        lines = [
            f"{p.relative_to(tmp_path)},{n % 2},A,{'train' if n < 30 else 'test'}"
            for n, p in enumerate(images(tmp_path))
        ]
        open_dataset(listed(tmp_path, lines, "image,label,patient,split"))


def test_too_few_patients_are_refused(tmp_path) -> None:
    def divide(patients: int) -> None:
        lines = [f"{p.relative_to(tmp_path)},{n % 2},{n % patients}" for n, p in enumerate(images(tmp_path))]
        split_for(SMALL, open_dataset(listed(tmp_path, lines, "image,label,patient")))

    with pytest.raises(SplitError, match="at least 10 patients"):
        divide(2)
    with pytest.raises(SplitError, match="would all be of one class"):
        divide(12)


@pytest.mark.slow
def test_one_picture_stays_on_one_side_whatever_its_format(tmp_path) -> None:
    """Copies as PNG, 16 bit PNG and JPEG at another size: found, and never on two sides of the split."""
    root = tmp_path / "own"
    for number in range(20):
        base = picture(number, 256, 200)
        home = root / ("fractured" if number % 2 else "normal")
        home.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(home / f"{number}.png"), base)
        cv2.imwrite(str(home / f"{number}-deep.png"), base.astype(np.uint16) * 257)
        cv2.imwrite(str(home / f"{number}-small.jpg"), cv2.resize(base, (160, 205), interpolation=cv2.INTER_AREA))
    data = open_dataset(root)
    found = audit(data)
    names = [{Path(i).stem.partition("-")[0] for i in group} for group in found.duplicate_groups]
    assert len(names) == 20 and all(len(group) == 3 for group in found.duplicate_groups)
    assert all(len(name) == 1 for name in names)
    split = split_for(SMALL.replace(leak_free=True), data, found)
    for group in found.duplicate_groups:
        assert len({split.part_of(i) for i in group}) == 1
    assert not split.left_out


def test_unknown_boxes_stay_unknown_whatever_happens_to_the_picture() -> None:
    changes = Augmentation(rotation=20, shift=0.1, zoom=0.2, horizontal_flip=True)
    for seed in range(5):
        _, boxes = augment(picture(seed, 64, 64), UNKNOWN, 32, changes, np.random.default_rng(seed))
        assert np.isnan(cell_targets(boxes, 32, 8)).all()
    assert not cell_targets(np.zeros((0, 4), np.float32), 32, 8).any()


@pytest.mark.slow
def test_a_network_is_trained_on_a_folder_a_class(tmp_path) -> None:
    """Nothing is outlined, so the cells' loss counts the healthy images alone and stays a number."""
    data = open_dataset(folders(tmp_path / "own", n=30))
    with tiny_network(tmp_path):
        run = train(SMALL.replace(epochs=2, leak_free=True, fast_path=True), data, run=tmp_path / "run")
    history = RunFolder(run).history()
    assert len(history) == 2 and all(np.isfinite(list(row.values())).all() for row in history)
    assert RunFolder(run).record()["dataset"] == "own"
    bundle = package(run, "own", data, root=tmp_path / "models")
    said = format_evaluation(evaluate(bundle))
    assert "on test: " in said and "FracAtlas" not in bundle.card + said and "reference study" not in bundle.card + said
    assert set(bundle.predictions()["image_id"]) == {*RunFolder(run).split().val, *RunFolder(run).split().test}
    assert all(i.startswith(("fractured/", "normal/")) for i in RunFolder(run).split().train)


def test_images_that_come_or_go_at_any_depth_are_noticed(tmp_path):
    deep = tmp_path / "fractured" / "patient 7"
    deep.mkdir(parents=True)
    table = tmp_path / "images.csv"
    table.write_text("image,label\n")
    for changed in (deep, table):
        for path in (table, deep, deep.parent, tmp_path):
            os.utime(path, (100, 100))
        assert last_change(tmp_path) == 100
        os.utime(changed, (200, 200))
        assert last_change(tmp_path) == 200
    assert last_change(table) == 200
    assert last_change(tmp_path / "not there") == 0

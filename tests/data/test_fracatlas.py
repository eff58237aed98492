from __future__ import annotations

import csv
import json
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from fracture_core.data.fracatlas import DatasetError, FracAtlas, find_fracatlas
from fracture_core.imaging.exif import turn_points
from tests.support.miniature import Entry, build

BOX = (10.0, 20.0, 30.0, 12.0)


@pytest.fixture(scope="module")
def dataset(fracatlas_dir):
    return FracAtlas(fracatlas_dir)


def test_index_keeps_the_csvs_order_and_words(dataset, fracatlas_dir):
    with (fracatlas_dir / "dataset.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(dataset.table.index) == [row["image_id"].removesuffix(".jpg") for row in rows]
    assert dataset.table["csv_label"].tolist() == [int(row["fractured"]) for row in rows]
    for column in ("hand", "leg", "hip", "shoulder", "mixed", "hardware", "multiscan", "fracture_count"):
        assert dataset.table[column].tolist() == [int(row[column]) for row in rows]
    assert all((fracatlas_dir / path).is_file() for path in dataset.table["path"])


def test_every_outlined_image_is_fractured(dataset, fracatlas_dir):
    coco = json.loads(next((fracatlas_dir / "Annotations" / "COCO JSON").glob("*.json")).read_text())
    outlined = {image["file_name"].removesuffix(".jpg") for image in coco["images"]}
    assert set(dataset.table.index[dataset.table["label"] == 1]) >= outlined
    assert int(dataset.table["label"].sum()) in (717, 719)
    assert dataset.table["label"].dtype == np.int8


def test_a_known_disagreement_is_told_and_decided(dataset):
    row = dataset.table.loc["IMG0003298"]
    if row["csv_label"] == 1:
        pytest.skip("this release of FracAtlas has corrected IMG0003298")
    assert row["label"] == 1
    assert "outlines decide" in row["conflict"]
    assert any(words.startswith("IMG0003298") for words in dataset.conflicts)


def test_boxes_agree_with_the_pascal_voc_files_and_lie_inside(dataset, fracatlas_dir):
    """An independent reading: the VOC files hold the same boxes as corners, rounded."""
    for image_id in dataset.table.index[dataset.table["label"] == 1][::12]:
        tree = ElementTree.parse(fracatlas_dir / "Annotations" / "PASCAL VOC" / f"{image_id}.xml")
        corners = [
            [float(box.findtext(side)) for side in ("xmin", "ymin", "xmax", "ymax")] for box in tree.iter("bndbox")
        ]
        boxes = dataset.boxes(image_id)
        ours = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
        np.testing.assert_allclose(sorted(ours.tolist()), sorted(corners), atol=2.5)
        with Image.open(dataset.path(image_id)) as image:
            width, height = ImageOps.exif_transpose(image).size
        assert (ours >= 0).all() and (ours <= [width, height, width, height]).all()


def test_polygons_fill_their_boxes(dataset):
    for image_id in dataset.table.index[dataset.table["label"] == 1][::25]:
        outlines = dataset.polygons(image_id)
        spans = [[*points.min(axis=0), *np.ptp(points, axis=0)] for points in outlines]
        np.testing.assert_allclose(spans, dataset.boxes(image_id), atol=1)


def test_nothing_is_outlined_on_a_clean_radiograph(dataset):
    clean = dataset.table.index[dataset.table["label"] == 0][0]
    assert dataset.boxes(clean).shape == (0, 4) and dataset.boxes(clean).dtype == np.float32
    assert dataset.polygons(clean) == []


def test_the_newest_release_with_two_ids_in_both_folders(tmp_path):
    """There IMG0003375 and IMG0003376 lie in both folders and count as fractured: 719 positives, not 717."""
    both = ("Fractured", "Non_fractured")
    entries = [
        Entry("IMG0003374"),
        Entry("IMG0003375", both, fractured=1, boxes=(BOX,)),
        Entry("IMG0003376", both, fractured=1, count=1),
        Entry("IMG0003377", both, fractured=0),
        Entry("IMG0003378", ("Fractured",), fractured=1, boxes=(BOX, BOX)),
    ]
    dataset = FracAtlas(build(tmp_path, entries))
    assert dataset.table["label"].tolist() == [0, 1, 1, 0, 1]
    assert dataset.path("IMG0003375").parent.name == "Fractured"
    assert dataset.path("IMG0003376").parent.name == "Fractured"
    assert dataset.path("IMG0003377").parent.name == "Non_fractured"
    told = dataset.table["conflict"]
    assert "Fractured and Non_fractured" in told["IMG0003375"] and "outlines decide" in told["IMG0003375"]
    assert "dataset.csv decides: fractured" in told["IMG0003376"]
    assert "dataset.csv decides: not fractured" in told["IMG0003377"]
    assert told["IMG0003374"] == told["IMG0003378"] == ""
    assert len(dataset.conflicts) == 3


@pytest.mark.parametrize(
    ("entry", "label", "words"),
    [
        (Entry("A", ("Fractured",), 0, boxes=(BOX,)), 1, "outlines decide"),
        (Entry("A", ("Non_fractured",), 0, boxes=(BOX,)), 1, "outlines decide"),
        (Entry("A", ("Fractured",), 0), 1, "folder decides: fractured"),
        (Entry("A", ("Non_fractured",), 1), 0, "folder decides: not fractured"),
        (Entry("A", ("Fractured",), 1, count=2, boxes=(BOX,)), 1, "counts 2 fractures, 1 are outlined"),
    ],
)
def test_who_decides_where_sources_disagree(tmp_path, entry, label, words):
    dataset = FracAtlas(build(tmp_path, [entry]))
    assert dataset.table.at["A", "label"] == label
    assert dataset.table.at["A", "csv_label"] == entry.fractured
    assert words in dataset.table.at["A", "conflict"]


@pytest.mark.parametrize("orientation", range(2, 9))
def test_boxes_drawn_on_unturned_pixels_are_turned(tmp_path, orientation):
    """The box frames a bright patch of the stored pixels; turned, it must frame it in the upright image."""
    pixels = np.full((120, 96), 20, np.uint8)
    x, y, w, h = map(int, BOX)
    pixels[y : y + h, x : x + w] = 230
    entry = Entry("A", ("Fractured",), 1, boxes=(BOX,), annotated_size=(96, 120), picture=pixels, exif=orientation)
    dataset = FracAtlas(build(tmp_path, [entry]))
    if orientation < 5:
        assert dataset.annotation_frame("A") == "undecided"
        np.testing.assert_allclose(dataset.boxes("A"), [BOX])
        return
    assert dataset.annotation_frame("A") == "stored"
    with Image.open(dataset.path("A")) as image:
        upright = np.asarray(ImageOps.exif_transpose(image).convert("L"))
    left, top, width, height = dataset.boxes("A")[0].astype(int)
    assert upright[top + 2 : top + height - 2, left + 2 : left + width - 2].min() > 180
    assert (upright > 128).sum() == pytest.approx(width * height, rel=0.1)
    (outline,) = dataset.polygons("A")
    np.testing.assert_allclose([*outline.min(axis=0), *np.ptp(outline, axis=0)], dataset.boxes("A")[0])


def test_boxes_drawn_upright_stay(tmp_path):
    entry = Entry("A", ("Fractured",), 1, boxes=(BOX,), annotated_size=(120, 96), exif=6)
    dataset = FracAtlas(build(tmp_path, [entry]))
    assert dataset.annotation_frame("A") == "upright"
    np.testing.assert_allclose(dataset.boxes("A"), [BOX])


@given(orientation=st.integers(1, 8), x=st.integers(0, 40), y=st.integers(0, 30))
def test_points_turn_as_pillow_turns_pixels(orientation, x, y):
    pixels = np.zeros((31, 41), np.uint8)
    pixels[y, x] = 255
    image = Image.fromarray(pixels)
    image.getexif()[0x0112] = orientation
    row, column = np.argwhere(np.asarray(ImageOps.exif_transpose(image)))[0]
    turned = turn_points(np.array([[x + 0.5, y + 0.5]]), orientation, (41, 31))
    np.testing.assert_allclose(turned, [[column + 0.5, row + 0.5]])


def test_a_file_without_a_row_is_left_out_and_told(tmp_path):
    dataset = FracAtlas(build(tmp_path, [Entry("A"), Entry("B", in_csv=False)]))
    assert list(dataset.table.index) == ["A"]
    assert dataset.conflicts == ["B: not in dataset.csv, so left out."]


def test_missing_images_are_named(tmp_path):
    build(tmp_path, [Entry("A"), Entry("B")])
    (tmp_path / "images" / "Non_fractured" / "B.jpg").unlink()
    with pytest.raises(DatasetError, match=r"lacks 1 of the 2 images .*B\.jpg"):
        FracAtlas(tmp_path)


@pytest.mark.parametrize("damage", ["no csv", "other csv", "no annotations", "broken annotations"])
def test_another_folder_is_refused_in_a_sentence(tmp_path, damage):
    build(tmp_path, [Entry("A")])
    annotations = tmp_path / "Annotations" / "COCO JSON" / "COCO_fracture_masks.json"
    if damage == "no csv":
        (tmp_path / "dataset.csv").unlink()
    elif damage == "other csv":
        (tmp_path / "dataset.csv").write_text("name,age\nAda,36\n")
    elif damage == "no annotations":
        annotations.unlink()
    else:
        annotations.write_text("{")
    with pytest.raises(DatasetError, match="FracAtlas"):
        FracAtlas(tmp_path)


def test_where_the_dataset_is_looked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("FRACATLAS_DIR", str(tmp_path))
    with pytest.raises(DatasetError, match="python -m fracture_core download"):
        find_fracatlas()
    build(tmp_path, [Entry("A")])
    assert find_fracatlas() == tmp_path
    assert FracAtlas().root == tmp_path


def test_an_unknown_id_is_refused(tmp_path):
    dataset = FracAtlas(build(tmp_path, [Entry("A")]))
    with pytest.raises(DatasetError, match="IMG9"):
        dataset.boxes("IMG9")
    with pytest.raises(DatasetError, match="IMG9"):
        dataset.path("IMG9")

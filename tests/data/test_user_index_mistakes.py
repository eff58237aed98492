"""What people get wrong in lists and annotations: read in the sense that is meant, or a sentence that names it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from fracture_core.data.dataset import open_dataset
from fracture_core.data.fracatlas import DatasetError
from fracture_core.data.user_dataset import OwnDataset
from tests.data.test_user_index import N, lines, opened, refusal, save, write


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("FRACTURE_CACHE_DIR", str(tmp_path / "cache"))


def listed(tmp_path: Path, header: str, rows: list[str]) -> Path:
    return write(tmp_path / "list.csv", "\n".join([header, *rows]))


def coco(tmp_path: Path, **changed: object) -> dict:
    """COCO annotations of N images, every other one with a box; `changed` in each annotation."""
    for number in range(N):
        save(tmp_path / "images" / f"{number}.png", number)
    made = {
        "images": [{"id": n, "file_name": f"{n}.png"} for n in range(N)],
        "annotations": [
            {"id": n, "image_id": n, "category_id": 1, "bbox": [4, 5, 10, 20]} | changed for n in range(1, N, 2)
        ],
        "categories": [{"id": 1, "name": "fracture"}],
    }
    write(tmp_path / "annotations" / "instances.json", json.dumps(made))
    return made


class TestCsv:
    @pytest.mark.parametrize("header", ["image,label,image", "image,label,label", "image,label,split,split"])
    def test_two_columns_of_one_name(self, tmp_path, header):
        name = header.rpartition(",")[2]
        rows = lines(tmp_path, extra=",train,train" if name == "split" else ",x")
        assert f"more than one column {name}" in refusal(listed(tmp_path, header, rows))

    @pytest.mark.parametrize(("in_list", "on_disk"), [("{}", "{:03d}"), ("{:03d}", "{}"), ("{}.0", "{:04d}")])
    def test_numbers_that_a_spreadsheet_took_the_zeros_from(self, tmp_path, in_list, on_disk):
        for number in range(N):
            save(tmp_path / f"{on_disk.format(number)}.png", number)
        data = opened(listed(tmp_path, "id,image,label", [f"x,{in_list.format(n)},{n % 2}" for n in range(N)]))
        assert len(data) == N and not data.unreadable
        assert data.table.loc[f"{on_disk.format(7)}.png", "label"] == 1

    def test_a_number_that_two_files_have_is_neither(self, tmp_path):
        rows = lines(tmp_path)
        for name in ("03.png", "0003.png"):
            save(tmp_path / name, 50)
        data = opened(listed(tmp_path, "image,label", [*rows, "3,1"]))
        assert list(data.unreadable) == ["3"]

    def test_patients_with_and_without_zeros_are_one(self, tmp_path):
        parts = ["train,3", "test,003", "val,3.0"]
        rows = [f"{row},{parts[n] if n < 3 else f'train,{n + 100}'}" for n, row in enumerate(lines(tmp_path))]
        assert "is in train and test and val" in refusal(listed(tmp_path, "image,label,split,patient", rows))

    @pytest.mark.parametrize(("yes", "no"), [("WAHR", "FALSCH"), ("VRAI", "FAUX"), ("Fx", "no fx"), ("1,0", "0,0")])
    def test_truth_in_the_words_of_a_spreadsheet(self, tmp_path, yes, no):
        rows = [f"{row};{yes if n % 2 else no}" for n, row in enumerate(lines(tmp_path, separator=";"))]
        data = opened(listed(tmp_path, "image;number;label", rows))
        assert data.table["label"].sum() == N // 2

    def test_a_quoted_heading_may_hold_separators_and_line_breaks(self, tmp_path):
        rows = [f"x,{row}" for row in lines(tmp_path)]
        assert len(opened(listed(tmp_path, '"a;b;c\nd;e;f;g",image,label', rows))) == N

    @pytest.mark.parametrize("later", ["", '"ok"', '"and ""this"""'])
    def test_a_quotation_mark_that_is_never_closed_swallows_no_rows(self, tmp_path, later):
        notes = {5: '"left wrist', 15: later}
        rows = [f"{row},{notes.get(n, '')}" for n, row in enumerate(lines(tmp_path))]
        said = refusal(listed(tmp_path, "image,label,note", rows))
        assert said.startswith("Row 7 of list.csv has a quotation mark too many or too few")

    def test_a_cell_that_never_ends_is_named(self, tmp_path):
        rows = lines(tmp_path)
        rows[5] += ',"' + 200_000 * "x"
        said = refusal(listed(tmp_path, "image,label,note", rows))
        assert said.startswith("Row 7 of list.csv has a cell of more than 131,072 characters")

    @pytest.mark.parametrize("note", ['"a ""b"", c"', '"two\nlines"', '"two\r\nlines"', '5" nail', '"a" ', '"AP" view'])
    def test_quotation_marks_that_harm_nothing_are_read(self, tmp_path, note):
        rows = [f"{row},{note}" for row in lines(tmp_path)]
        data = opened(listed(tmp_path, "image,label,note", rows))
        assert len(data) == N and data.table["label"].sum() == N // 2

    @pytest.mark.parametrize("home", ["C:\\Users\\me\\", "c:/films/", "\\\\server\\share\\", "/home/me/"])
    def test_paths_of_another_computer_are_refused_whatever_its_system(self, tmp_path, home):
        rows = [f"{home}{row}" for row in lines(tmp_path)]
        said = refusal(listed(tmp_path, "image,label", rows))
        assert said.startswith("Row 2 of list.csv names no file below the csv's own folder: ")

    def test_a_zero_byte_is_not_utf_16(self, tmp_path):
        rows = lines(tmp_path)
        rows[1] += "\0"
        assert "is not readable text" in refusal(listed(tmp_path, "image,label", rows))

    @pytest.mark.parametrize("name", ["a" * 5000 + ".png", "a" * 300])
    def test_names_that_no_file_can_have(self, tmp_path, name):
        data = opened(listed(tmp_path, "image,label", [*lines(tmp_path), f"{name},0"]))
        assert list(data.unreadable) == [name] and len(data) == N

    @pytest.mark.parametrize(
        ("header", "cells", "box"),
        [
            ("x,y,width,height", "5,6,10,20", [5, 6, 10, 20]),
            ("X,Y,W,H", "5,6,10,20", [5, 6, 10, 20]),
            ("xmin,ymin,xmax,ymax", "5,6,15,26", [5, 6, 10, 20]),
        ],
    )
    def test_boxes_in_columns_of_their_own(self, tmp_path, header, cells, box):
        rows = [f"{row},{cells if n % 2 else ',,,'}" for n, row in enumerate(lines(tmp_path))]
        data = opened(listed(tmp_path, f"image,label,{header}", rows))
        assert data.boxes("images/bild 1.png").tolist() == [box]

    @pytest.mark.parametrize(
        ("header", "cells", "words"),
        [
            ("xmin,ymin,xmax,ymax", "15,26,5,6", "no readable box in its columns xmin, ymin, xmax, ymax"),
            ("xmin,ymin,xmax,ymax", "5,,15,26", "no readable box in its columns xmin, ymin, xmax, ymax"),
            ("xmin,ymin,xmax,ymax", "0.1,0.1,0.5,0.5", "fractions of the image"),
            ("x,y,width,height", "5,6,-3,4", "no readable box in its columns x, y, width, height"),
            ("x,y,width,height", "45,6,30,4", "reaches beyond its image of 48 x 64 pixels"),
        ],
    )
    def test_wrong_boxes_in_columns_of_their_own(self, tmp_path, header, cells, words):
        rows = [f"{row},{cells if n == 1 else ',,,'}" for n, row in enumerate(lines(tmp_path))]
        said = refusal(listed(tmp_path, f"image,label,{header}", rows))
        assert said.startswith("Row 3 of list.csv") and words in said

    @pytest.mark.parametrize(
        ("boxes", "words"),
        [
            ("[[5,6,7,8],[0.5,0.5,0.1,0.1]]", "fractions of the image"),
            (f"[[5,6,1{'0' * 400},8]]", "no readable boxes"),
        ],
    )
    def test_wrong_boxes_among_others(self, tmp_path, boxes, words):
        rows = lines(tmp_path)
        rows[1] += f',"{boxes}"'
        assert words in refusal(listed(tmp_path, "image,label,boxes", rows))


class TestCoco:
    @pytest.mark.parametrize(
        ("box", "words"),
        [
            ([0.1, 0.1, 0.2, 0.2], "in fractions of the image"),
            ([40, 50, -10, -10], "is not [x, y, width, height]"),
            ([4, 5, 0, 0], "is not [x, y, width, height]"),
            ([float("nan"), 5, 6, 7], "is not [x, y, width, height]"),
            ([10**400, 5, 6, 7], "is not [x, y, width, height]"),
            ([True, True, True, True], "is not [x, y, width, height]"),
            ([40, 5, 30, 7], "reaches beyond its image of 48 x 64 pixels"),
        ],
    )
    def test_wrong_boxes(self, tmp_path, box, words):
        coco(tmp_path, bbox=box)
        said = refusal(tmp_path)
        assert said.startswith("1.png in instances.json has a box") and words in said

    def test_numbers_in_quotes_are_the_same_numbers(self, tmp_path):
        coco(tmp_path, category_id="1")
        assert opened(tmp_path).table["label"].sum() == N // 2

    def test_a_fracture_on_an_image_that_is_not_listed_is_not_lost(self, tmp_path):
        coco(tmp_path, image_id=999)
        assert "its annotations do not fit its images" in refusal(tmp_path)

    def test_one_number_for_two_images(self, tmp_path):
        made = coco(tmp_path)
        made["images"][3]["id"] = 4
        write(tmp_path / "annotations" / "instances.json", json.dumps(made))
        assert "its annotations do not fit its images" in refusal(tmp_path)

    @pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be"])
    def test_encodings(self, tmp_path, encoding):
        write(tmp_path / "annotations" / "instances.json", json.dumps(coco(tmp_path)), encoding)
        assert len(opened(tmp_path)) == N

    def test_a_damaged_file_is_named(self, tmp_path):
        coco(tmp_path)
        write(tmp_path / "annotations" / "instances.json", '{"images": [')
        assert refusal(tmp_path) == "instances.json is not valid JSON."


class TestOthers:
    def test_pascal_voc_is_named(self, tmp_path):
        for number in range(N):
            save(tmp_path / "VOC" / "JPEGImages" / f"{number}.png", number)
            write(tmp_path / "VOC" / "Annotations" / f"{number}.xml", "<annotation><size/></annotation>")
        assert "annotations in XML (Pascal VOC)" in refusal(tmp_path)

    def test_yolo_files_beside_the_images_are_named(self, tmp_path):
        for number in range(N):
            write(save(tmp_path / f"{number}.png", number).with_suffix(".txt"), "0 .5 .5 .1 .1")
        assert "text files of the images' names beside the images" in refusal(tmp_path)

    def test_half_a_class_is_none(self, tmp_path):
        for number in range(N):
            save(tmp_path / "images" / f"{number}.png", number)
            write(tmp_path / "labels" / f"{number}.txt", "0.7 .5 .5 .1 .1")
        write(tmp_path / "data.yaml", "names: [fracture]\n")
        assert "Line 1 of labels/0.txt is not a YOLO box" in refusal(tmp_path)

    @pytest.mark.skipif(sys.platform != "linux", reason="needs a file system that takes any bytes as a name")
    def test_a_name_that_is_not_text_is_left_out_and_said(self, tmp_path):
        for number in range(N):
            save(tmp_path / "own" / "fractured" / f"{number}.png", number)
            save(tmp_path / "own" / "normal" / f"{number}.png", 100 + number)
        source = tmp_path / "own" / "normal" / "0.png"
        Path(os.fsdecode(os.fsencode(source.parent) + b"/h\xe4nd.png")).write_bytes(source.read_bytes())
        data = opened(tmp_path / "own")
        assert len(data) == 2 * N
        assert data.remarks == [
            "1 file has a name that is not UTF-8 and was left out (normal/h\\xe4nd.png): please rename."
        ]

    @pytest.mark.skipif(sys.platform != "linux", reason="needs a file system that takes any bytes as a name")
    def test_a_folder_whose_name_is_not_text_is_named(self, tmp_path):
        folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/h\xe4nd"))
        for number in range(N):
            save(tmp_path / "made" / ("fractured" if number % 2 else "normal") / f"{number}.png", number)
        (tmp_path / "made").rename(folder)
        assert "not UTF-8" in refusal(folder)

    @pytest.mark.parametrize("name", ["a\0b", "a" * 5000])
    def test_names_that_no_folder_can_have(self, name):
        with pytest.raises(DatasetError, match="There is no folder"):
            OwnDataset(name)
        with pytest.raises(DatasetError):
            open_dataset(Path(name))

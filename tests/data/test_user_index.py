"""Labelled radiographs as people and public datasets keep them: read whole, or a sentence that names what is wrong."""

from __future__ import annotations

import json
import os
import unicodedata
from pathlib import Path

import cv2
import numpy as np
import pytest

from fracture_core.data.dataset import open_dataset
from fracture_core.data.fracatlas import DatasetError
from fracture_core.data.user_dataset import OwnDataset
from tests.support import dicom_files as dicom
from tests.support.miniature import picture

N = 24


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("FRACTURE_CACHE_DIR", str(tmp_path / "cache"))


def save(path: Path, seed: int, suffix: str = ".png") -> Path:
    """An image of 48 x 64 pixels (width x height), in whatever format, under whatever name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(suffix, picture(seed, 64, 48))[1].tobytes())
    return path


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return path


def opened(path: Path) -> OwnDataset:
    data = open_dataset(path)
    assert isinstance(data, OwnDataset)
    return data


def refusal(path: Path) -> str:
    with pytest.raises(DatasetError) as caught:
        open_dataset(path)
    assert str(caught.value).endswith((".", ":"))
    return str(caught.value)


def lines(root: Path, *, separator: str = ",", name: str = "bild {}.png", extra: str = "") -> list[str]:
    """N images below `root`, every other one fractured, and a line of a csv for each."""
    made = []
    for number in range(N):
        save(root / "images" / name.format(number), number)
        made.append(f"images/{name.format(number)}{separator}{number % 2}{extra}")
    return made


class TestFolders:
    def test_no_labelled_image_is_lost_for_its_name(self, tmp_path):
        """UIDs, dots, no suffix, capitals, .jfif: what is an image, its content says."""
        names = ["CR.1.2.840.{}", "x{}.jfif", "scan.{}.final", "plain{}", "UP{}.JPG", "odd{}.jpeg_large", "z{}.tiff"]
        for folder in ("fractured", "normal"):
            for number, name in enumerate(names * 4):
                file = tmp_path / "own" / folder / name.format(number)
                if name.startswith("CR"):
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_bytes(dicom.file_bytes(dicom.dataset(picture(number))))
                else:
                    save(file, number, ".jpg")
        data = opened(tmp_path / "own")
        assert len(data) == 2 * 4 * len(names) and not data.unreadable
        assert data.table["label"].sum() == 4 * len(names)

    def test_images_in_formats_that_cannot_be_read_are_counted(self, tmp_path):
        for number in range(N):
            save(tmp_path / "own" / "fractured" / f"{number}.png", number)
            save(tmp_path / "own" / "normal" / f"{number}.png", 100 + number)
        write(tmp_path / "own" / "normal" / "phone.heic", "\0\0\0\x18ftypheic")
        write(tmp_path / "own" / "normal" / "old.gif", "GIF89a")
        for junk in ("Thumbs.db", "desktop.ini", ".DS_Store", "._1.png", "notes.txt", "sub/.hidden/x.png"):
            write(tmp_path / "own" / "normal" / junk, "x")
        data = opened(tmp_path / "own")
        assert set(data.unreadable) == {"normal/phone.heic", "normal/old.gif"}
        assert "2 files cannot be read and were left out." in data.summary_text()

    @pytest.mark.parametrize("inside", [True, False])
    def test_links_to_folders_are_not_followed_and_counted(self, tmp_path, inside):
        for number in range(N):
            save(tmp_path / "own" / "fractured" / f"{number}.png", number)
            save(tmp_path / "own" / "normal" / f"{number}.png", 100 + number)
        more = save(tmp_path / ("own/normal" if inside else "elsewhere") / "more" / "1.png", 200).parent
        (tmp_path / "own" / "fractured" / "more").symlink_to(more)
        (tmp_path / "own" / "fractured" / "again").symlink_to(tmp_path / "own")
        data = opened(tmp_path / "own")
        assert len(data) == 2 * N + inside
        assert data.remarks == [
            "2 links to folders were not followed (fractured/again): copy the images here if they belong to these."
        ]

    def test_a_class_that_is_a_link_is_named_where_it_is_missed(self, tmp_path):
        for number in range(N):
            save(tmp_path / "own" / "fractured" / f"{number}.png", number)
            save(tmp_path / "elsewhere" / f"{number}.png", 100 + number)
        (tmp_path / "own" / "normal").symlink_to(tmp_path / "elsewhere")
        assert "1 link to a folder was not followed (normal)" in refusal(tmp_path / "own")

    @pytest.mark.parametrize("extra", ["__MACOSX", "labels", "@eaDir", ".git"])
    def test_folders_that_hold_no_images_do_not_matter(self, tmp_path, extra):
        for part in ("train", "val", "test"):
            for folder in ("fractured", "normal"):
                for number in range(5):
                    save(tmp_path / "own" / part / folder / f"{number}.png", number)
        name = "1.txt" if extra == "labels" else "._1.png"
        write(tmp_path / "own" / extra / "train" / name, "x")
        write(tmp_path / "own" / extra / name, "x")
        data = opened(tmp_path / "own")
        assert len(data) == 30 and set(data.table["split"]) == {"train", "val", "test"}

    def test_a_folder_beside_the_parts_that_holds_images_is_named(self, tmp_path):
        for part in ("train", "test", "later"):
            for folder in ("fractured", "normal"):
                save(tmp_path / "own" / part / folder / "1.png", 1)
        assert "'later'" in refusal(tmp_path / "own")

    def test_images_beside_the_class_folders_are_counted(self, tmp_path):
        for number in range(N):
            save(tmp_path / "own" / "Fraktur" / f"{number}.png", number)
            save(tmp_path / "own" / "keine Fraktur" / f"{number}.png", 100 + number)
        save(tmp_path / "own" / "loose.png", 1)
        data = opened(tmp_path / "own")
        assert len(data) == 2 * N and "1 file lies in no folder of a class and was left out." in data.summary_text()

    def test_mura(self, tmp_path):
        """Its tree as it is published; the study's folder says what its images show."""
        root = tmp_path / "MURA-v1.1"
        for part, patients in (("train", range(20)), ("valid", range(20, 30))):
            for patient in patients:
                kind = "positive" if patient % 2 else "negative"
                study = root / part / "XR_WRIST" / f"patient{patient:05}" / f"study1_{kind}"
                for image in (1, 2):
                    save(study / f"image{image}.png", 10 * patient + image)
        write(root / "train_labeled_studies.csv", "MURA-v1.1/train/XR_WRIST/patient00001/study1_positive/,1\n")
        write(root / "train_image_paths.csv", "MURA-v1.1/train/XR_WRIST/patient00001/study1_positive/image1.png\n")
        data = opened(root)
        assert len(data) == 60 and data.table["label"].sum() == 30
        assert set(data.table["split"]) == {"train", "val"} and data.table["patient"].nunique() == 30
        assert "positive means abnormal" in data.summary_text()


class TestCsv:
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
    @pytest.mark.parametrize("separator", [",", ";", "\t"])
    def test_encodings_and_separators(self, tmp_path, encoding, separator):
        rows = lines(tmp_path, separator=separator, name="Schäden {}.png", extra=f"{separator}Müller, geprüft")
        rows = [row.replace("Müller, geprüft", '"Müller, geprüft"') for row in rows]
        text = "\r\n".join([separator.join(("image", "label", "Bemerkung")), *rows])
        data = opened(write(tmp_path / "list.csv", text, encoding))
        assert len(data) == N and data.table["label"].sum() == N // 2

    @pytest.mark.parametrize("head", ["sep=;\r\n", '"sep=;"\n', "SEP=;\n"])
    def test_excels_separator_line_and_its_empty_rows_and_columns(self, tmp_path, head):
        rows = [f"{row};;" for row in lines(tmp_path, separator=";")]
        text = head + "\n".join(["Image;Label;;", *rows, ";;;", "", ";;;"])
        data = opened(write(tmp_path / "list.csv", text))
        assert len(data) == N
        broken = write(tmp_path / "list.csv", text.replace(";1;;", ";maybe;;", 1))
        assert "maybe" in refusal(broken)

    def test_rows_are_counted_as_a_spreadsheet_counts_them(self, tmp_path):
        rows = lines(tmp_path, separator=";")
        rows[3:3] = [";"]
        rows[6] = rows[6].rpartition(";")[0] + ";1;surplus"
        said = refusal(write(tmp_path / "list.csv", "\n".join(["sep=;", "image;label", *rows])))
        assert said.startswith("Row 8 of list.csv has 3 values")

    def test_without_a_header(self, tmp_path):
        rows = lines(tmp_path)
        assert len(opened(write(tmp_path / "list.csv", "\n".join(rows)))) == N
        rows = [",".join(reversed(row.split(","))) for row in rows]
        assert len(opened(write(tmp_path / "list.csv", "\n".join(rows)))) == N
        rows = [row.replace("bild", "film") for row in lines(tmp_path)]
        said = refusal(write(tmp_path / "list.csv", "\n".join(rows)))
        assert said.startswith("list.csv has no column image: its first row must name the columns")

    def test_a_folder_whose_csv_is_no_use_names_the_csv(self, tmp_path):
        for number, (text, encoding, words) in enumerate(
            (
                ("picture,finding\n1,2\n", "utf-8", "list.csv lists no images: its first row must name the columns"),
                ("PK\x03\x04 workbook", "latin-1", "list.csv is an Excel workbook"),
                ("", "utf-8", "list.csv is empty"),
                ("image\n1\n", "utf-8", "list.csv has one column only"),
            )
        ):
            root = tmp_path / str(number)
            lines(root)
            write(root / "list.csv", text, encoding)
            assert words in refusal(root)

    def test_names_as_other_computers_write_them(self, tmp_path):
        """Accents composed or not, other capitals, backslashes, folders that are not here, no suffix, 3.0 for 3."""
        for number in range(N):
            save(tmp_path / "Bilder" / f"{unicodedata.normalize('NFD', 'Ärmchen')} {number}.png", number)
            save(tmp_path / "Bilder" / f"{1000 + number}.png", 100 + number)
        rows = [f"C\\exported\\BILDER\\{unicodedata.normalize('NFC', 'ÄRMCHEN')} {n}.PNG,1,{n // 4}" for n in range(N)]
        rows = [row.removeprefix("C\\") for row in rows]
        rows += [f"{1000 + n}.0,0.0,{100 + n // 4}.0" for n in range(0, N, 2)]
        rows += [f"{1000 + n},0,{100 + n // 4}" for n in range(1, N, 2)]
        data = opened(write(tmp_path / "list.csv", "\n".join(["image,label,patient", *rows])))
        assert len(data) == 2 * N and not data.unreadable
        assert data.table["patient"].nunique() == 12

    def test_a_csv_for_each_part(self, tmp_path):
        rows = lines(tmp_path)
        for part, chosen in (("train", rows[:12]), ("valid", rows[12:18]), ("test", rows[18:])):
            write(tmp_path / f"{part}_labels.csv", "\n".join(["image,label", *chosen]))
        data = opened(tmp_path)
        assert data.table["split"].value_counts().to_dict() == {"train": 12, "val": 6, "test": 6}
        assert len(data.sources) == 3

    @pytest.mark.parametrize(
        ("boxes", "words"),
        [
            ("[[0.5,0.5,0.1,0.1]]", "Row 3 of list.csv has boxes in fractions"),
            ("[[40,50,20,10]]", "Row 3 of list.csv has a box that reaches beyond its image of 48 x 64 pixels"),
            ("[[-9,5,12,10]]", "Row 3 of list.csv has a box that reaches beyond"),
            ("[[100,100,5,5]]", "Row 3 of list.csv has a box that reaches beyond"),
            ("[[1,2,3]]", "Row 3 of list.csv has no readable boxes"),
            ("[[1,2,NaN,3]]", "Row 3 of list.csv has no readable boxes"),
        ],
    )
    def test_boxes_that_do_not_fit_name_their_row(self, tmp_path, boxes, words):
        rows = lines(tmp_path)
        rows[1] += f',"{boxes}"'
        assert words in refusal(write(tmp_path / "list.csv", "\n".join(["image,label,boxes", *rows])))

    def test_boxes_at_the_border_are_cut_to_the_image(self, tmp_path):
        rows = lines(tmp_path)
        rows[1] += ',"[[-1,30,10,35]]"'
        data = opened(write(tmp_path / "list.csv", "\n".join(["image,label,boxes", *rows])))
        assert data.boxes("images/bild 1.png").tolist() == [[0, 30, 9, 34]]

    def test_boxes_on_an_image_without_a_fracture_are_refused(self, tmp_path):
        rows = lines(tmp_path)
        rows[0] += ',"[[1,2,3,4]]"'
        said = refusal(write(tmp_path / "list.csv", "\n".join(["image,label,boxes", *rows])))
        assert said == "Row 2 of list.csv has boxes around fractures, but its label says that there is none."

    def test_corners_in_columns_of_their_own(self, tmp_path):
        rows = [f"{row},{'5,6,15,26' if n % 2 else ',,,'}" for n, row in enumerate(lines(tmp_path))]
        text = "\n".join(["filename,class,xmin,ymin,xmax,ymax", *rows])
        data = opened(write(tmp_path / "list.csv", text))
        assert data.boxes("images/bild 1.png").tolist() == [[5, 6, 10, 20]]


class TestAnnotations:
    def coco(self, numbers: range, categories: list[str], folder: str = "images") -> dict:
        boxed = [n for n in numbers if n % 2]
        return {
            "images": [{"id": n, "file_name": f"{n}.png", "width": 48, "height": 64} for n in numbers],
            "annotations": [{"id": n, "image_id": n, "category_id": 1, "bbox": [4, 5, 10, 20]} for n in boxed],
            "categories": [{"id": number, "name": name} for number, name in enumerate(categories)],
        }

    def test_coco(self, tmp_path):
        for number in range(N):
            save(tmp_path / "images" / f"{number}.png", number)
        made = self.coco(range(N), ["metal", "Wrist-Fracture"])
        made["annotations"].append({"id": 99, "image_id": 0, "category_id": 0, "bbox": [1, 1, 5, 5]})
        file = write(tmp_path / "annotations" / "instances_default.json", json.dumps(made))
        for path in (tmp_path, file):
            data = opened(path)
            assert len(data) == N and data.table["label"].sum() == N // 2
            assert data.boxes("images/1.png").tolist() == [[4, 5, 10, 20]] and not len(data.boxes("images/0.png"))
            assert "Boxes of 'metal' do not count as fractures." in data.summary_text()

    def test_coco_categories_of_one_number_and_two_names_are_refused(self, tmp_path):
        for number in range(N):
            save(tmp_path / "images" / f"{number}.png", number)
        made = self.coco(range(N), ["metal", "fracture"])
        made["categories"].append({"id": 1, "name": "normal"})
        write(tmp_path / "a.json", json.dumps(made))
        assert "a.json gives the category 1 two names, 'fracture', 'normal'" in refusal(tmp_path)
        made["categories"][-1]["name"] = "fracture"  # said twice, but the same
        write(tmp_path / "a.json", json.dumps(made))
        assert opened(tmp_path).table["label"].sum() == N // 2

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
    @pytest.mark.parametrize("name", ["annotations.json", "data.yaml", "a.xml", "list.csv"])
    def test_a_named_pipe_is_no_annotation(self, tmp_path, name):
        for number in range(N):
            save(tmp_path / ("fractured", "normal")[number % 2] / f"{number}.png", number)
        os.mkfifo(tmp_path / name)
        assert len(opened(tmp_path)) == N

    def test_coco_in_a_file_for_each_part(self, tmp_path):
        for part, numbers in (("train", range(24)), ("valid", range(24, 30)), ("test", range(30, 36))):
            for number in numbers:
                save(tmp_path / part / f"{number}.png", number)
            write(tmp_path / part / "_annotations.coco.json", json.dumps(self.coco(numbers, ["fracture", "fracture"])))
        data = opened(tmp_path)
        assert data.table["split"].value_counts().to_dict() == {"train": 24, "val": 6, "test": 6}

    def test_coco_that_cannot_be_used_is_named(self, tmp_path):
        for number in range(N):
            save(tmp_path / "images" / f"{number}.png", number)
        file = write(tmp_path / "a.json", json.dumps(self.coco(range(N), ["hand", "foot"])))
        assert "None of the classes 'foot' in a.json is called a fracture" in refusal(tmp_path)
        write(file, json.dumps(self.coco(range(N + 1), ["", "fracture"])))
        assert f"'{N}.png', which is missing" in refusal(file)
        made = self.coco(range(N), ["", "fracture"])
        made["annotations"][0]["bbox"] = [45, 5, 10, 20]
        assert "1.png in a.json has a box that reaches beyond" in refusal(write(file, json.dumps(made)))
        assert "not a COCO file" in refusal(write(file, "{}"))
        assert "not valid JSON" in refusal(write(file, "{"))

    YAMLS = (
        "names: ['metal', 'fracture']\nnc: 2\n",
        "path: ..\nnames:\n  0: metal\n  1: fracture\n\nnc: 2\n",
        "names:\n- metal\n- 'fracture'\n",
        "names: {0: metal, 1: fracture}\n",
        "path: C:\\data\r\nnames: ['metal', 'fracture']\r\nnc: 2\r\n",
        'train: ../images # of 16\nnames:\n  - "metal" # a plate\n  - fracture\n',
        "classes: &all [metal,\n  fracture]\nnames: *all\n",
    )

    @pytest.mark.parametrize("yaml", YAMLS)
    @pytest.mark.parametrize("parts_first", [True, False])
    def test_yolo(self, tmp_path, yaml, parts_first):
        """As Roboflow and as Ultralytics lay it out; boxes, polygons, empty files and missing ones."""
        for number in range(N):
            part = "train" if number < 16 else "val"
            images, labels = (f"{part}/{kind}" if parts_first else f"{kind}/{part}" for kind in ("images", "labels"))
            save(tmp_path / images / f"{number}.jpg", number, ".jpg")
            text = "1 0.5 0.5 0.25 0.5\n" if number % 2 else "0 0.5 0.5 0.1 0.1\n" if number % 4 else ""
            if number == 3:
                text = "1 0.25 0.25 0.75 0.25 0.5 0.75\n"
            if number:
                write(tmp_path / labels / f"{number}.txt", text)
        write(tmp_path / "data.yaml", yaml)
        data = opened(tmp_path)
        assert len(data) == N and data.table["label"].sum() == N // 2
        assert data.table["split"].value_counts().to_dict() == {"train": 16, "val": 8}
        boxed = {Path(i).stem: data.boxes(i).tolist() for i in data.table.index}
        assert boxed["1"] == [[18, 16, 12, 32]] and boxed["3"] == [[12, 16, 24, 32]] and boxed["2"] == []
        assert "'metal' do not count" in data.summary_text() and "1 images have no label file" in data.summary_text()

    @pytest.mark.parametrize(
        ("line", "names", "words"),
        [
            ("1 120 80 30 40", "[metal, fracture]", "Line 1 of labels/0.txt is not a YOLO box"),
            ("7 0.5 0.5 0.1 0.1", "[metal, fracture]", "Line 1 of labels/0.txt is not a YOLO box"),
            ("1 0.5 0.5", "[metal, fracture]", "Line 1 of labels/0.txt is not a YOLO box"),
            ("1 0.5 0.5 0.1 0.1", "[metal, text]", "None of the classes 'metal', 'text' in data.yaml"),
            ("1 0.5 0.5 0.1 0.1", "[no, yes]", "None of the classes 'no', 'yes' in data.yaml"),
            ("1 0.5 0.5 0.1 0.1", "[metal,\nnc: 2", "data.yaml is not valid YAML (see line 3)."),
            ("1 0.5 0.5 0.1 0.1", "[" * 100_000, "data.yaml is not valid YAML."),
            (
                "1 0.5 0.5 0.1 0.1",
                "{a: metal}",
                "data.yaml numbers its classes with something else than whole numbers.",
            ),
            ("1 0.5 0.5 0.1 0.1", "", "no data.yaml or classes.txt"),
        ],
    )
    def test_yolo_that_cannot_be_used_is_named(self, tmp_path, line, names, words):
        for number in range(N):
            save(tmp_path / "images" / f"{number}.png", number)
            write(tmp_path / "labels" / f"{number}.txt", line)
        if names:
            write(tmp_path / "data.yaml", f"names: {names}\n")
        assert words in refusal(tmp_path)

    def test_grazpedwri(self, tmp_path):
        """The columns, folders and names of its publication; 16 bit PNGs in four folders."""
        rows = ["filestem,patient_id,study_number,gender,age,projection,laterality,ao_classification,fracture_visible"]
        home = tmp_path / "folder_structure" / "yolov5"
        for number in range(N):
            stem = f"{number // 2:04}_{1297860395 + number}_01_WRI-L{number % 2 + 1}_M014"
            image = tmp_path / f"images_part{number % 4 + 1}" / f"{stem}.png"
            image.parent.mkdir(exist_ok=True)
            cv2.imwrite(str(image), picture(number, 64, 48).astype(np.uint16) * 257)
            rows.append(f"{stem},{number // 2},1,M,10.2,1,L,{'23r-M/2.1' if number % 2 else ''},{number % 2 or ''}")
            write(home / "labels" / f"{stem}.txt", "8 0.1 0.1 0.1 0.1\n" + "3 0.5 0.5 0.5 0.25\n" * (number % 2))
        kinds = ["boneanomaly", "bonelesion", "foreignbody", "fracture", "metal", "periostealreaction"]
        write(home / "meta.yaml", f"names: {[*kinds, 'pronatorsign', 'softtissue', 'text']}\nnc: 9\n")
        write(tmp_path / "dataset.csv", "\n".join(rows))
        data = opened(tmp_path)
        assert len(data) == N and data.table["label"].sum() == N // 2 and data.table["patient"].nunique() == N // 2
        fractured = data.table.index[data.table["label"] == 1]
        assert all(data.boxes(i).tolist() == [[12, 24, 24, 16]] for i in fractured)

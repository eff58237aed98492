"""Label files are found as another computer may have named them; none is taken for an image without a fracture."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import pytest

from tests.data.test_user_index import N, opened, refusal, save, write


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("FRACTURE_CACHE_DIR", str(tmp_path / "cache"))


def composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def decomposed(text: str) -> str:
    return unicodedata.normalize("NFD", text)


def tree(root: Path, image: str, label: str) -> Path:
    """N images, every other one with a box, and all of them with a label file."""
    for number in range(N):
        save(root / "images" / image.format(number), number)
        write(root / "labels" / label.format(number), "0 0.5 0.5 0.2 0.2" if number % 2 else "")
    write(root / "data.yaml", "names: [fracture]")
    return root


@pytest.mark.parametrize(
    ("image", "label"),
    [
        (decomposed("Füße {}.png"), composed("Füße {}.txt")),
        (composed("Füße {}.png"), decomposed("Füße {}.txt")),
        ("{}.png", "{}.TXT"),
        ("{}.PNG", "{}.Txt"),
        ("Hand{}.png", "hand{}.txt"),
        ("1.2.840.{}", "1.2.840.{}.txt"),
        (decomposed("Füße/{}.png"), composed("Füße/{}.txt")),
    ],
)
def test_label_files_of_other_names_are_found(tmp_path, image, label):
    data = opened(tree(tmp_path, image, label))
    odd = [int(re.sub(r"\.png$", "", i, flags=re.IGNORECASE)[-1]) % 2 for i in data.table.index]
    assert data.table["label"].tolist() == odd and sum(odd) == N // 2 and not data.remarks


def test_the_label_file_of_an_image_is_no_other_images(tmp_path):
    root = tree(tmp_path, "{}.png", "{}.txt")
    save(root / "images" / "hand.png", 100)
    save(root / "images" / "HAND.png", 101)
    write(root / "labels" / "HAND.txt", "0 0.5 0.5 0.2 0.2")
    data = opened(root)
    if len(data) == N + 2:  # the file system tells capitals
        assert data.table.at["images/HAND.png", "label"] == 1 and data.table.at["images/hand.png", "label"] == 0


def test_two_label_files_that_may_be_meant_are_refused(tmp_path):
    root = tree(tmp_path, "{}.png", "{}.TXT")
    write(root / "labels" / "3.Txt", "")
    if len(list((root / "labels").iterdir())) > N:
        assert "images/3.png has more than one label file: 'labels/3." in refusal(root)


def test_label_files_without_an_image_are_counted(tmp_path):
    root = tree(tmp_path, "{}.png", "{}.txt")
    (root / "labels" / "3.txt").rename(root / "labels" / "03.txt")
    assert opened(root).remarks == [
        "1 images have no label file, which in YOLO means that they show no fracture.",
        "1 label files belong to no image.",
    ]

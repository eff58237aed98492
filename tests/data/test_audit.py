from __future__ import annotations

import io
import itertools
import json
import time

import numpy as np
import pytest
from PIL import Image

from fracture_core.__main__ import main
from fracture_core.data import audit as module
from fracture_core.data.audit import Audit, audit
from fracture_core.data.fracatlas import DatasetError, FracAtlas
from tests.support.miniature import Entry, build, picture

KEYS = {"cut_short", "duplicate_groups", "opposite_labels", "conflicts", "exif_rotated"}
REAL = pytest.mark.timeout(900)  # half a minute of processor time, which a busy machine may stretch
BOX = (10.0, 20.0, 30.0, 12.0)


def jpeg(pixels: np.ndarray, quality: int = 90) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


@pytest.fixture
def miniature(tmp_path):
    """One of each defect among clean files."""
    pictures = [picture(seed, 240, 192) for seed in range(8)]
    whole = jpeg(pictures[3])
    zeroed = picture(9, 240, 192)
    zeroed[176:] = np.tile(picture(10, 8, 8), (8, 24))
    entries = [
        Entry("CLEAN1", picture=pictures[0]),
        Entry("CLEAN2", picture=pictures[1]),
        Entry("COPY1", ("Fractured",), 1, boxes=(BOX,), data=jpeg(pictures[2])),
        Entry("COPY2", data=jpeg(np.clip(pictures[2] * 0.8 + 30, 0, 255).astype(np.uint8), 60)),
        Entry("WHOLE", data=whole),
        Entry("CUT", data=whole[: len(whole) * 7 // 10]),
        Entry("TURNED", ("Fractured",), 1, boxes=(BOX,), annotated_size=(192, 240), picture=pictures[4], exif=6),
        Entry("TURNED2", picture=pictures[5], exif=8),
        Entry("TURNED3", ("Fractured",), 1, boxes=(BOX,), annotated_size=(192, 240), picture=pictures[6], exif=3),
        Entry("ZEROED", ("Fractured",), 1, boxes=(BOX,), picture=zeroed),
        Entry("TORN", ("Fractured",), 0, boxes=(BOX,), picture=pictures[7]),
    ]
    return build(tmp_path / "FracAtlas", entries)


def test_each_defect_is_found(miniature, tmp_path):
    found = audit(FracAtlas(miniature), cache_dir=tmp_path)
    assert found.images == 11
    assert found.cut_short == ("CUT",)
    assert 0.15 < found.missing["CUT"] < 0.45
    assert found.overwritten == {"ZEROED": pytest.approx(64 / 240, abs=0.04)}
    assert found.duplicate_groups == (("COPY1", "COPY2"), ("CUT", "WHOLE"))
    assert found.opposite_labels == (("COPY1", "COPY2"),)
    assert found.duplicates_of("COPY1") == ("COPY2",) and found.duplicates_of("CLEAN1") == ()
    assert list(found.conflicts) == ["TORN"] and "outlines decide" in found.conflicts["TORN"]
    assert found.exif_rotated == ("TURNED", "TURNED2", "TURNED3")
    turned, empty, undecided = found.exif_turns
    assert (turned.drawn, turned.boxes) == ("stored", 1) and "rotated here" in turned.spoiled
    assert (empty.drawn, empty.spoiled) == ("", "")
    assert undecided.drawn == "undecided" and "do not say" in undecided.spoiled


def test_json_has_the_promised_keys_and_comes_back_whole(miniature, tmp_path):
    found = audit(FracAtlas(miniature), cache_dir=tmp_path)
    said = json.loads(found.to_json())
    assert set(said) >= KEYS
    assert said["cut_short"] == ["CUT"] and said["exif_rotated"] == ["TURNED", "TURNED2", "TURNED3"]
    assert said["duplicate_groups"] == [["COPY1", "COPY2"], ["CUT", "WHOLE"]]
    assert said["opposite_labels"] == [["COPY1", "COPY2"]]
    assert "TORN" in said["conflicts"]
    assert Audit.from_json(found.to_json()) == found


def test_the_command_line_prints_that_one_object(miniature, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FRACATLAS_DIR", str(miniature))
    monkeypatch.setenv("FRACTURE_CACHE_DIR", str(tmp_path))
    assert main(["audit", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert set(said) >= KEYS and said["cut_short"] == ["CUT"]


def test_in_words(miniature, tmp_path):
    words = audit(FracAtlas(miniature), cache_dir=tmp_path).summary_text()
    for part in ("11 images", "Truncated: 1", "COPY1 COPY2", "opposite labels: 1", "TORN", "clockwise"):
        assert part in words


def test_a_second_look_is_remembered_until_a_file_changes(miniature, tmp_path, monkeypatch):
    found = audit(FracAtlas(miniature), cache_dir=tmp_path)
    looks = []
    real = module.find_duplicates
    monkeypatch.setattr(module, "find_duplicates", lambda *a: looks.append(1) or real(*a))
    assert audit(FracAtlas(miniature), cache_dir=tmp_path) == found and not looks
    file = FracAtlas(miniature).path("CLEAN1")
    file.write_bytes(FracAtlas(miniature).path("CLEAN2").read_bytes())
    changed = audit(FracAtlas(miniature), cache_dir=tmp_path)
    assert looks and changed.duplicates_of("CLEAN1") == ("CLEAN2",)
    assert changed.duplicate_pairs[0].kind == "exact"


def test_a_damaged_cache_is_looked_past_and_mended(miniature, tmp_path):
    found = audit(FracAtlas(miniature), cache_dir=tmp_path)
    (kept,) = (tmp_path / "audit").iterdir()
    for rubbish in ("", "{}", "[1]", '{"details": 3}'):
        kept.write_text(rubbish)
        assert audit(FracAtlas(miniature), cache_dir=tmp_path) == found
    assert Audit.from_json(kept.read_text()) == found
    assert list((tmp_path / "audit").iterdir()) == [kept]


def test_progress_rises_to_its_total(miniature, tmp_path):
    seen = []
    audit(FracAtlas(miniature), cache_dir=tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen) and seen[-1] == (22, 22)


def test_the_cache_folder_can_be_named(miniature, tmp_path, monkeypatch):
    monkeypatch.setenv("FRACTURE_CACHE_DIR", str(tmp_path / "elsewhere"))
    audit(FracAtlas(miniature))
    assert len(list((tmp_path / "elsewhere" / "audit").iterdir())) == 1


def test_a_file_that_is_no_picture_is_named(miniature, tmp_path):
    FracAtlas(miniature).path("CLEAN1").write_bytes(b"not a picture")
    with pytest.raises(DatasetError, match=r"CLEAN1\.jpg is not a readable image"):
        audit(FracAtlas(miniature), cache_dir=tmp_path)


@pytest.fixture(scope="module")
def real(fracatlas_dir, tmp_path_factory):
    dataset, folder = FracAtlas(fracatlas_dir), tmp_path_factory.mktemp("cache")
    start = time.process_time()
    found = audit(dataset, cache_dir=folder)
    return dataset, found, time.process_time() - start


@REAL
def test_the_real_dataset_takes_at_most_two_minutes(real):
    assert real[2] < 120  # seconds of processor time, all threads: other work on the machine does not count


@REAL
def test_the_real_cut_short_files(real):
    dataset, found, _ = real
    assert len(found.cut_short) == 59
    assert (dataset.table.loc[list(found.cut_short), "label"] == 0).all()
    assert {dataset.path(image_id).parent.name for image_id in found.cut_short} == {"Non_fractured"}


@REAL
def test_the_real_overwritten_files(real):
    """Nine, each looked at; every one fractured, so a network could learn the pattern instead of the fracture."""
    dataset, found, _ = real
    numbers = (4067, 4071, 4072, 4113, 4117, 4150, 4187, 4206, 4232)
    assert tuple(found.overwritten) == tuple(f"IMG000{number}" for number in numbers)
    assert (dataset.table.loc[list(found.overwritten), "label"] == 1).all()


@REAL
def test_real_duplicates(real):
    """Pairs looked at by eye: copies, a re-saved and resized one, truncated, ending in rubbish; and no retakes."""
    dataset, found, _ = real
    together = {pair for members in found.duplicate_groups for pair in itertools.combinations(members, 2)}
    seen = [
        ("IMG0000004", "IMG0002297"),  # equal
        ("IMG0000001", "IMG0001508"),  # resized from 1760x2140 to 373x454
        ("IMG0003040", "IMG0004346"),
        ("IMG0002691", "IMG0004100"),  # truncated, a third missing
        ("IMG0002799", "IMG0004145"),  # truncated, half missing
        ("IMG0002791", "IMG0004150"),  # ends in rubbish
        ("IMG0003034", "IMG0004341"),
    ]
    assert set(seen) <= together
    for retake in [("IMG0000944", "IMG0000945"), ("IMG0001622", "IMG0001749"), ("IMG0000986", "IMG0001403")]:
        assert retake not in together
    assert 140 <= len(found.duplicate_groups) <= 175
    assert max(map(len, found.duplicate_groups)) <= 6  # no chain has run through the dataset
    labels = dataset.table["label"]
    assert all(labels[list(members)].nunique() == 2 for members in found.opposite_labels)
    assert ("IMG0003034", "IMG0004314", "IMG0004341") in found.opposite_labels


@REAL
def test_real_exif_turns(real):
    _, found, _ = real
    assert len(found.exif_rotated) == 25
    assert {turn.image_id for turn in found.exif_turns if turn.boxes} == {"IMG0002588", "IMG0002628"}
    assert "IMG0003298" in found.conflicts

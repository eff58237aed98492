"""What an image shows: the engine against plain numpy, what is no radiograph, and greys that are inverted."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file

from fracture_core.imaging.radiograph import Radiograph, read_radiograph
from fracture_core.inference import scope as module
from fracture_core.inference.plain_graph import PlainEngine
from fracture_core.inference.scope import (
    CONTENTS,
    FILE,
    INVERTED_WARNING,
    ScopeError,
    ScopeNetwork,
    Shown,
    scope_network,
    understood,
)
from fracture_core.network.graph import Graph
from fracture_core.pretraining.synthetic_images import synthetic_image


def radiograph(pixels: np.ndarray) -> Radiograph:
    return Radiograph(pixels=pixels, name="film", sha256="", format="PNG")


def test_openvino_and_plain_numpy_agree() -> None:
    rng = np.random.default_rng(0)
    squares = rng.integers(0, 256, (3, scope_network().size, scope_network().size)).astype(np.uint8)
    graph = Graph.from_json(json.loads(FILE.read_text("utf-8"))["network"])
    weights = {key: array.astype(np.float32) for key, array in load_file(FILE.with_suffix(".safetensors")).items()}
    plain = PlainEngine(graph, weights).run(squares)["map"]
    fast = scope_network()._engine.run(squares)["map"]
    np.testing.assert_allclose(fast, plain, atol=1e-3)


def test_without_openvino_the_same_is_said(monkeypatch) -> None:
    picture = synthetic_image(np.random.default_rng(1))
    expected = scope_network().of(picture)
    monkeypatch.setattr("fracture_core.inference.engine.openvino", None)
    found = ScopeNetwork().of(picture)
    assert found.content == expected.content in CONTENTS
    assert found.limb == pytest.approx(expected.limb, abs=1e-2)


def test_drawings_and_noise_are_no_limbs() -> None:
    rng = np.random.default_rng(3)
    pictures = [synthetic_image(rng) for _ in range(60)]
    assert np.mean([scope_network().of(picture).limb < 0 for picture in pictures]) > 0.9


def test_a_page_of_text_is_not_inverted() -> None:
    page = np.full((400, 300), 255, np.uint8)
    page[20:380:12, 30:270] = 0
    read, shown = understood(radiograph(page))
    assert shown.limb < 0
    np.testing.assert_array_equal(read.pixels, page)
    assert INVERTED_WARNING not in read.warnings


@pytest.fixture
def seen_as(monkeypatch):
    """Replace the network by one that takes images whose first pixel is bright for inverted limbs."""

    class Told:
        @staticmethod
        def of(pixels: np.ndarray) -> Shown:
            return Shown("hand", 1.0, 1.0 if pixels[0, 0] > 127 else -1.0)

    monkeypatch.setattr(module, "scope_network", Told)


def test_inverted_greys_are_exchanged_and_it_is_said(seen_as) -> None:
    film = radiograph(np.linspace(255, 0, 6000).astype(np.uint8).reshape(60, 100))
    read, shown = understood(film)
    np.testing.assert_array_equal(read.pixels, 255 - film.pixels)
    assert not read.pixels.flags.writeable
    assert read.warnings == (INVERTED_WARNING,) and shown.inverted < 0
    kept, _ = understood(film, greys_as_stored=True)
    assert kept is film
    upright = radiograph(255 - film.pixels)
    assert understood(upright)[0] is upright


def test_a_dicom_file_says_itself_which_end_is_white(seen_as, monkeypatch) -> None:
    film = radiograph(np.linspace(255, 0, 6000).astype(np.uint8).reshape(60, 100))
    assert understood(replace(film, header=object()))[0].pixels is film.pixels


def test_damaged_files_are_refused(tmp_path) -> None:
    file = tmp_path / "scope.json"
    file.write_text("{}")
    with pytest.raises(ScopeError):
        ScopeNetwork(file)
    file.write_bytes(FILE.read_bytes())
    (tmp_path / "scope.safetensors").write_bytes(b"no weights")
    with pytest.raises(ScopeError):
        ScopeNetwork(file)


def test_real_limbs_are_in_scope_and_upright_and_noticed_when_inverted(fracatlas_dir) -> None:
    paths = sorted((fracatlas_dir / "images" / "Non_fractured").glob("*.jpg"))[::80]
    read = [read_radiograph(path, accept_cut_short=True).pixels for path in paths]
    upright, inverted = ([scope_network().of(p) for p in pixels] for pixels in (read, [255 - p for p in read]))
    assert np.mean([one.limb >= 0 for one in upright]) >= 0.95
    assert np.mean([one.inverted < 0 for one in upright]) >= 0.95
    assert np.mean([one.inverted >= 0 for one in inverted]) >= 0.8

"""The set-up keeps its word: the requirements are pinned and locked, and the README's figures are the bundle's."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from fracture_core.bundle.loading import DEFAULT_BUNDLE, list_bundles

ROOT = Path(__file__).parents[1]


def pins(name: str) -> dict[str, str]:
    found = re.findall(r"^([A-Za-z0-9_.-]+)(?:\[\w+\])?==([^\s;]+)", (ROOT / name).read_text("utf-8"), re.MULTILINE)
    return {package.lower().replace("_", "-"): version for package, version in found}


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-server.txt", "requirements-dev.txt"])
def test_every_requirement_is_pinned_as_it_is_locked(name):
    lines = [line for line in (ROOT / name).read_text("utf-8").splitlines() if line and line[0] not in "#-"]
    assert len(pins(name)) == len(lines)
    locked = pins("requirements.lock")
    assert {package: locked.get(package) for package in pins(name)} == pins(name)


@pytest.mark.parametrize(
    ("file", "extra"),
    [
        ("requirements.txt", None),
        ("requirements-server.txt", "server"),
        ("requirements-pretrain.txt", "pretrain"),
        ("requirements-dev.txt", "dev"),
    ],
)
def test_every_pin_lies_within_the_range_that_the_package_asks_for(file, extra):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = project["dependencies"] if extra is None else project["optional-dependencies"][extra]
    ranges = {one.name: one.specifier for one in map(Requirement, wanted) if one.name != project["name"]}
    assert set(ranges) == set(pins(file))
    assert {name: pin for name, pin in pins(file).items() if not ranges[name].contains(pin)} == {}


def test_the_lock_names_no_server():
    assert "://" not in (ROOT / "requirements.lock").read_text("utf-8")


def test_the_readmes_figures_are_the_bundles_own():
    if DEFAULT_BUNDLE not in list_bundles():
        pytest.skip(f"needs the bundle {DEFAULT_BUNDLE} in models/")
    from studies.figures import README, all_figures, with_figures

    text = README.read_text("utf-8")
    assert with_figures(text, all_figures()) == text

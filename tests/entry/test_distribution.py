"""What the wheel says of itself, and what it is built and tested with."""

from __future__ import annotations

import importlib.metadata
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]

# Those of examples/ are for users, who may have newer ones.
REQUIREMENTS = [
    *ROOT.glob("tests/requirements*.txt"),
    ROOT / "tests" / "suites" / "requirements.txt",
    ROOT / "bench" / "requirements.txt",
    ROOT / "release" / "requirements.txt",
]


def parsed(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text())


@pytest.fixture(scope="module")
def components() -> dict[str, dict[str, Any]]:
    """The packages that the installed wheel lists, in the form that PEP 770 asks for."""
    files = importlib.metadata.files("ferrio") or []
    (listed,) = (file for file in files if "sboms" in file.parts)
    content = json.loads(listed.read_text(encoding="utf-8"))
    assert content["bomFormat"] == "CycloneDX"
    assert content["metadata"]["component"]["name"] == "ferrio-py"
    return {component["name"]: component for component in content["components"]}


def test_the_wheel_lists_what_is_built_in(components: dict[str, dict[str, Any]]) -> None:
    wanted: set[str] = set()
    for crate in ("ferrio-engine", "ferrio-py"):
        manifest = parsed(ROOT / "crates" / crate / "Cargo.toml")
        wanted |= {*manifest["dependencies"]}
        for target in manifest.get("target", {}).values():
            wanted |= {*target["dependencies"]}
    assert wanted >= {"ferrio-engine", "pyo3", "rustix", "libc"}
    assert components.keys() >= wanted


def test_listed_versions_are_the_locked_ones(components: dict[str, dict[str, Any]]) -> None:
    locked = {(p["name"], p["version"]) for p in parsed(ROOT / "Cargo.lock")["package"]}
    for name, component in components.items():
        assert (name, component["version"]) in locked
        assert component["licenses"], name


@pytest.mark.parametrize("file", REQUIREMENTS, ids=lambda file: str(file.relative_to(ROOT)))
def test_tools_are_pinned(file: Path) -> None:
    lines = [line.partition("#")[0].strip() for line in file.read_text().splitlines()]
    pins = [line for line in lines if line]
    assert pins
    loose = [pin for pin in pins if not re.match(r"[\w.-]+(\[[\w,-]+\])?==[\w.!+]+(\s*;|$)", pin)]
    assert not loose


def test_a_wheel_is_built_by_the_tested_maturin() -> None:
    (required,) = parsed(ROOT / "pyproject.toml")["build-system"]["requires"]
    assert required in (ROOT / "tests" / "requirements.txt").read_text().splitlines()

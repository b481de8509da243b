"""What tests of tables and plots begin with."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def load(path: Path) -> ModuleType:
    """A script that belongs to no package: it is for the repository, not for users."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def script() -> ModuleType:
    """bench/figures.py."""
    return load(ROOT / "bench" / "figures.py")


def environment(rounds: int) -> dict[str, Any]:
    """Where and how results came about that were made up."""
    return {
        "python": "3.14.1",
        "date": "2030-01-02T03:04:05+00:00",
        "cpu": "A CPU",
        "cpus": 2,
        "system": "Linux 6",
        "compiler": "GCC",
        "rounds": rounds,
        "seconds": 1.0,
        "load_generator": "ferrio-load",
        "load_average": 0.0,
    }

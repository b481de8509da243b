"""What `pip install .` builds, by pip's hook: bench/load/backend.py."""

from __future__ import annotations

import importlib
import types
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2] / "bench" / "load"


class Built:
    """In maturin's place, and in cargo's."""

    def __init__(self) -> None:
        self.load_generators = 0
        self.settings: list[dict[str, Any]] = []

    def build_wheel(self, directory: str, settings: dict[str, Any], *more: Any) -> str:
        self.settings.append(settings)
        return f"{directory}/ferrio.whl"

    def build(self) -> None:
        self.load_generators += 1


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("backend")


@pytest.fixture
def built(backend: types.ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Built:
    built = Built()
    monkeypatch.setattr(backend, "maturin", lambda: built)
    monkeypatch.setattr(backend, "build", built.build)
    monkeypatch.setattr(backend, "PROGRAM", tmp_path / "ferrio-load")
    return built


def test_the_load_generator_is_built_if_asked_for(backend: Any, built: Built) -> None:
    settings = {"load-generator": "yes", "build-args": "--profile release"}
    assert backend.build_wheel("wheels", settings, None) == "wheels/ferrio.whl"
    assert built.load_generators == 1
    # maturin knows no such setting.
    assert built.settings == [{"build-args": "--profile release"}]
    assert "load-generator" in settings


@pytest.mark.parametrize("settings", [None, {}, {"load-generator": "no"}])
def test_it_is_not_built_otherwise_nor_is_an_old_one_taken(
    backend: Any, built: Built, settings: dict[str, Any] | None
) -> None:
    backend.PROGRAM.write_text("of an earlier build")
    backend.build_wheel("wheels", settings)
    assert built.load_generators == 0
    assert not backend.PROGRAM.exists()


def test_a_misspelt_answer_is_refused(backend: Any, built: Built) -> None:
    with pytest.raises(ValueError, match="load-generator is yes or no, not 'true'"):
        backend.build_wheel("wheels", {"load-generator": "true"})
    assert built.settings == []


def test_it_says_what_it_builds(
    backend: Any, built: Built, capsys: pytest.CaptureFixture[str]
) -> None:
    backend.build_wheel("wheels", {"load-generator": "yes"})
    said = capsys.readouterr().err.splitlines()
    assert [line.split(";")[0] for line in said] == [
        "ferrio: the load generator of `ferrio bench`",
        "ferrio: the extension module",
    ]

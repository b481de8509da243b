"""What is said while something takes long."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

FILE = Path(__file__).parents[2] / "bench" / "load" / "progress.py"


@pytest.fixture
def progress() -> ModuleType:
    spec = importlib.util.spec_from_file_location("progress", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_silence_is_told(progress: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SILENCE", 0.01)
    end, begin = os.pipe()
    lines = progress.lines_of(end)
    os.write(begin, b"one\n")
    assert next(line for line in lines if line is not None) == "one"
    # Nothing is written until it has been.
    assert next(lines) is None
    os.write(begin, b"two\n")
    os.close(begin)
    assert [line for line in lines if line] == ["two"]
    os.close(end)


def test_the_status_and_what_went_wrong_come_through(
    progress: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    program = "import sys; print('trouble', file=sys.stderr); sys.exit(3)"
    assert progress.run([sys.executable, "-c", program], "failing") == 3
    assert "trouble\n" in capsys.readouterr().out


@pytest.mark.parametrize("word", ["    Building ", "  "])
def test_cargos_bar_is_told_in_words(
    word: str, progress: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    bar = f"{word}[=====>    ] 40/41: syn, ferrio-py      "
    progress.narrate(iter(["   Compiling syn v3.0.10", bar, None]), "compiling")
    assert capsys.readouterr().out.splitlines() == [
        "   Compiling syn v3.0.10",
        "compiling: 0 s, 40 of 41 crates, now syn, ferrio-py",
    ]


def test_lines_are_whole_however_they_come(progress: ModuleType) -> None:
    end, begin = os.pipe()
    writer = subprocess.Popen(
        ["/bin/sh", "-c", r"printf 'a\rb\r\n\033[1mc\033[0m\nd'"], stdout=begin
    )
    os.close(begin)
    assert [line for line in progress.lines_of(end) if line is not None] == ["a", "b", "c", "d"]
    assert writer.wait() == 0
    os.close(end)

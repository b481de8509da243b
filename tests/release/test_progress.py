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


def test_a_silence_is_filled(
    progress: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "SILENCE", 0.01)
    program = "import time; print('one', flush=True); time.sleep(0.5); print('two')"
    assert progress.run([sys.executable, "-c", program], "sleeping") == 0
    first, *filled, last = capsys.readouterr().out.splitlines()
    # Python's own start is a silence too.
    assert "one" in (first, *filled)
    assert last == "two"
    assert any(line.startswith("sleeping: ") for line in filled)


def test_the_status_and_what_went_wrong_come_through(
    progress: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    program = "import sys; print('trouble', file=sys.stderr); sys.exit(3)"
    assert progress.run([sys.executable, "-c", program], "failing") == 3
    assert "trouble\n" in capsys.readouterr().out


def test_cargos_bar_is_told_in_words(
    progress: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    bar = "    Building [=====>    ] 40/41: syn, ferrio-py      "
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

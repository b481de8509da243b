"""What is answered to what cannot be meant so: one line, which ends in what to type."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from .command import FERRIO, Command, python

FERRIO_COMMAND = Command([FERRIO])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder in which something can be run."""
    (tmp_path / "app.py").write_text("import sys; print('app', sys.argv[1:])")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").touch()
    (tmp_path / "package" / "tool.py").write_text("print('tool')")
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "main.py").write_text("print('main')")
    (tmp_path / "programs" / "one").mkdir(parents=True)
    (tmp_path / "programs" / "one" / "__main__.py").write_text("print('one')")
    (tmp_path / "text").write_text("none of Python's")
    return tmp_path


@pytest.mark.parametrize(
    ("typed", "instead"),
    [
        ("app.py 1", "ferrio run app.py 1"),
        ("rnu app.py 1", "ferrio run app.py 1"),
        ("inof --json", "ferrio info --json"),
        ("--lop asyncio app.py", "ferrio run --loop asyncio app.py"),
        ("--loop asyncio app.py", "ferrio run --loop asyncio app.py"),
        ("-m package.tool", "ferrio run -m package.tool"),
        ("package.tool", "ferrio run -m package.tool"),
        ("json.tool text", "ferrio run -m json.tool text"),
        ("pytest -q", "ferrio run pytest -q"),
        ("--versoin", "ferrio --version"),
        ("run --lop asyncio app.py 1", "ferrio run --loop asyncio app.py 1"),
        ("run --lop=asyncio app.py", "ferrio run --loop=asyncio app.py"),
        ("run -u --degub --loop asyncio app.py", "ferrio run -u --debug --loop asyncio app.py"),
        ("run --loop asnycio app.py", "ferrio run --loop asyncio app.py"),
        ("run --loop=asnycio app.py", "ferrio run --loop=asyncio app.py"),
        ("run --relaod app.py", "ferrio run --reload app.py"),
        ("run --watch src app.py", "ferrio run --reload --watch src ..."),
        ("run", "ferrio run app.py"),
        ("run ap.py 1", "ferrio run app.py 1"),
        ("run app 1", "ferrio run app.py 1"),
        ("run src/mian.py", "ferrio run src/main.py"),
        ("run src", "ferrio run src/main.py"),
        ("run programs", "ferrio run programs/one"),
        ("run package.tool 1", "ferrio run -m package.tool 1"),
        ("run json.tool", "ferrio run -m json.tool"),
        ("run python app.py", "ferrio run app.py"),
        ("cookbook shw sockets", "ferrio cookbook show sockets"),
        ("cookbook run --debgu sockets", "ferrio cookbook run --debug sockets"),
        ("info --jsn", "ferrio info --json"),
        ("bench --qick", "ferrio bench --quick"),
        ("completion", "ferrio completion bash"),
        ("completion bsh", "ferrio completion bash"),
    ],
)
def test_mistakes_are_answered_with_what_to_type(typed: str, instead: str, folder: Path) -> None:
    outcome = FERRIO_COMMAND.run(typed.split(), cwd=folder)
    assert (outcome.status, outcome.stdout) == (2, "")
    (line,) = outcome.stderr.splitlines()
    # The rest of the line is the whole command, with nothing behind it.
    assert line.endswith((f": {instead}", f"{instead} (more: ferrio run --help)")), line


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("walk", "there is no command 'walk'; commands are run, compare,"),
        ("run --nonsense app.py", "ferrio run app.py --nonsense ..."),
        ("run -m", "MODULE is missing, as in: ferrio run -m package.module"),
        ("run -c", "CODE is missing, as in: ferrio run -c 'print(1)'"),
        ("run --reload --watch none app.py", "--watch none: there is no such file or folder"),
        ("run --reload --profile app.py", "--profile profiles one run"),
        ("run --profile=a.exe app.py", "has to end in one of .svg, .json, .txt, .prof"),
        ("run --profile=none/a.svg app.py", "there is no folder none"),
        ("completion tcsh", "there is no shell 'tcsh'; there are: bash, zsh, fish"),
        ("info more", "nobody knows what to do with 'more' (try: ferrio info --help)"),
    ],
)
def test_other_mistakes(typed: str, said: str, folder: Path) -> None:
    outcome = FERRIO_COMMAND.run(typed.split(), cwd=folder)
    assert (outcome.status, outcome.stdout) == (2, "")
    (line,) = outcome.stderr.splitlines()
    assert said in line


def test_what_is_proposed_can_be_run(folder: Path) -> None:
    for words, printed in [
        (["src/main.py"], "main\n"),
        (["programs/one"], "one\n"),
        (["-m", "package.tool"], "tool\n"),
        (["app.py", "1"], "app ['1']\n"),
    ]:
        outcome = FERRIO_COMMAND.run(["run", *words], cwd=folder)
        assert (outcome.status, outcome.stdout) == (0, printed)


@pytest.mark.parametrize("target", ["missing.py", "empty", "text.txt", "no.such.module"])
def test_where_nothing_is_known_the_interpreter_speaks(target: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    expected = python().run([target], cwd=tmp_path)
    outcome = FERRIO_COMMAND.run(["run", target], cwd=tmp_path)
    assert expected.status != 0
    assert outcome.stderr.replace(FERRIO, "") == expected.stderr.replace(FERRIO, "")
    assert outcome.status == expected.status


def test_nothing_is_imported_to_find_out(tmp_path: Path) -> None:
    (tmp_path / "loud").mkdir()
    (tmp_path / "loud" / "__init__.py").write_text("print('imported')")
    (tmp_path / "loud" / "tool.py").touch()
    outcome = FERRIO_COMMAND.run(["run", "loud.tool"], cwd=tmp_path)
    assert outcome.stdout == ""
    assert outcome.stderr.endswith("ferrio run -m loud.tool\n")
    assert not os.path.exists(tmp_path / "loud" / "__pycache__")

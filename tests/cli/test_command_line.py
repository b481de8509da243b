"""What can be typed behind `ferrio run`, and what is answered to what cannot."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from ferrio._command_line import CommandLine, MistakeError

from .command import FERRIO, Command, ferrio_run, python, python_m_ferrio_run

FERRIO_COMMAND = Command([FERRIO])


@pytest.mark.parametrize(
    ("words", "own", "interpreter", "program"),
    [
        ("app.py -u --debug", "", "", "app.py -u --debug"),
        ("--debug -u app.py -X dev", "--debug", "-u", "app.py -X dev"),
        ("-Xdev -Werror app.py", "", "-X dev -W error", "app.py"),
        ("-X dev -W error app.py", "", "-X dev -W error", "app.py"),
        ("-um pkg -u", "", "-u", "-m pkg -u"),
        ("-mpkg -u", "", "", "-m pkg -u"),
        ("-m --debug pkg --debug", "--debug", "", "-m pkg --debug"),
        ("-OOBc pass -x", "", "-O -O -B", "-c pass -x"),
        ("-c -x", "", "", "-c -x"),
        ("-bb -uXdev - -m", "", "-b -b -u -X dev", "- -m"),
        ("--loop asyncio -I -- app.py", "--loop asyncio", "-I", "app.py"),
        ("--loop=asyncio app.py", "--loop=asyncio", "", "app.py"),
        (
            "--check-hash-based-pycs always app.py",
            "",
            "--check-hash-based-pycs always",
            "app.py",
        ),
        ("-h", "--help", "", ""),
        ("-V", "--version", "", ""),
        ("--version app.py", "--version", "", "app.py"),
        ("-m", "", "", "-m"),
        ("", "", "", ""),
    ],
)
def test_words_are_sorted(words: str, own: str, interpreter: str, program: str) -> None:
    line = CommandLine.parse(words.split())
    assert " ".join(line.own) == own
    assert " ".join(line.interpreter) == interpreter
    assert " ".join(line.program) == program


@pytest.mark.parametrize(
    ("words", "like"),
    [
        ("--degub app.py", "--debug"),
        ("-debug app.py", "--debug"),
        ("--loop_only app.py", "--loop-only"),
        ("--ctasks app.py", "--c-tasks"),
        ("--keep-loop app.py", "--keep-loops"),
        ("--no-child app.py", "--no-children"),
        ("-loop asyncio app.py", "--loop"),
    ],
)
def test_misspelt_options(words: str, like: str) -> None:
    with pytest.raises(MistakeError, match=f"did you mean: ferrio run {like} "):
        CommandLine.parse(words.split())


#: What options of the interpreter do to a program.
SEEN = """
import sys
print(sys.flags, sys.warnoptions, sys._xoptions, sys.argv, __debug__, sys.path)
print(sys.stdout.write_through, sys.dont_write_bytecode)
"""


@pytest.mark.parametrize(
    "options",
    [
        ["-X", "dev"],
        ["-Xutf8", "-X", "importtime=0"],
        ["-W", "error", "-Wignore::DeprecationWarning"],
        ["-u"],
        ["-OO", "-B"],
        ["-E", "-s"],
        ["-I"],
        ["-P"],
        ["-b", "-q"],
        ["--check-hash-based-pycs", "never"],
    ],
)
@pytest.mark.parametrize(
    "form", [pytest.param(FERRIO_COMMAND, id="ferrio"), pytest.param(None, id="python-m")]
)
def test_options_of_the_interpreter(
    options: list[str], form: Command | None, tmp_path: Path
) -> None:
    if options[1:] == ["-X", "importtime=0"] and sys.version_info < (3, 14):
        options = options[:1]
    (tmp_path / "app.py").write_text(SEEN)
    program = ["app.py", "x", "-u"]
    expected = python(*options).run(program, cwd=tmp_path)
    assert expected.status == 0, expected
    words = python("-m", "ferrio").words if form is None else form.words
    outcome = Command([*words, "run", *options]).run(program, cwd=tmp_path)
    assert outcome == expected


def test_they_join_those_that_are_there(tmp_path: Path) -> None:
    program = ["-c", SEEN]
    expected = python("-X", "dev", "-O", "-u").run(program, cwd=tmp_path)
    form = python_m_ferrio_run("-X", "dev")
    assert Command([*form.words, "-O", "-u"]).run(program, cwd=tmp_path) == expected
    assert Command([*form.words, "-Ouc", SEEN]).run([], cwd=tmp_path) == expected


def test_own_options_stand_among_them(tmp_path: Path) -> None:
    program = "import asyncio; loop = asyncio.new_event_loop(); print(type(loop), loop.get_debug())"
    words = ["-W", "ignore", "--loop", "asyncio", "-u", "--debug", "-c", program]
    outcome = ferrio_run().run(words, cwd=tmp_path)
    assert (outcome.status, outcome.stdout) == (
        (0, "<class 'asyncio.unix_events._UnixSelectorEventLoop'> True\n")
    )


def test_verbose(tmp_path: Path) -> None:
    outcome = ferrio_run("-v").run(["-c", "print(1)"], cwd=tmp_path)
    assert (outcome.status, outcome.stdout) == (0, "1\n")
    assert "import 'asyncio'" in outcome.stderr


@pytest.mark.parametrize(
    "source",
    ["x = 1", "x = 2\n1 / 0", "import sys\nx = 3\nsys.exit(4)", "x = 5\nraise KeyboardInterrupt"],
)
def test_interactive(source: str, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(source)
    stdin = "print('x', x, __name__)\n"
    expected = python("-i").run(["app.py"], cwd=tmp_path, stdin=stdin)
    assert expected.stdout.startswith("x ")
    assert ferrio_run("-i").run(["app.py"], cwd=tmp_path, stdin=stdin) == expected


def test_without_site_packages(tmp_path: Path) -> None:
    outcome = ferrio_run("-S").run(["-c", "print(1)"], cwd=tmp_path)
    assert (outcome.status, outcome.stdout) == (2, "")
    assert outcome.stderr == "ferrio run: -S would hide ferrio from the interpreter\n"


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("app.py --port 1", "to run a program: ferrio run app.py --port 1"),
        ("missing.py", "to run a program: ferrio run missing.py"),
        ("./app", "there is no file ./app; did you mean: ferrio run ./app.py"),
        ("-m uvicorn app:app", "to run a program: ferrio run -m uvicorn app:app"),
        ("--debug app.py", "to run a program: ferrio run --debug app.py"),
        ("-X dev app.py", "to run a program: ferrio run -X dev app.py"),
        ("rum app.py", "there is no command 'rum'; did you mean: ferrio run app.py"),
        ("benhc", "there is no command 'benhc'; did you mean: ferrio bench"),
        ("ap.py --port 1", "there is no file ap.py; did you mean: ferrio run app.py --port 1"),
        ("help", "did you mean: ferrio --help"),
        ("help run", "did you mean: ferrio run --help"),
        ("version", "did you mean: ferrio --version"),
        ("-V", "did you mean: ferrio --version"),
        # A command of the system's, and no program in Python.
        ("install", "there is no command 'install'; commands are "),
        ("pytest -q", "to run a program: ferrio run pytest -q"),
        ("run --port 1 app.py", "behind its name: ferrio run app.py --port ..."),
        ("run --degub app.py", "did you mean: ferrio run --debug app.py"),
        ("run -Z app.py", "there is no option -Z"),
        ("run python app.py", "python is not needed: ferrio run app.py"),
        ("run python3 -m pytest", "python3 is not needed: ferrio run -m pytest"),
        ("run -X", "something has to follow -X"),
        ("run -uW", "something has to follow -W"),
        ("run --check-hash-based-pycs", "something has to follow --check-hash-based-pycs"),
        ("run python", "python is not needed: ferrio run FILE"),
    ],
)
def test_answers(words: str, answer: str, tmp_path: Path) -> None:
    (tmp_path / "app.py").touch()
    outcome = FERRIO_COMMAND.run(words.split(), cwd=tmp_path)
    assert (outcome.status, outcome.stdout) == (2, "")
    assert answer in outcome.stderr


@pytest.mark.parametrize("word", ["--version", "-V"])
def test_version(word: str, tmp_path: Path) -> None:
    outcome = FERRIO_COMMAND.run(["run", word], cwd=tmp_path)
    assert outcome == FERRIO_COMMAND.run(["--version"], cwd=tmp_path)
    assert (outcome.status, outcome.stderr) == (0, "")


def script(path: Path, first_line: str, source: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"{first_line}\n{source}")
    path.chmod(0o755)


class TestCommandsByName:
    @pytest.fixture
    def form(self, tmp_path: Path) -> Command:
        path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
        return Command(ferrio_run().words, {"PATH": path})

    def test_are_run(self, form: Command, tmp_path: Path) -> None:
        path = tmp_path / "bin" / "tool"
        script(path, f"#!{sys.executable}", SEEN + "sys.exit(3)")
        expected = python().run([str(path), "x", "-m"], cwd=tmp_path)
        assert expected.status == 3
        assert form.run(["tool", "x", "-m"], cwd=tmp_path) == expected
        # A folder that happens to have its name is none that can be run.
        (tmp_path / "tool").mkdir()
        assert form.run(["tool", "x", "-m"], cwd=tmp_path) == expected

    def test_that_are_too_long_for_the_first_line(self, form: Command, tmp_path: Path) -> None:
        path = tmp_path / "bin" / "tool"
        script(path, "#!/bin/sh", f"'''exec' \"{sys.executable}\" \"$0\" \"$@\"\n' '''\nprint(1)")
        assert form.run(["tool"], cwd=tmp_path).stdout == "1\n"

    def test_files_come_first(self, form: Command, tmp_path: Path) -> None:
        script(tmp_path / "bin" / "tool", f"#!{sys.executable}", "print('command')")
        (tmp_path / "tool").write_text("print('file')")
        assert form.run(["tool"], cwd=tmp_path).stdout == "file\n"

    def test_beside_the_interpreter(self, tmp_path: Path) -> None:
        """As in an environment that is not active."""
        form = Command(ferrio_run().words, {"PATH": "/usr/bin"})
        outcome = form.run(["pytest", "--version"], cwd=tmp_path)
        assert (outcome.status, outcome.stdout[:7]) == (0, "pytest ")

    @pytest.mark.parametrize(
        ("first_line", "answer"),
        [
            ("#!/bin/sh", "is not a Python program"),
            ("\x7fELF", "is not a Python program"),
            ("#!/elsewhere/bin/python3", "belongs to /elsewhere/bin/python3, and ferrio to "),
        ],
    )
    def test_of_others(self, form: Command, first_line: str, answer: str, tmp_path: Path) -> None:
        script(tmp_path / "bin" / "tool", first_line, "")
        outcome = form.run(["tool"], cwd=tmp_path)
        assert (outcome.status, outcome.stdout) == (2, "")
        assert answer in outcome.stderr

    def test_that_do_not_exist(self, form: Command, tmp_path: Path) -> None:
        expected = python().run(["no-such-command"], cwd=tmp_path)
        assert form.run(["no-such-command"], cwd=tmp_path) == expected

"""`ferrio cookbook`: the list, what is shown of a recipe, and running one."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ferrio import _cookbook, _run
from ferrio._choice import Choice
from ferrio._cookbook import first_sentence
from ferrio._cookbook.commands import Reader
from ferrio._cookbook.requirement import Requirement, install_command, release

from .command import FERRIO, Command

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FOLDERS = sorted(path.parent.name for path in EXAMPLES.glob("*/__main__.py"))

COOKBOOK = Command([FERRIO, "cookbook"], {"COLUMNS": "100"})


@pytest.fixture
def kitchen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for recipes, which are looked for there and nowhere else."""
    monkeypatch.setattr(_cookbook, "RECIPES", tmp_path)
    return tmp_path


def write_recipe(kitchen: Path, name: str, requirements: str | None = None) -> None:
    folder = kitchen / name
    folder.mkdir()
    (folder / "__main__.py").write_text('"""Greets. And more."""\nprint("hello")\n')
    (folder / "README.md").write_text(f"# {name}\n\nAll about\n`{name}`. A second sentence.\n")
    if requirements is not None:
        (folder / "requirements.txt").write_text(requirements)


def test_the_installed_package_has_every_recipe_of_the_repository(tmp_path: Path) -> None:
    outcome = COOKBOOK.run([], cwd=tmp_path)
    assert (outcome.status, outcome.stderr) == (0, "")
    listed = re.findall(r"^  (\w+) ", outcome.stdout, re.MULTILINE)
    assert sorted(listed) == FOLDERS
    assert COOKBOOK.run(["list"], cwd=tmp_path).stdout == outcome.stdout


@pytest.mark.parametrize("name", FOLDERS)
def test_recipes_of_the_repository(name: str, tmp_path: Path) -> None:
    """Each says in a sentence what it is, and is installed as it is in the repository."""
    recipe = _cookbook.recipe_named(name)
    assert recipe.summary.endswith(".")
    assert all(requirement.text for requirement in recipe.requirements())
    assert all(need.what for need in recipe.needs())
    assert recipe.seconds() is not None, f"make cookbook-durations ARGS={name}"
    for path in recipe.files:
        assert path.read_bytes() == (EXAMPLES / name / path.relative_to(recipe.folder)).read_bytes()


#: A loop of asyncio's cannot be another loop's guest; the file says that it is the one exception.
KNOWS_FERRIO = EXAMPLES / "threads" / "loop_guest.py"


@pytest.mark.parametrize("name", FOLDERS)
def test_recipes_know_nothing_of_ferrio(name: str) -> None:
    for file in {*(EXAMPLES / name).rglob("*.py")} - {KNOWS_FERRIO}:
        assert not re.search(r"^\s*(import|from)\s+ferrio", file.read_text(), re.MULTILINE), file


def test_list_is_in_the_order_of_reading(kitchen: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("aardvarks", "sockets", "concurrency"):
        write_recipe(kitchen, name)
    (kitchen / "unfinished").mkdir()
    assert _cookbook.list_recipes() == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        "  concurrency  All about concurrency.",
        "  sockets      All about sockets.",
        "  aardvarks    All about aardvarks.",
    ]


def test_an_empty_cookbook_is_an_error(kitchen: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        _cookbook.list_recipes()
    assert exit_info.value.code == 1
    assert str(kitchen) in capsys.readouterr().err


def test_show_prints_the_readme_and_what_each_file_is(
    kitchen: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_recipe(kitchen, "sockets")
    (kitchen / "sockets" / "a_part.py").write_text('"""A part\nof it. More."""\n')
    (kitchen / "sockets" / "__pycache__").mkdir()
    (kitchen / "sockets" / "__pycache__" / "a_part.pyc").touch()
    assert _cookbook.show("sockets", None) == 0
    output = capsys.readouterr().out
    assert output.startswith("# sockets\n\nAll about\n`sockets`.")
    assert (
        f"Files in {kitchen / 'sockets'}:\n\n"
        "  README.md\n"
        "  __main__.py  Greets.\n"
        "  a_part.py    A part of it.\n"
    ) in output


def test_the_list_says_how_long_it_takes_and_what_it_needs(
    kitchen: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "90")
    write_recipe(kitchen, "sockets")
    write_recipe(kitchen, "queues", "pytest>=1\nno-such-package  # for: crawler, background\n")
    (kitchen / "queues" / "recipe.toml").write_text(
        '[needs]\n"a server" = []\n"a display" = ["crawler"]\n'
    )
    (kitchen / "durations.toml").write_text("[seconds]\nqueues = 3.6\n")
    assert _cookbook.list_recipes() == 0
    assert capsys.readouterr().out.splitlines()[:4] == [
        "  sockets  All about sockets.",
        "  queues   All about queues.",
        "           - 4 s; needs pytest, a server; for crawler: no-such-package (not installed), a",
        "             display; for background: no-such-package (not installed)",
    ]


README = """\
# queues

```console
$ ferrio run examples/queues                      # all
$ ferrio run --loop asyncio examples/queues       # on asyncio
$ ferrio run examples/queues crawler --pages 5
$ python examples/postgres/embedded.py            # a server
```

`python examples/queues` runs it, too; see examples/queues/crawler.py.

[`Crawler.crawl` in crawler.py](crawler.py "code: Crawler.crawl; marked: join")
"""


@pytest.mark.parametrize("command", ["ferrio", "python -m ferrio"])
def test_commands_of_an_installed_recipe_can_be_typed_anywhere(
    command: str, tmp_path: Path
) -> None:
    reader = Reader(tmp_path, Path("/site/_recipes"), command, "python3")
    width = len("$  cookbook run --loop asyncio queues") + len(command)
    width = max(width, len("$ python3 /site/_recipes/postgres/embedded.py"))
    assert reader.rewritten("queues", README) == (
        "# queues\n\n```console\n"
        f"{f'$ {command} cookbook run queues':<{width}}  # all\n"
        f"{f'$ {command} cookbook run --loop asyncio queues':<{width}}  # on asyncio\n"
        f"$ {command} cookbook run queues crawler --pages 5\n"
        f"{'$ python3 /site/_recipes/postgres/embedded.py':<{width}}  # a server\n"
        "```\n\n"
        "`python3 /site/_recipes/queues` runs it, too; see /site/_recipes/queues/crawler.py.\n\n"
        f"`Crawler.crawl` in crawler.py: `{command} cookbook show queues crawler.py`\n"
    )


def test_commands_in_a_clone_stay_as_they_are_written(tmp_path: Path) -> None:
    for name in ("queues", "postgres"):
        (tmp_path / "examples" / name).mkdir(parents=True)
        (tmp_path / "examples" / name / "__main__.py").touch()
    reader = Reader(tmp_path, Path("/site/_recipes"), "ferrio", "python")
    commands = README.partition("\n[")[0]
    words = [line.split("  #")[0].rstrip() for line in commands.splitlines()]
    shown = reader.rewritten("queues", commands).splitlines()
    assert [line.split("  #")[0].rstrip() for line in shown] == words


@pytest.mark.parametrize("name", FOLDERS)
def test_no_command_of_a_readme_names_what_is_not_there(name: str, tmp_path: Path) -> None:
    """Of an installed recipe, followed anywhere."""
    recipe = _cookbook.recipe_named(name)
    text = Reader(tmp_path, _cookbook.RECIPES, "ferrio", "python").rewritten(name, recipe.readme)
    assert "examples/" not in text
    for named in re.findall(r"python (/\S+/_recipes/[\w./]+)", text):
        assert Path(named).exists()


@pytest.mark.parametrize("in_clone", [True, False])
def test_what_show_says_to_type_works(in_clone: bool, tmp_path: Path) -> None:
    """By `ferrio` where that is on PATH, and else as it was called."""
    folder = EXAMPLES.parent if in_clone else tmp_path
    bare = {"PATH": "/usr/bin:/bin"}
    for command, environment in [
        (Command([FERRIO, "cookbook"], {}), {"PATH": f"{Path(FERRIO).parent}:/usr/bin:/bin"}),
        (Command([FERRIO, "cookbook"], bare), bare),
        (Command([sys.executable, "-m", "ferrio", "cookbook"], bare), bare),
    ]:
        command = Command(command.words, environment)
        shown = command.run(["show", "concurrency"], cwd=folder).stdout
        section = shown.partition("To run it here")[2].splitlines()
        for_all, for_help = [line.strip() for line in section if line.startswith("  ")]
        assert for_help == f"{for_all} --help"
        assert ("examples/concurrency" in for_all) is in_clone
        done = subprocess.run(
            for_help, shell=True, cwd=folder, env=os.environ | environment, capture_output=True
        )
        assert done.returncode == 0, done.stderr
        assert b"usage: " in done.stdout


def test_packages_are_installed_by_what_this_environment_has(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    needed = [Requirement.parse("aiohttp>=3.10"), Requirement.parse("numpy")]
    monkeypatch.setenv("PATH", str(tmp_path))
    python = sys.executable
    assert install_command(needed) == f"{python} -m pip install 'aiohttp>=3.10' 'numpy'"
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert install_command(needed).startswith(f"{python} -m ensurepip && {python} -m pip install")
    (tmp_path / "uv").touch(0o755)
    assert install_command(needed) == (f"uv pip install --python {python} 'aiohttp>=3.10' 'numpy'")


def test_show_prints_a_file(kitchen: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_recipe(kitchen, "sockets")
    assert _cookbook.show("sockets", "__main__.py") == 0
    assert capsys.readouterr().out == '"""Greets. And more."""\nprint("hello")\n'


def test_a_copy_runs_by_the_commands_of_its_readme(tmp_path: Path) -> None:
    outcome = COOKBOOK.run(["copy", "cluster"], cwd=tmp_path)
    assert (outcome.status, outcome.stderr) == (0, "")
    assert outcome.stdout == (
        f"copied examples/cluster\ncopied examples/cpu_bound\n\n  {FERRIO} run examples/cluster\n"
    )
    program = tmp_path / "examples" / "cluster" / "__main__.py"
    assert program.read_bytes() == (EXAMPLES / "cluster" / "__main__.py").read_bytes()
    again = COOKBOOK.run(["copy", "cluster"], cwd=tmp_path)
    assert (again.status, again.stdout) == (1, "")
    assert again.stderr.startswith("ferrio cookbook: examples/cluster is there already")

    other = COOKBOOK.run(["copy", "concurrency"], cwd=tmp_path)
    assert other.status == 0
    command = Command([FERRIO, "run"]).run(["examples/concurrency", "sequential"], cwd=tmp_path)
    assert (command.status, command.stderr) == (0, "")


@pytest.mark.parametrize("name", FOLDERS)
def test_a_recipe_names_the_recipes_whose_files_it_uses(name: str) -> None:
    texts = [file.read_text() for file in (EXAMPLES / name).glob("*.py")]
    used = {other for text in texts for other in re.findall(r'parents\[1\] / "(\w+)"', text)}
    beside = {recipe.name for recipe in _cookbook.recipe_named(name).beside()}
    assert beside == used


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["show", "soufflé"], "there is no recipe 'soufflé' (there are: "),
        (["show", "socket"], "there is no recipe 'socket'; did you mean sockets? (there are: "),
        (["run", "soufflé"], "there is no recipe 'soufflé' (there are: "),
        (["show", "encyclopedia", "x.py"], "encyclopedia has no file 'x.py' (it has: README.md, "),
        (["run"], "NAME is missing"),
        (["show"], "NAME"),
        (["cook"], "there is no command 'cook'"),
    ],
)
def test_mistakes(arguments: list[str], complaint: str, tmp_path: Path) -> None:
    outcome = COOKBOOK.run(arguments, cwd=tmp_path)
    assert (outcome.status, outcome.stdout) == (2, "")
    assert complaint in outcome.stderr


@pytest.mark.parametrize(
    ("options", "loop"), [([], "ferrio.Loop"), (["--loop", "asyncio"], "asyncio.")]
)
def test_run(options: list[str], loop: str, tmp_path: Path) -> None:
    outcome = COOKBOOK.run(["run", *options, "encyclopedia", "--pages", "20"], cwd=tmp_path)
    assert (outcome.status, outcome.stderr) == (0, "")
    assert outcome.stdout.startswith(f"running on {loop}")
    assert "serving 20 articles" in outcome.stdout


def test_help_of_a_recipe_is_the_recipes(tmp_path: Path) -> None:
    outcome = COOKBOOK.run(["run", "encyclopedia", "--help"], cwd=tmp_path)
    assert outcome.status == 0
    assert "--crowd" in outcome.stdout


def test_help_of_a_recipe_names_what_is_there(tmp_path: Path) -> None:
    outcome = COOKBOOK.run(["run", "concurrency", "--help"], cwd=tmp_path)
    assert "examples/" not in outcome.stdout
    assert f"    {FERRIO} cookbook run concurrency blocking " in outcome.stdout
    in_clone = COOKBOOK.run(["run", "concurrency", "--help"], cwd=EXAMPLES.parent)
    assert " examples/concurrency" in in_clone.stdout


def test_help(tmp_path: Path) -> None:
    outcome = COOKBOOK.run(["--help"], cwd=tmp_path)
    assert outcome.status == 0
    for word in ("usage: ferrio cookbook", "show NAME", "run NAME", "examples:", "--loop asyncio"):
        assert word in outcome.stdout
    assert max(map(len, outcome.stdout.splitlines())) <= 100


def test_missing_packages_are_named_with_the_command_that_installs_them(
    kitchen: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    write_recipe(
        kitchen,
        "sockets",
        "# what it needs\n"
        "pytest>=1\n"
        "pytest >= 4000\n"
        "no-such-package-anywhere[extra]>=1.5  # a comment\n"
        "no-such-backport ; python_version < '3.11'\n",
    )
    with pytest.raises(SystemExit) as exit_info:
        _cookbook.run("sockets", [], choice=Choice())
    assert exit_info.value.code == 1
    missing = capsys.readouterr().err
    assert missing == (
        "ferrio cookbook: sockets needs packages that are not installed here: "
        "pytest>=4000, no-such-package-anywhere[extra]>=1.5\n"
        "To install them:\n\n"
        f"  {sys.executable} -m pip install "
        "'pytest>=4000' 'no-such-package-anywhere[extra]>=1.5'\n"
    )
    assert _cookbook.show("sockets", None) == 0
    section = capsys.readouterr().out.partition("To run it here")[2]
    assert section.splitlines()[2] == (
        f"  {sys.executable} -m pip install 'pytest>=4000' 'no-such-package-anywhere[extra]>=1.5'"
    )


def test_a_recipe_runs_without_the_packages_of_its_parts(
    kitchen: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says itself what it leaves out: tests/cookbook/test_parts.py."""
    write_recipe(kitchen, "sockets", "no-such-package  # for: crawler\n")
    monkeypatch.setattr(_run, "run", lambda program, arguments, **options: len(arguments))
    assert _cookbook.run("sockets", ["crawler", "--pages=2"], choice=Choice()) == 2


@pytest.mark.parametrize(
    ("line", "applies"),
    [
        ("numpy; python_version < '3.11'", False),
        ("numpy>=2 ; python_version < '3.99'", True),
        ('numpy; python_version >= "3.11"', True),
        ('numpy; python_version >= "3.99"', False),
    ],
)
def test_requirements_of_some_pythons_only(line: str, applies: bool) -> None:
    assert Requirement.parse(line).applies is applies


@pytest.mark.parametrize("line", ["numpy<2", "-r other.txt", "numpy @ file:///x", "numpy==1,<2"])
def test_other_requirements_are_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"^not a requirement of a kind"):
        Requirement.parse(line)


@pytest.mark.parametrize(
    ("version", "numbers"), [("1.2", (1, 2)), ("1.2.0rc1", (1, 2)), ("3.0.0", (3,)), ("x", ())]
)
def test_release(version: str, numbers: tuple[int, ...]) -> None:
    assert release(version) == numbers


@pytest.mark.parametrize(
    ("markdown", "sentence"),
    [
        (
            "# t\n\n![picture](x.png)\n\nOne [link](x.md),\nand `code` of 3.13. Two.",
            "One link, and code of 3.13.",
        ),
        ("No full stop", "No full stop"),
        ("# only a title\n", ""),
    ],
)
def test_first_sentence(markdown: str, sentence: str) -> None:
    assert first_sentence(markdown) == sentence

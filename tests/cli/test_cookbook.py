"""`ferrio cookbook`: the list, what is shown of a recipe, and running one."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from ferrio import _cookbook
from ferrio._choice import Choice
from ferrio._cookbook import Requirement, first_sentence, release

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


@pytest.mark.parametrize("name", FOLDERS)
def test_recipes_of_the_repository(name: str, tmp_path: Path) -> None:
    """Each says in a sentence what it is, and is installed as it is in the repository."""
    recipe = _cookbook.recipe_named(name)
    assert recipe.summary.endswith(".")
    assert all(requirement.text for requirement in recipe.requirements())
    for path in recipe.files:
        assert path.read_bytes() == (EXAMPLES / name / path.relative_to(recipe.folder)).read_bytes()


@pytest.mark.parametrize("name", FOLDERS)
def test_recipes_know_nothing_of_ferrio(name: str) -> None:
    for file in (EXAMPLES / name).rglob("*.py"):
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
    assert output.endswith(
        f"Files in {kitchen / 'sockets'}:\n\n"
        "  README.md\n"
        "  __main__.py  Greets.\n"
        "  a_part.py    A part of it.\n"
    )


def test_show_prints_a_file(kitchen: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_recipe(kitchen, "sockets")
    assert _cookbook.show("sockets", "__main__.py") == 0
    assert capsys.readouterr().out == '"""Greets. And more."""\nprint("hello")\n'


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["show", "soufflé"], "there is no recipe 'soufflé' (there are: "),
        (["run", "soufflé"], "there is no recipe 'soufflé' (there are: "),
        (["show", "encyclopedia", "x.py"], "encyclopedia has no file 'x.py' (it has: README.md, "),
        (["run"], "NAME is missing"),
        (["show"], "NAME"),
        (["cook"], "invalid choice: 'cook'"),
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


def test_help(tmp_path: Path) -> None:
    outcome = COOKBOOK.run(["--help"], cwd=tmp_path)
    assert outcome.status == 0
    for word in ("usage: ferrio cookbook", "show NAME", "run NAME", "examples:", "--loop asyncio"):
        assert word in outcome.stdout
    assert max(map(len, outcome.stdout.splitlines())) <= 100


def test_missing_packages_are_named_with_the_command_that_installs_them(
    kitchen: Path, capsys: pytest.CaptureFixture[str]
) -> None:
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
    assert "'no-such-package-anywhere[extra]>=1.5'" in capsys.readouterr().out


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

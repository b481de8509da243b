"""`ferrio cookbook`: programs for everything that asyncio is used for, to read, run and change.

A recipe is a folder of `examples/` with a `__main__.py` and a `README.md`, and a `requirements.txt`
if it needs packages. The wheel carries the folders as `ferrio/_recipes`; in a checkout that is a
link to them.
"""

from __future__ import annotations

import ast
import re
import shutil
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import NoReturn

from . import _run
from ._choice import Choice

RECIPES = Path(__file__).parent / "_recipes"

#: The order in which to read them; recipes that are not named here come last.
READING_ORDER = (
    "concurrency",
    "sockets",
    "web_requests",
    "postgres",
    "cpu_bound",
    "threads",
    "streams",
    "web_apps",
    "microservices",
    "synchronisation",
    "queues",
    "subprocesses",
    "under_the_hood",
)


@dataclass(frozen=True)
class Recipe:
    """A folder with a program in it."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def readme(self) -> str:
        return (self.folder / "README.md").read_text(encoding="utf-8")

    @property
    def summary(self) -> str:
        """The first sentence of the README, on one line."""
        return first_sentence(self.readme)

    @property
    def files(self) -> list[Path]:
        """All of its files, the README first and the program second."""
        first = ("README.md", "__main__.py")
        found = [
            path
            for path in self.folder.rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        ]
        return sorted(found, key=lambda path: (path.name not in first, path.name == first[1], path))

    def requirements(self) -> list[Requirement]:
        """The packages that it needs with this Python, installed or not."""
        try:
            lines = (self.folder / "requirements.txt").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        stripped = (line.partition("#")[0].strip() for line in lines)
        parsed = [Requirement.parse(line) for line in stripped if line]
        return [requirement for requirement in parsed if requirement.applies]


@dataclass(frozen=True)
class Requirement:
    """A line of a requirements.txt, of the few kinds that the recipes use."""

    #: What pip is told: `aiohttp>=3.9`.
    text: str
    name: str
    #: The least release that will do; empty if any does.
    least: tuple[int, ...]
    #: Whether this Python is one that the line is for.
    applies: bool

    @classmethod
    def parse(cls, line: str) -> Requirement:
        """Raises ValueError for what recipes have no use for: URLs, options, other comparisons."""
        found = re.fullmatch(
            r"(?P<text>(?P<name>[\w.-]+) (\[[\w, -]+\])? (\s* >= \s* (?P<least>[\d.]+))?)"
            r"(\s* ; \s* python_version \s* (?P<compare> < | >= ) \s*"
            r"['\"](?P<python>3\.\d+)['\"])?",
            line,
            re.VERBOSE,
        )
        if found is None:
            raise ValueError(f"not a requirement of a kind that recipes may have: {line!r}")
        applies = True
        if found["compare"]:
            is_older = sys.version_info[:2] < release(found["python"])
            applies = is_older if found["compare"] == "<" else not is_older
        least = release(found["least"]) if found["least"] else ()
        return cls(found["text"].replace(" ", ""), found["name"], least, applies)

    @property
    def is_met(self) -> bool:
        try:
            return release(metadata.version(self.name)) >= self.least
        except metadata.PackageNotFoundError:
            return False


def release(version: str) -> tuple[int, ...]:
    """The numbers that a version begins with: (1, 2) of 1.2rc1, without zeros at the end."""
    found = re.match(r"\d+(\.\d+)*", version)
    numbers = [int(number) for number in found[0].split(".")] if found else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def first_sentence(markdown: str) -> str:
    """Of the first paragraph that is no heading, on one line and without marks."""
    for paragraph in re.split(r"\n\s*\n", markdown):
        if paragraph.strip() and not paragraph.lstrip().startswith(("#", "```", "!", "|")):
            line = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", " ".join(paragraph.split()))
            sentence = re.match(r".*?[.!?](?=\s|$)", line)
            return sentence[0] if sentence else line
    return ""


def recipes() -> list[Recipe]:
    """All of them, in the order of reading."""
    found = [
        Recipe(readme.parent)
        for readme in RECIPES.glob("*/README.md")
        if (readme.parent / "__main__.py").exists()
    ]

    def place(recipe: Recipe) -> tuple[int, str]:
        is_known = recipe.name in READING_ORDER
        return READING_ORDER.index(recipe.name) if is_known else len(READING_ORDER), recipe.name

    return sorted(found, key=place)


def recipe_named(name: str) -> Recipe:
    """Ends the process with status 2 if there is none."""
    known = {recipe.name: recipe for recipe in recipes()}
    # `ferrio cookbook run web-requests` is not worth an error.
    recipe = known.get(name.replace("-", "_"))
    if recipe is None:
        fail(f"there is no recipe {name!r} (there are: {', '.join(known) or 'none'})", status=2)
    return recipe


def fail(message: str, *, status: int) -> NoReturn:
    print(f"ferrio cookbook: {message}", file=sys.stderr)
    sys.exit(status)


def list_recipes() -> int:
    """`ferrio cookbook`; the exit status."""
    found = recipes()
    if not found:
        fail(f"no recipes in {RECIPES}", status=1)
    width = max(len(recipe.name) for recipe in found)
    columns = max(60, min(100, shutil.get_terminal_size((100, 24)).columns))
    for recipe in found:
        margin = " " * (width + 4)
        text = textwrap.fill(
            recipe.summary, columns, initial_indent=margin, subsequent_indent=margin
        )
        print(f"  {recipe.name:<{width}}  {text.lstrip()}")
    print("\nferrio cookbook show NAME    ferrio cookbook run NAME    ferrio cookbook --help")
    return 0


def show(name: str, file: str | None) -> int:
    """`ferrio cookbook show`; the exit status."""
    recipe = recipe_named(name)
    if file is not None:
        print(text_of(recipe, file), end="")
        return 0
    print(recipe.readme)
    print(f"Files in {recipe.folder}:\n")
    width = max(len(path.relative_to(recipe.folder).as_posix()) for path in recipe.files)
    for path in recipe.files:
        within = path.relative_to(recipe.folder).as_posix()
        print(f"  {within:<{width}}  {purpose(path)}".rstrip())
    if missing := missing_packages(recipe):
        print(f"\n{missing}")
    return 0


def text_of(recipe: Recipe, file: str) -> str:
    known = {path.relative_to(recipe.folder).as_posix(): path for path in recipe.files}
    if file not in known:
        fail(f"{recipe.name} has no file {file!r} (it has: {', '.join(known)})", status=2)
    try:
        return known[file].read_text(encoding="utf-8")
    except UnicodeDecodeError:
        fail(f"{known[file]} is not text", status=1)


def purpose(path: Path) -> str:
    """What a Python file says about itself in its first line."""
    if path.suffix != ".py":
        return ""
    documentation = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    return first_sentence(documentation) if documentation else ""


def missing_packages(recipe: Recipe) -> str | None:
    """A text that says which packages are missing and how to install them; None if none are."""
    missing = [requirement.text for requirement in recipe.requirements() if not requirement.is_met]
    if not missing:
        return None
    packages = " ".join(f"'{text}'" for text in missing)
    return (
        f"{recipe.name} needs packages that are not installed here: {', '.join(missing)}\n"
        f"To install them:\n\n  {sys.executable} -m pip install {packages}"
    )


def run(
    name: str,
    arguments: Sequence[str],
    *,
    choice: Choice,
    children: bool = True,
) -> int:
    """`ferrio cookbook run`; the exit status. As `ferrio run` on the recipe's folder."""
    recipe = recipe_named(name)
    if missing := missing_packages(recipe):
        fail(missing, status=1)
    program = _run.Script(str(recipe.folder))
    return _run.run(program, arguments, choice=choice, children=children)

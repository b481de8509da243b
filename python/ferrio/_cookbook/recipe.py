"""A recipe: a folder with a program in it, and what there is to know about it."""

from __future__ import annotations

import ast
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .requirement import Requirement


@dataclass(frozen=True)
class Need:
    """What a recipe needs, in words: a package, a server, a display."""

    what: str
    #: The parts that need it; empty if all of the recipe does.
    parts: tuple[str, ...] = ()
    is_missing: bool = False

    def __str__(self) -> str:
        return f"{self.what} (not installed)" if self.is_missing else self.what


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
        parsed = [Requirement.parse(line) for line in lines if line.partition("#")[0].strip()]
        return [requirement for requirement in parsed if requirement.applies]

    def needs(self) -> list[Need]:
        """Packages first, then what its recipe.toml names."""
        needs = [
            Need(requirement.name, requirement.parts, not requirement.is_met)
            for requirement in self.requirements()
        ]
        more = self._facts().get("needs", {})
        return [*needs, *(Need(what, tuple(parts)) for what, parts in more.items())]

    def beside(self) -> list[Recipe]:
        """Other recipes whose files it uses, which have to stand beside it."""
        return [Recipe(self.folder.parent / name) for name in self._facts().get("beside", [])]

    def _facts(self) -> dict[str, Any]:
        """What its recipe.toml says; empty if it has none."""
        try:
            return tomllib.loads((self.folder / "recipe.toml").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}

    def seconds(self) -> float | None:
        """What it took without arguments when that was measured; None if it never was."""
        try:
            text = (self.folder.parent / "durations.toml").read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        seconds: float | None = tomllib.loads(text)["seconds"].get(self.name)
        return seconds


def first_sentence(markdown: str) -> str:
    """Of the first paragraph that is no heading, on one line and without marks."""
    for paragraph in re.split(r"\n\s*\n", markdown):
        if paragraph.strip() and not paragraph.lstrip().startswith(("#", "```", "!", "|")):
            line = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", " ".join(paragraph.split()))
            sentence = re.match(r".*?[.!?](?=\s|$)", line)
            return sentence[0] if sentence else line
    return ""


def purpose(path: Path) -> str:
    """What a Python file says about itself in its first line."""
    if path.suffix != ".py":
        return ""
    documentation = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    return first_sentence(documentation) if documentation else ""

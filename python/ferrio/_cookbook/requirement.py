"""What a recipe needs of packages: the lines of its requirements.txt."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata

#: Behind a requirement: the parts of the recipe that need it, if others do without.
PARTS = re.compile(r"for: (?P<parts>\w+(?:, \w+)*)")


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
    #: The parts of the recipe that need it; empty if all of it does.
    parts: tuple[str, ...] = ()

    @classmethod
    def parse(cls, line: str) -> Requirement:
        """Raises ValueError for what recipes have no use for: URLs, options, other comparisons."""
        line, _, comment = line.partition("#")
        found = re.fullmatch(
            r"(?P<text>(?P<name>[\w.-]+) (\[[\w, -]+\])? (\s* >= \s* (?P<least>[\d.]+))?)"
            r"(\s* ; \s* python_version \s* (?P<compare> < | >= ) \s*"
            r"['\"](?P<python>3\.\d+)['\"])?",
            line.strip(),
            re.VERBOSE,
        )
        if found is None:
            raise ValueError(f"not a requirement of a kind that recipes may have: {line!r}")
        applies = True
        if found["compare"]:
            is_older = sys.version_info[:2] < release(found["python"])
            applies = is_older if found["compare"] == "<" else not is_older
        least = release(found["least"]) if found["least"] else ()
        said = PARTS.fullmatch(comment.strip())
        parts = tuple(said["parts"].split(", ")) if said else ()
        return cls(found["text"].replace(" ", ""), found["name"], least, applies, parts)

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


def install_command(requirements: Iterable[Requirement]) -> str:
    """What to type to have them, with the installer that this environment has."""
    packages = " ".join(f"'{requirement.text}'" for requirement in requirements)
    python = python_command()
    if importlib.util.find_spec("pip") is None and shutil.which("uv"):
        # uv makes environments without pip.
        return f"uv pip install --python {shlex.quote(sys.executable)} {packages}"
    if importlib.util.find_spec("pip") is None:
        return f"{python} -m ensurepip && {python} -m pip install {packages}"
    return f"{python} -m pip install {packages}"


def python_command() -> str:
    """This interpreter as a shell finds it: `python`, if that is the one."""
    found = shutil.which("python")
    # Not by what links point to: all environments of one interpreter have links to it.
    if found is not None and os.path.abspath(found) == os.path.abspath(sys.executable):
        return "python"
    return shlex.quote(sys.executable)

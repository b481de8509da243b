"""The commands of a README, as they have to be typed where the reader is.

READMEs are written for the root of a clone: `ferrio run examples/sockets`. Somebody who has
installed a wheel has no such folder, and whoever typed `python -m ferrio` may have no `ferrio`.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from .requirement import python_command

#: `ferrio run [options] examples/NAME`, not of a file in it.
RUN = re.compile(
    r"\bferrio run (?P<options>(?:--?[\w-]+ (?:(?:asyncio|uvloop) )?)*)"
    r"examples/(?P<name>\w+)\b(?!/)"
)
#: `python examples/NAME` and `python examples/NAME/FILE`.
PYTHON = re.compile(r"\bpython (?P<options>(?:-\w+ )*)(?=examples/)")
#: A path in a clone, wherever else it is named.
PATH = re.compile(r"(?<![\w/.])examples/(?P<path>\w+(?:/[\w.]*\w)*)")
#: A command of a console block, and the comment behind it.
COMMENTED = re.compile(r"(?P<command>\$ .*?\S) {2,}(?P<comment># .*)")
#: A link in whose place the site has the code: docs/hooks/excerpts.py.
CODE = re.compile(r"^\[(?P<label>[^\]]+)\]\((?P<file>[\w./]+) \"code: [^\"]+\"\)$", re.M)
FENCE = re.compile(r"^```.*?^```$", re.M | re.S)


@dataclass(frozen=True)
class Reader:
    """Where somebody is who reads a recipe, and how they call things."""

    #: The folder that paths are typed from.
    folder: Path
    #: That of the installed recipes.
    recipes: Path
    ferrio: str
    python: str

    @classmethod
    def here(cls, recipes: Path) -> Reader:
        """Who has typed the command of this process."""
        return cls(Path.cwd(), recipes, ferrio_command(), python_command())

    def run_command(self, name: str, options: str = "") -> str:
        """What runs the recipe `name`; `options` end with a space."""
        if self._is_clone_of(name):
            return f"{self.ferrio} run {options}examples/{name}"
        return f"{self.ferrio} cookbook run {options}{name}"

    def path(self, within: str) -> str:
        """Of a recipe or one of its files."""
        if self._is_clone_of(within.partition("/")[0]):
            return f"examples/{within}"
        return shlex.quote(str(self.recipes / within))

    def rewritten(self, name: str, readme: str) -> str:
        """The README of the recipe `name`, with commands that can be typed as they stand."""
        show = f"{self.ferrio} cookbook show {name}"
        readme = CODE.sub(lambda code: f"{code['label']}: `{show} {code['file']}`", readme)
        readme = RUN.sub(lambda found: self.run_command(found["name"], found["options"]), readme)
        readme = PYTHON.sub(lambda found: f"{self.python} {found['options']}", readme)
        readme = PATH.sub(lambda found: self.path(found["path"]), readme)
        return FENCE.sub(lambda block: aligned(block[0]), readme)

    def _is_clone_of(self, name: str) -> bool:
        """Whether the recipe is also in the folder `examples`, as in a clone."""
        return (self.folder / "examples" / name / "__main__.py").is_file()


def ferrio_command() -> str:
    """How this process was called: `ferrio`, the path of it, or `python -m ferrio`."""
    program = Path(sys.argv[0])
    if program.name != "ferrio":
        return f"{python_command()} -m ferrio"
    found = shutil.which("ferrio")
    if found is not None and os.path.abspath(found) == os.path.abspath(program):
        return "ferrio"
    return shlex.quote(sys.argv[0])


def aligned(block: str) -> str:
    """The comments behind the commands of a block one below the other."""
    lines = block.splitlines()
    found = [COMMENTED.fullmatch(line) for line in lines]
    width = max((len(match["command"]) for match in found if match), default=0)
    return "\n".join(
        f"{match['command']:<{width}}  {match['comment']}" if match else line
        for line, match in zip(lines, found, strict=True)
    )

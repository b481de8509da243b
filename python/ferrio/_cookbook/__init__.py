"""`ferrio cookbook`: programs for everything that asyncio is used for, to read, run and change.

A recipe is a folder of `examples/` with a `__main__.py` and a `README.md`, a `requirements.txt` if
it needs packages, and a `recipe.toml` if it needs anything else. The wheel carries the folders as
`ferrio/_recipes`; in a checkout that is a link to them.
"""

from __future__ import annotations

import io
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from pathlib import Path
from typing import NoReturn

from .. import _run
from .._choice import Choice
from .._mistakes import close
from .commands import Reader
from .recipe import Recipe, first_sentence, purpose
from .requirement import install_command

__all__ = ["READING_ORDER", "copy", "first_sentence", "list_recipes", "recipes", "run", "show"]

RECIPES = Path(__file__).parent.parent / "_recipes"

#: The order in which to read them; recipes that are not named here come last.
READING_ORDER = (
    "concurrency",
    "sockets",
    "web_requests",
    "postgres",
    "cpu_bound",
    "cluster",
    "threads",
    "streams",
    "web_apps",
    "microservices",
    "synchronisation",
    "queues",
    "subprocesses",
    "under_the_hood",
)


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
        like = close(name.replace("-", "_"), known)
        hint = f"; did you mean {like}?" if like else ""
        all_of_them = ", ".join(known) or "none"
        fail(f"there is no recipe {name!r}{hint} (there are: {all_of_them})", status=2)
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
    margin = " " * (width + 4)
    for recipe in found:
        text = textwrap.fill(
            recipe.summary, columns, initial_indent=margin, subsequent_indent=margin
        )
        print(f"  {recipe.name:<{width}}  {text.lstrip()}")
        if facts := facts_of(recipe):
            print(
                textwrap.fill(
                    facts,
                    columns,
                    initial_indent=f"{margin}- ",
                    subsequent_indent=f"{margin}  ",
                    break_on_hyphens=False,
                )
            )
    ferrio = Reader.here(RECIPES).ferrio
    ways = [f"{ferrio} cookbook {words}" for words in ("show NAME", "run NAME", "--help")]
    line = "    ".join(ways)
    print(f"\n{line}" if len(line) <= columns else "\n" + "\n".join(ways))
    return 0


def facts_of(recipe: Recipe) -> str:
    """How long it takes and what it needs, on one line; empty if nobody knows."""
    seconds = recipe.seconds()
    facts = [] if seconds is None else [f"{max(1, round(seconds))} s"]
    needs = recipe.needs()
    if always := [str(need) for need in needs if not need.parts]:
        facts.append(f"needs {', '.join(always)}")
    by_part: dict[str, list[str]] = {}
    for need in needs:
        for part in need.parts:
            by_part.setdefault(part, []).append(str(need))
    facts += [f"for {part}: {', '.join(what)}" for part, what in by_part.items()]
    return "; ".join(facts)


def show(name: str, file: str | None) -> int:
    """`ferrio cookbook show`; the exit status."""
    recipe = recipe_named(name)
    if file is not None:
        print(text_of(recipe, file), end="")
        return 0
    reader = Reader.here(RECIPES)
    print(reader.rewritten(recipe.name, recipe.readme))
    print(f"Files in {recipe.folder}:\n")
    width = max(len(path.relative_to(recipe.folder).as_posix()) for path in recipe.files)
    for path in recipe.files:
        within = path.relative_to(recipe.folder).as_posix()
        print(f"  {within:<{width}}  {purpose(path)}".rstrip())
    facts = facts_of(recipe)
    print(f"\nTo run it here{f' ({facts})' if facts else ''}:\n")
    if missing := [needed for needed in recipe.requirements() if not needed.is_met]:
        print(f"  {install_command(missing)}")
    print(f"  {reader.run_command(recipe.name)}")
    print(f"  {reader.run_command(recipe.name)} --help")
    return 0


def copy(name: str) -> int:
    """`ferrio cookbook copy`; the exit status.

    Into `examples`, as in a clone: the commands of the README can then be typed as they stand.
    """
    recipe = recipe_named(name)
    target = Path("examples", recipe.name)
    if target.exists():
        fail(f"{target} is there already: remove it, or copy in another folder", status=1)
    for copied in (recipe, *recipe.beside()):
        place = Path("examples", copied.name)
        if not place.exists():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(copied.folder, place, ignore=ignored)
            print(f"copied {place}")
    print(f"\n  {Reader.here(RECIPES).run_command(recipe.name)}")
    return 0


def text_of(recipe: Recipe, file: str) -> str:
    known = {path.relative_to(recipe.folder).as_posix(): path for path in recipe.files}
    if file not in known:
        fail(f"{recipe.name} has no file {file!r} (it has: {', '.join(known)})", status=2)
    try:
        return known[file].read_text(encoding="utf-8")
    except UnicodeDecodeError:
        fail(f"{known[file]} is not text", status=1)


def run(
    name: str,
    arguments: Sequence[str],
    *,
    choice: Choice,
    children: bool = True,
) -> int:
    """`ferrio cookbook run`; the exit status. As `ferrio run` on the recipe's folder.

    Packages that only a part of it needs may be missing: the recipe then says what it leaves out.
    """
    recipe = recipe_named(name)
    missing = [needed for needed in recipe.requirements() if not needed.is_met]
    if any(not needed.parts for needed in missing):
        texts = ", ".join(needed.text for needed in missing)
        fail(
            f"{recipe.name} needs packages that are not installed here: {texts}\n"
            f"To install them:\n\n  {install_command(missing)}",
            status=1,
        )
    program = _run.Script(str(recipe.folder))
    with help_rewritten(recipe) if {"-h", "--help"} & {*arguments} else nullcontext():
        return _run.run(program, arguments, choice=choice, children=children)


@contextmanager
def help_rewritten(recipe: Recipe) -> Iterator[None]:
    """What a recipe says of itself is written for a clone, as its README is."""
    # Later, the command line is the recipe's.
    reader = Reader.here(RECIPES)
    said = io.StringIO()
    try:
        with redirect_stdout(said):
            yield
    finally:
        print(reader.rewritten(recipe.name, said.getvalue()), end="")

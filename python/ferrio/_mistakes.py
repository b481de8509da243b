"""What to type instead of what cannot be meant so."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from importlib.machinery import PathFinder
from typing import Any, NoReturn

from . import _scripts
from ._command_line import CommandLine, MistakeError

#: Names that main programs have, the likeliest first.
MAIN = ("main.py", "app.py", "server.py", "run.py", "manage.py")

#: What other commands are asked by a word or a letter.
ASKED_FOR = {"help": "--help", "version": "--version", "-V": "--version"}


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line each, and end in what to type."""

    #: All that stands behind `ferrio`.
    typed: Sequence[str] = ()

    def error(self, message: str) -> NoReturn:
        more = "" if "ferrio" in message else f" (try: {self.prog} --help)"
        self.exit(2, f"{self.prog}: {message}{more}\n")

    def refuse(self, words: Sequence[str]) -> NoReturn:
        """Speak of words that no argument is for."""
        word = words[0]
        like = close(word.partition("=")[0], self._option_string_actions)
        if like is None:
            self.error(f"nobody knows what to do with {word!r}")
        self.error(
            f"there is no option {word}; did you mean: {with_instead(self.typed, word, like)}"
        )

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        choices = action.choices
        if choices is None or value in choices:
            return
        kind = "/".join(action.option_strings) or action.dest.rpartition("_")[2]
        like = close(str(value), map(str, choices))
        if like is None:
            meant = f"there are: {', '.join(map(str, choices))}"
        else:
            wrong = next(word for word in self.typed if word.rpartition("=")[2] == value)
            right = wrong.removesuffix(value) + like
            meant = f"did you mean: {with_instead(self.typed, wrong, right, is_whole=True)}"
        raise argparse.ArgumentError(None, f"there is no {kind} {value!r}; {meant}")


def joined(words: Iterable[str]) -> str:
    return " ".join(map(quoted, words))


def quoted(word: str) -> str:
    """As it is typed in a shell."""
    # Imported when something is wrong: each run of a program would pay for it.
    import shlex

    return shlex.quote(word)


def close(word: str, names: Iterable[str]) -> str | None:
    """The name that is most like this word."""
    import difflib

    found = difflib.get_close_matches(word, list(names), 1)
    return found[0] if found else None


def with_instead(words: Sequence[str], wrong: str, right: str, *, is_whole: bool = False) -> str:
    """The command line with one word of it put right; a value that is attached to it is kept,
    unless the right one `is_whole`."""
    place = list(words).index(wrong)
    if not is_whole:
        right += "".join(wrong.partition("=")[1:])
    return joined(["ferrio", *words[:place], right, *words[place + 1 :]])


def instead_of_command(words: Sequence[str], commands: Sequence[str]) -> str:
    """What to type instead of `ferrio WORDS`, whose first word is no command."""
    first = words[0]
    if (option := ASKED_FOR.get(first)) and not os.path.exists(first):
        of = [word for word in words[1:2] if option == "--help" and word in commands]
        return f"there is no command {first!r}; did you mean: {joined(['ferrio', *of, option])}"
    try:
        line = CommandLine.parse(words)
    except MistakeError as mistake:
        like = close(first, ("--help", "--version"))
        if like is None or "did you mean" in str(mistake):
            return str(mistake)
        return f"there is no option {first}; did you mean: ferrio {like}"
    if first.startswith("-") and line.program:
        return f"to run a program: ferrio run {joined(words)}"
    script = _scripts.find(first)
    is_program = script is not None and _scripts.interpreter_of(script) is not None
    like = close(first, commands)
    if like and not (is_program or os.path.exists(first)):
        meant = joined(["ferrio", like, *words[1:]])
        return f"there is no command {first!r}; did you mean: {meant}"
    is_file = os.path.exists(first) or first.endswith((".py", ".pyc", ".pyz")) or "/" in first
    if is_file and (instead := instead_of_file(first, words[1:])):
        return instead
    if is_file or is_program:
        return f"to run a program: ferrio run {joined(words)}"
    if is_module(first):
        return f"to run a module: ferrio run -m {joined(words)}"
    known = ", ".join(commands)
    return f"there is no command {first!r}; commands are {known}; to run a program: ferrio run FILE"


def nothing_to_run(what: str) -> str:
    """Of `ferrio run` without a program, when this is missing: FILE, MODULE, CODE."""
    if what == "FILE" and (here := main_program(".")):
        return f"FILE is missing; here it may be: ferrio run {quoted(here)}"
    examples = {"FILE": "app.py", "MODULE": "-m package.module", "CODE": "-c 'print(1)'"}
    return f"{what} is missing, as in: ferrio run {examples[what]} (more: ferrio run --help)"


def instead_of_file(target: str, arguments: Sequence[str]) -> str | None:
    """What to type instead of a FILE that cannot be run; None if there is nothing to be said that
    the interpreter would not say."""
    behind = "".join(f" {quoted(each)}" for each in arguments)
    if os.path.isdir(target):
        if os.path.exists(os.path.join(target, "__main__.py")):
            return None
        inner = main_program(target)
        if inner is None:
            return None
        meant = quoted(os.path.join(target, inner))
        return (
            f"{target} is a folder without a __main__.py; did you mean: ferrio run {meant}{behind}"
        )
    # A link to nowhere, too: the interpreter says why it cannot be opened.
    if os.path.lexists(target):
        return None
    if is_module(target) and not os.path.exists(f"{target}.py"):
        meant = f"ferrio run -m {quoted(target)}{behind}"
        return f"there is no file {target}; to run the module: {meant}"
    folder, name = os.path.split(target)
    try:
        names = os.listdir(folder or ".")
    except OSError:
        return None
    programs = [each for each in names if each.endswith(".py") or each == name + ".py"]
    like = f"{name}.py" if f"{name}.py" in programs else close(name, programs)
    if like is None:
        return None
    meant = quoted(os.path.join(folder, like))
    return f"there is no file {target}; did you mean: ferrio run {meant}{behind}"


def main_program(folder: str) -> str | None:
    """The name of what is most likely the main program in a folder; None if nobody can tell."""
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return None
    if "__main__.py" in names:
        return "__main__.py"
    for name in MAIN:
        if name in names:
            return name
    programs = [name for name in names if name.endswith(".py") and not name.startswith("_")]
    if len(programs) == 1:
        return programs[0]
    for name in names:
        if os.path.exists(os.path.join(folder, name, "__main__.py")):
            return name
    return None


def is_module(name: str) -> bool:
    """Is there a module of this name? Imports nothing."""
    path: Sequence[str] | None = [os.getcwd(), *sys.path]
    for part in name.split("."):
        if not part.isidentifier():
            return False
        if part in sys.builtin_module_names:
            return part == name
        try:
            spec = PathFinder.find_spec(part, path)
        except (ImportError, ValueError):
            return False
        if spec is None:
            return False
        path = list(spec.submodule_search_locations or [])
    return True

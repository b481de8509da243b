"""What was typed behind `ferrio run`: its own options, the interpreter's, and the program."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NoReturn

#: Options of the interpreter that stand alone, and those that something follows.
ALONE = "bBdEiIOPqRsSuv"
WITH_VALUE = "XW"
LONG_WITH_VALUE = "--check-hash-based-pycs"

#: Those of `ferrio run`.
OWN_WITH_VALUE = ("--loop", "--watch")
#: A value may be attached to this one, and nothing else belongs to it.
PROFILE = "--profile"
OWN = (
    *OWN_WITH_VALUE,
    PROFILE,
    "--debug",
    "--loop-only",
    "--c-tasks",
    "--keep-loops",
    "--no-children",
    "--reload",
)


class MistakeError(Exception):
    """Something that cannot be meant so; the text says what to type instead."""


class NoOptionError(Exception):
    """A word that looks like an option and is none."""

    def __init__(self, word: str) -> None:
        super().__init__(word)
        self.word = word


@dataclass
class CommandLine:
    """Words of a command line, sorted by whom they are for."""

    own: list[str] = field(default_factory=list)
    interpreter: list[str] = field(default_factory=list)
    #: FILE, `-m` MODULE, `-c` CODE or `-`, with the program's arguments.
    program: list[str] = field(default_factory=list)

    @classmethod
    def parse(cls, words: Sequence[str]) -> CommandLine:
        """Sort `words` as the interpreter does its own: `-um pkg` is `-u -m pkg`.

        Raises:
            MistakeError: There is no such option.
        """
        line = cls()
        rest = list(words)
        kind: list[str] = []
        while rest:
            word = rest.pop(0)
            if word == "--":
                break
            if word == "-" or not word.startswith("-"):
                rest.insert(0, word)
                break
            try:
                if word.startswith("--"):
                    line._take_long(word, rest)
                else:
                    kind = line._take_short(word, rest) or kind
            except NoOptionError as mistake:
                raise no_option(mistake.word, words, rest) from None
            if kind[:1] == ["-c"] or len(kind) == 2:
                break
        line.program = [*kind, *rest]
        return line

    def _take_long(self, word: str, rest: list[str]) -> None:
        name, has_value, _ = word.partition("=")
        if name in (*OWN, "--help", "--version"):
            self.own.append(f"{word}=" if word == PROFILE else word)
            if name in OWN_WITH_VALUE and not has_value and rest:
                self.own.append(rest.pop(0))
        elif name == LONG_WITH_VALUE:
            if not (has_value or rest):
                raise MistakeError(f"something has to follow {name}")
            self.interpreter += [word] if has_value else [word, *rest[:1]]
            del rest[: not has_value]
        else:
            raise NoOptionError(word)

    def _take_short(self, word: str, rest: list[str]) -> list[str]:
        """Take a word such as `-Bu` or `-Xdev`; `-m` or `-c` with what is attached."""
        for place, letter in enumerate(word[1:], 2):
            attached = [word[place:]] if word[place:] else []
            if letter in "mc":
                return [f"-{letter}", *attached]
            if letter in WITH_VALUE:
                if not (attached or rest):
                    raise MistakeError(f"something has to follow -{letter}")
                self.interpreter += [f"-{letter}", *(attached or rest[:1])]
                del rest[: not attached]
                return []
            if letter == "h":
                self.own.append("--help")
            elif letter == "V":
                self.own.append("--version")
            elif letter in ALONE:
                self.interpreter.append(f"-{letter}")
            else:
                raise NoOptionError(word)
        return []


def no_option(word: str, words: Sequence[str], rest: Sequence[str]) -> MistakeError:
    import difflib
    import shlex

    name, sign, value = word.partition("=")
    like = difflib.get_close_matches(f"--{name.lstrip('-')}", OWN, 1)
    if like:
        place = len(words) - len(rest) - 1
        meant = [*words[:place], like[0] + sign + value, *rest]
        return MistakeError(
            f"there is no option {word}; did you mean: ferrio run {shlex.join(meant)}"
        )
    program = next((each for each in rest if os.path.exists(each)), "FILE")
    return MistakeError(
        f"there is no option {word}; options of the program stand behind its name: "
        f"ferrio run {program} {word} ..."
    )


def start_again(line: CommandLine) -> NoReturn:
    """Put in place of this process the same one with the interpreter's options on the interpreter.

    Raises:
        MistakeError: That cannot be done here.
    """
    import shlex

    from ._choice import is_in_site_packages

    is_installed = is_in_site_packages()
    for option in ("-S",) if is_installed else ("-I", "-E"):
        if option in line.interpreter:
            raise MistakeError(f"{option} would hide ferrio from the interpreter")
    before = CommandLine.parse(sys.orig_argv[1:])
    # `-m ferrio`, or the file of the command.
    command = before.program[: len(before.program) - len(sys.argv) + 1]
    if "-i" in line.interpreter:
        # The file ends in sys.exit, of which the interpreter would speak before it asks for more.
        command = ["-m", "ferrio"]
    options = [*before.interpreter, *line.interpreter]
    words = [sys.executable, *options, *command, "run", *line.own, *line.program]
    if os.name != "posix":  # where another process would be started, which nobody waits for
        raise MistakeError(f"options of the interpreter go to it: {shlex.join(words)}")
    os.execv(sys.executable, words)

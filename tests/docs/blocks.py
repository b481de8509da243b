"""Code blocks of a Markdown page, and what stands before them for the tests alone.

A comment in front of a block says how it is to be run, if that is not plain:

    <!-- test: not run: REASON -->            it cannot be
    <!-- test: since 3.12 -->                 on this version of Python and newer ones
    <!-- test: exit status 1 -->              its last command ends so
    <!-- test: background until TEXT -->      its command runs beside what follows on the page, from
                                              when it has printed TEXT; SIGINT ends it when the next
                                              such command comes, or the page ends
    <!-- test: background WORD until TEXT --> only the command that has this word in it does
    <!-- test: background until TEXT, ended by SIGTERM -->
    <!-- test: also background until TEXT --> beside what runs there already
    <!-- test: numbers vary -->               any number of the output stands for any other
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

FENCE = re.compile(r"(?P<indent> *)(?P<fence>`{3,}|~{3,})(?P<language>[\w+-]*)(?P<attributes>.*)")
TITLE = re.compile(r'\btitle="([^"]*)"')
BACKGROUND = re.compile(
    r"(?P<also>also )?background (?:(?P<word>\S+) )??until (?P<ready>.+?)"
    r"(?:, ended by (?P<signal>SIG\w+))?"
)
DIRECTIVE = re.compile(r"\s*<!-- test: (.*?) -->\s*")


@dataclass(frozen=True)
class Background:
    """How a command runs beside what follows on its page."""

    ready: str
    """What it prints before the page goes on."""
    ended_by: signal.Signals = signal.SIGINT
    """What it gets in the end."""
    ends_others: bool = True
    """Does what runs there already end before?"""
    own_port: str | None = None
    """Where it serves unless it is told another port, as it is here: that one may be taken."""


@dataclass(frozen=True)
class Directives:
    """What the comments in front of a block say."""

    not_run: str | None = None
    since: tuple[int, int] = (3, 0)
    exit_status: int = 0
    background: dict[str, Background] = field(default_factory=dict)
    """For the commands that have this word in them."""
    numbers_vary: bool = False
    postgres: bool = False


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    """Of the opening fence, counted from 1."""
    language: str
    title: str | None
    text: str
    directives: Directives = field(default_factory=Directives)

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(page: Path, text: str) -> Iterator[Block]:
    """The fenced blocks of `text` in order, of whatever language."""
    lines = enumerate(text.splitlines(), start=1)
    said: list[str] = []
    for number, line in lines:
        directive = DIRECTIVE.fullmatch(line)
        if directive:
            said.append(directive[1])
            continue
        opening = FENCE.fullmatch(line)
        if opening is None:
            if line.strip() and said:
                raise ValueError(f"{page}:{number}: a test comment that no block follows")
            continue
        indent = len(opening["indent"])
        content = []
        for _, inner in lines:
            if inner.strip() == opening["fence"]:
                break
            content.append(inner[indent:])
        else:
            raise ValueError(f"{page}:{number}: this block has no end")
        title = TITLE.search(opening["attributes"])
        yield Block(
            page=page,
            line=number,
            language=opening["language"],
            title=title[1] if title else None,
            text="".join(f"{inner}\n" for inner in content),
            directives=directives(said, f"{page}:{number}"),
        )
        said = []
    if said:
        raise ValueError(f"{page}: a test comment at the end that no block follows")


def directives(said: list[str], where: str) -> Directives:
    """What the comments `said` mean. Raises ValueError if one of them means nothing."""
    background: dict[str, Background] = {}
    found: dict[str, object] = {"background": background}
    for words in said:
        if match := re.fullmatch(r"not run: (.+)", words):
            found["not_run"] = match[1]
        elif match := re.fullmatch(r"since (\d+)\.(\d+)", words):
            found["since"] = int(match[1]), int(match[2])
        elif match := re.fullmatch(r"exit status (-?\d+)", words):
            found["exit_status"] = int(match[1])
        elif match := BACKGROUND.fullmatch(words):
            ended_by = signal.Signals[match["signal"] or "SIGINT"]
            background[match["word"] or ""] = Background(
                match["ready"], ended_by, ends_others=not match["also"]
            )
        elif words == "numbers vary":
            found["numbers_vary"] = True
        elif words == "a Postgres server":
            found["postgres"] = True
        else:
            raise ValueError(f"{where}: nobody knows what this test comment means: {words}")
    return Directives(**found)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Command:
    """A command of a console block, and the output that is shown below it."""

    words: str
    output: str


def commands_of(text: str) -> Iterator[Command]:
    """What stands after `$ `, continued after a backslash, and what stands below it."""
    words: str | None = None
    output: list[str] = []
    for line in text.splitlines():
        if words is not None and words.endswith("\\") and not output:
            words += "\n" + line
        elif line.startswith("$ "):
            if words is not None:
                yield Command(words, "".join(output))
            words, output = line[2:], []
        elif words is None:
            raise ValueError(f"a console block begins with a command, not with {line!r}")
        else:
            output.append(f"{line}\n")
    if words is not None:
        yield Command(words, "".join(output))

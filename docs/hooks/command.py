"""The page of the command line: what `ferrio` says when asked for help."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from unittest import mock

from ferrio.__main__ import COMMANDS, main
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

PAGE = "reference/command.md"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    files.append(File.generated(config, PAGE, content="\n".join(lines()) + "\n"))
    return files


def lines() -> Iterator[str]:
    yield "# The command line"
    yield ""
    yield "What `ferrio --help` and its like print. All about `ferrio run` is in"
    yield "[its own page](../run.md)."
    yield ""
    yield from section("ferrio", [])
    for command in COMMANDS:
        yield from section(f"ferrio {command}", [command])


def section(title: str, words: list[str]) -> Iterator[str]:
    yield f"## `{title}`"
    yield ""
    yield "```text"
    yield help_of(words)
    yield "```"
    yield ""


def help_of(words: list[str]) -> str:
    """What the command prints with `--help`, at a width that does not depend on the terminal."""
    printed = io.StringIO()
    with (
        mock.patch.dict(os.environ, COLUMNS="80", NO_COLOR="1"),
        contextlib.redirect_stdout(printed),
        contextlib.suppress(SystemExit),
    ):
        main([*words, "--help"])
    return printed.getvalue().rstrip()

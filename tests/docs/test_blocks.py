"""The extractor of code blocks, and the comparison of output: what the other tests rely on."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from .blocks import Background, Command, blocks_of, commands_of
from .output import difference

PAGE = Path("page.md")

TEXT = """\
# Title

```python title="hello.py"
print("hello")

```

<!-- test: since 3.12 -->
<!-- test: exit status 3 -->
<!-- test: background serve until listening on -->
<!-- test: also background until it is ready, ended by SIGTERM -->
<!-- test: a Postgres server -->

```console
$ python hello.py
hello
```

1. in a list

   ~~~text
   ```console
   ~~~
"""


def test_blocks_are_found_with_what_is_said_about_them() -> None:
    hello, console, text = blocks_of(PAGE, TEXT)
    assert (hello.language, hello.title, hello.line) == ("python", "hello.py", 3)
    assert hello.text == 'print("hello")\n\n'
    assert hello.directives.exit_status == 0
    assert (hello.directives.postgres, console.directives.postgres) == (False, True)
    assert (console.language, console.title) == ("console", None)
    assert (console.directives.since, console.directives.exit_status) == ((3, 12), 3)
    assert console.directives.background == {
        "serve": Background("listening on"),
        "": Background("it is ready", signal.SIGTERM, ends_others=False),
    }
    assert (text.language, text.text) == ("text", "```console\n")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("```python\n", "has no end"),
        ("<!-- test: not run: why -->\ntext\n", "no block follows"),
        ("<!-- test: not run: why -->\n", "no block follows"),
        ("<!-- test: whenever -->\n```python\n```\n", "nobody knows what"),
    ],
)
def test_what_is_not_understood_is_an_error(text: str, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        list(blocks_of(PAGE, text))


def test_commands_are_parted_from_their_output() -> None:
    text = "$ one  # comment\n$ two \\\n    --option\nout\n\nput\n$ three\n"
    assert list(commands_of(text)) == [
        Command("one  # comment", ""),
        Command("two \\\n    --option", "out\n\nput\n"),
        Command("three", ""),
    ]


def test_output_without_a_command_is_an_error() -> None:
    with pytest.raises(ValueError, match="begins with a command"):
        list(commands_of("output\n$ command\n"))


@pytest.mark.parametrize(
    ("shown", "printed", "numbers_vary"),
    [
        ("a\nb\n", "a  \nb\n\n", False),
        ("at 0x... [locked]\n", "at 0x7f12 [locked]\n", False),
        ("first\n...\nlast\n", "first\nlast\n", False),
        ("first\n...\nlast\n", "first\n1\n2\nlast\n", False),
        ("after 1.0 s, 10,000 of them\n", "after 12.34 s, 9 of them\n", True),
        ("| 12.5 ms |\n", "|   7.25 ms |\n", True),
        ("(a.b) [c]*\n", "(a.b) [c]*\n", True),
    ],
)
def test_output_as_shown_is_accepted(shown: str, printed: str, numbers_vary: bool) -> None:
    assert difference(shown, printed, numbers_vary=numbers_vary) is None


@pytest.mark.parametrize(
    ("shown", "printed", "numbers_vary"),
    [
        ("a\nb\n", "a\n", False),
        ("a\n", "a\nb\n", False),
        ("a...\n", "a\nb\n", False),
        ("after 1.0 s\n", "after 1.1 s\n", False),
        ("after 1.0 s\n", "after a s\n", True),
        ("a.b\n", "axb\n", True),
    ],
)
def test_other_output_is_shown_as_a_difference(
    shown: str, printed: str, numbers_vary: bool
) -> None:
    differs = difference(shown, printed, numbers_vary=numbers_vary)
    assert differs is not None
    assert differs.startswith("--- shown")

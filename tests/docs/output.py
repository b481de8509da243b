"""Does a program print what a page shows?"""

from __future__ import annotations

import difflib
import re

ELLIPSIS = "..."
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def difference(shown: str, printed: str, *, numbers_vary: bool = False) -> str | None:
    """A diff for the reader, or None if the two agree.

    In what is shown, `...` stands for anything within a line, and for any lines where it stands
    alone. Space at the ends of lines and of the whole does not count. With `numbers_vary` a number
    stands for any number, and the width that it takes up for any width.
    """
    lines = normal(shown)
    pattern = "".join(line_pattern(line, numbers_vary) for line in lines)
    if re.fullmatch(pattern, "".join(f"{line}\n" for line in normal(printed))):
        return None
    return "\n".join(difflib.unified_diff(lines, normal(printed), "shown", "printed", lineterm=""))


def normal(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip("\n").splitlines()]


def line_pattern(line: str, numbers_vary: bool) -> str:
    if line.strip() == ELLIPSIS:
        return r"(?:.*\n)*"
    return ".*".join(text_pattern(part, numbers_vary) for part in line.split(ELLIPSIS)) + r"\n"


def text_pattern(text: str, numbers_vary: bool) -> str:
    if not numbers_vary:
        return re.escape(text)
    words = NUMBER.split(text)
    number = NUMBER.pattern
    return number.join(re.sub(r"(?:\\ )+", " *", re.escape(word)) for word in words)

"""The job: how often each word is used. Map: a piece of the file; reduce: two results into one.

Plain functions on plain data, which know nothing of how they are run. What travels between
processes is where a piece begins and ends, and a dictionary of words: not the piece itself.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

#: Lines after which progress is reported.
REPORT_LINES = 2000


def count_words(
    path: Path, start: int, stop: int, report: Callable[[int], None] = lambda lines: None
) -> dict[str, int]:
    """Uses of each word in bytes `start`..`stop`-1 of a corpus.

    `report` is told every now and then how many lines were done since the last time.
    """
    uses: dict[str, int] = {}
    lines = 0
    with path.open("rb") as file:
        file.seek(start)
        while start < stop:
            line = file.readline()
            start += len(line)
            word, _, count = line.decode("ascii").split("\t")
            uses[word] = uses.get(word, 0) + int(count)
            lines += 1
            if lines == REPORT_LINES:
                report(lines)
                lines = 0
    report(lines)
    return uses


def merge(left: dict[str, int], right: dict[str, int]) -> dict[str, int]:
    """The uses of both."""
    merged = dict(left)
    for word, uses in right.items():
        merged[word] = merged.get(word, 0) + uses
    return merged


def summary(uses: dict[str, int]) -> str:
    """The most used words; among equals the first of the alphabet."""
    first = sorted(uses, key=lambda word: (-uses[word], word))[:3]
    most = ", ".join(f"{word} {uses[word]}" for word in first)
    return f"{len(uses)} words, {sum(uses.values())} uses; most used: {most}"

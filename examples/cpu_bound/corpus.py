"""A data set as those of word counts by year: large, invented, the same in every run.

    WORD <tab> YEAR <tab> USES

one line each, in no order. Some words are used much more than others, as in any language.
"""

from __future__ import annotations

import itertools
import random
from pathlib import Path

SYLLABLES = ("ba", "den", "fi", "gor", "hul", "ka", "lem", "mi", "nor", "pa", "rus", "ti", "vel")
YEARS = range(1900, 2020)
VOCABULARY = 4000
BATCH = 10_000


def write_corpus(path: Path, lines: int) -> int:
    """Writes `lines` lines to `path`; returns the sum of the uses in them."""
    dice = random.Random(lines)
    words = ["".join(parts) for parts in itertools.product(SYLLABLES, repeat=4)]
    words = dice.sample(words, VOCABULARY)
    weights = list(itertools.accumulate(1 / (rank + 3) for rank in range(VOCABULARY)))
    total = 0
    with path.open("w", encoding="ascii") as file:
        for start in range(0, lines, BATCH):
            count = min(BATCH, lines - start)
            uses = [int(dice.expovariate(0.01)) + 1 for _ in range(count)]
            chosen = dice.choices(words, cum_weights=weights, k=count)
            years = dice.choices(YEARS, k=count)
            file.writelines(
                f"{word}\t{year}\t{n}\n" for word, year, n in zip(chosen, years, uses, strict=True)
            )
            total += sum(uses)
    return total


def cut(path: Path, parts: int) -> list[tuple[int, int]]:
    """Cuts a file at line ends into about `parts` pieces of much the same size: byte ranges."""
    size = path.stat().st_size
    edges = [0]
    with path.open("rb") as file:
        for part in range(1, parts):
            file.seek(max(size * part // parts, edges[-1]))
            file.readline()
            edges.append(min(file.tell(), size))
    edges.append(size)
    return [(start, stop) for start, stop in itertools.pairwise(edges) if start < stop]

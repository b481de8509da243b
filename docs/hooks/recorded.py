"""Reads the tables of bench/README.md back into results: what bench/figures.py wrote there.

The tables are the record of the last run of all benchmarks. What they do not say is lost: of the
rounds of a row, the median, the least and the most of the ratios to the baseline are left.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ferrio._bench.results import LoopResult, Results, RowResult
from ferrio._bench.row import Measurement

SECTION = re.compile(
    r"<!-- figures (?P<version>[\d.]+) -->\n(?P<text>.*?)<!-- end of figures", re.DOTALL
)
GROUP = re.compile(r"^\*\*(?P<group>.+)\*\*\n\n(?P<table>(?:\|.*\n)+)", re.M)
HEADING = re.compile(r"^### CPython (?P<python>\S+), (?P<date>\S+)$", re.M)
ABOUT = re.compile(
    r"^(?P<cpu>.+), (?P<cpus>\d+) CPUs, (?P<system>[^;]+); (?P<compiler>[^;]+); (?P<loops>.+?)\. "
    r"(?P<rounds>\d+) paired rounds",
    re.M,
)
RATIO = re.compile(r"(\d[\d.]*)(?: = [\d.,]+ %)?(?: <sub>([\d.]+)-([\d.]+)</sub>)?")


def recorded(text: str) -> Iterator[tuple[str, str, Results]]:
    """The tables in `text`: the version of their section, the group of rows, and the results.

    Raises ValueError if a section does not say how it was measured.
    """
    for section in SECTION.finditer(text):
        about, heading = ABOUT.search(section["text"]), HEADING.search(section["text"])
        if about is None or heading is None:
            raise ValueError(f"figures {section['version']} do not say how they were measured")
        environment = {**about.groupdict(), **heading.groupdict()}
        loops = dict(loop.rsplit(" ", 1) for loop in about["loops"].split(", "))
        for group in GROUP.finditer(section["text"]):
            head, _, *rows = [cells(line) for line in group["table"].splitlines()]
            names = [head[1].partition(",")[0], *head[2:]]
            results = Results(
                environment=environment,
                loops={name: loops[name] for name in names},
                baseline=names[0],
                rows=[row_of(row, names, group["group"]) for row in rows],
            )
            yield section["version"], group["group"], results


def row_of(row: list[str], names: list[str], group: str) -> RowResult:
    """A row in which the baseline's figure is 1, so that those of the others are their ratios."""
    loops: dict[str, LoopResult] = {names[0]: LoopResult([Measurement(1.0)] * 3)}
    for name, cell in zip(names[1:], row[2:], strict=True):
        match = RATIO.fullmatch(cell)
        if match is None:
            loops[name] = LoopResult(error=cell)
            continue
        median, least, most = match.groups()
        rounds = [least or median, median, most or median]
        loops[name] = LoopResult([Measurement(float(ratio)) for ratio in rounds])
    # Where more is better, the cells also have what was kept, in per cent.
    return RowResult(row[0].strip("`"), group, "", "%" not in " ".join(row[2:]), loops)


def cells(line: str) -> list[str]:
    """The cells of a line of a table, without emphasis."""
    return [cell.strip().replace("**", "") for cell in line.strip().strip("|").split("|")]

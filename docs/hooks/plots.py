"""Plots of the performance page, drawn by `ferrio bench`'s own code from the tables on it.

The tables of bench/README.md are the record: bench/figures.py writes them from a run of the
benchmarks. Here they are read back, so that a plot never shows other figures than its page does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ferrio._bench import plot
from ferrio._bench.results import LoopResult, Results, RowResult
from ferrio._bench.row import Measurement
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

README = Path(__file__).resolve().parents[2] / "bench" / "README.md"
PAGE = "performance.md"
PLOTS = Path(__file__).resolve().parents[2] / ".build" / "plots"

SECTION = re.compile(
    r"<!-- figures (?P<version>[\d.]+) -->\n(?P<text>.*?)<!-- end of figures", re.DOTALL
)
HEADING = re.compile(r"^### CPython (?P<python>\S+), (?P<date>\S+)$", re.M)
ABOUT = re.compile(
    r"^(?P<cpu>.+), (?P<cpus>\d+) CPUs, (?P<system>[^;]+); (?P<compiler>[^;]+); (?P<loops>.+?)\. "
    r"(?P<rounds>\d+) paired rounds",
    re.M,
)
GROUP = re.compile(r"^\*\*(?P<group>.+)\*\*\n\n(?P<table>(?:\|.*\n)+)", re.M)
RATIO = re.compile(r"(\d[\d.]*)(?: = [\d.,]+ %)?(?: <sub>([\d.]+)-([\d.]+)</sub>)?")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds a picture for each table."""
    PLOTS.mkdir(parents=True, exist_ok=True)
    for version, group, results in recorded(README.read_text()):
        path = PLOTS / Path(picture(version, group)).name
        plot.save(results, path)
        files.append(
            File.generated(config, picture(version, group), abs_src_path=str(path.absolute()))
        )
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Puts each picture above its table."""
    if page.file.src_uri != PAGE:
        return markdown

    def with_pictures(section: re.Match[str]) -> str:
        def with_picture(group: re.Match[str]) -> str:
            what = f"{group['group']}, CPython {section['version']}"
            image = f"![Plot: {what}]({picture(section['version'], group['group'])})"
            return f"**{group['group']}**\n\n{image}\n\n{group['table']}"

        return GROUP.sub(with_picture, section[0])

    return SECTION.sub(with_pictures, markdown)


def picture(version: str, group: str) -> str:
    return f"images/figures-{version}-{group.replace(' ', '-')}.svg"


def recorded(text: str) -> Iterator[tuple[str, str, Results]]:
    """The tables of `text`: the section's version, the group of rows, and the rows as results."""
    for section in SECTION.finditer(text):
        about, heading = ABOUT.search(section["text"]), HEADING.search(section["text"])
        if about is None or heading is None:
            raise ValueError(f"bench/README.md, figures {section['version']}: no line about them")
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
    """A row whose rounds give the ratios that the table shows; their values are ratios, too."""
    loops: dict[str, LoopResult] = {names[0]: LoopResult([Measurement(1.0)] * 3)}
    for name, cell in zip(names[1:], row[2:], strict=True):
        match = RATIO.fullmatch(cell)
        if match is None:
            loops[name] = LoopResult(error=cell)
            continue
        median, least, most = match.groups()
        rounds = [least or median, median, most or median]
        loops[name] = LoopResult([Measurement(float(ratio)) for ratio in rounds])
    # More is better in shares of throughput, and there alone; figures.py marks them by their unit.
    return RowResult(row[0].strip("`"), group, "", "%" not in " ".join(row[2:]), loops)


def cells(line: str) -> list[str]:
    """The cells of a line of a table, without emphasis."""
    return [cell.strip().replace("**", "") for cell in line.strip().strip("|").split("|")]


__all__: list[Any] = ["on_files", "on_page_markdown"]

"""The curves as a table on the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .. import figures
from ..results import Results
from .curves import Curves, Point, curves


def print_results(results: Results, console: Console) -> None:
    """A section for each curve: the sizes, and how the cost grows from the first to the last."""
    table = Table(
        title="costs, lower is better; best of a line in bold",
        title_justify="left",
        title_style="",
        header_style="bold",
        box=None,
        padding=(0, 2, 0, 0),
    )
    loops = list(results.loops)
    table.add_column("", no_wrap=True)
    for loop in loops:
        table.add_column(loop, justify="right", no_wrap=True)
    for each in curves(results):
        table.add_row()
        table.add_row(Text(f"{each.title}, {each.unit}", style="bold"))
        for size in each.sizes:
            label = f"{size:>11,} {each.counted}"
            table.add_row(label, *(_cost(each, loop, size) for loop in loops))
        if len(each.sizes) > 1:
            times = Text("      growth, times", style="dim")
            table.add_row(times, *(_growth(each, loop) for loop in loops))
    console.print(table)
    console.print(
        "Medians, then least and most. Growth: the last cost relative to the first of the same "
        f"round. Rounds: {results.environment['rounds']}.",
        style="dim",
    )


def _cost(curve: Curves, loop: str, size: int) -> Text:
    point = curve.points[loop].get(size)
    if not isinstance(point, Point):
        return Text(point or "", style="red")
    text = Text(figures.number(point.median), style="bold" if curve.best(size) == loop else "")
    if point.least != point.most:
        spread = f" {figures.number(point.least)}-{figures.number(point.most)}"
        text.append(spread, style="not bold dim")
    return text


def _growth(curve: Curves, loop: str) -> Text:
    growth = curve.growth(loop)
    return Text("" if growth is None else figures.ratio(growth), style="dim")

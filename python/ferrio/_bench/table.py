"""The results as a table on the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from . import figures
from .results import Results, RowResult


def print_results(results: Results, console: Console) -> None:
    """One table: a row's baseline in its unit, and every other loop relative to it."""
    table = Table(
        title=f"relative to {results.baseline}; ↓ lower is better, ↑ higher is better",
        title_justify="left",
        title_style="",
        header_style="bold",
        box=None,
        padding=(0, 2, 0, 0),
    )
    others = [loop for loop in results.loops if loop != results.baseline]
    table.add_column("row", no_wrap=True)
    table.add_column(results.baseline, justify="right", no_wrap=True)
    table.add_column("unit", no_wrap=True, style="dim")
    for loop in others:
        table.add_column(loop, justify="right", no_wrap=True)
    for row in results.rows:
        arrow = "↓" if row.lower_is_better else "↑"
        cells = [_ratio(row, loop, results.baseline) for loop in others]
        table.add_row(row.name, _baseline(row, results.baseline), f"{row.unit} {arrow}", *cells)
    console.print(table)
    if others:
        console.print(
            f"Median of the ratios within {results.environment['rounds']} rounds, "
            "then least and most. Best of a row in bold.",
            style="dim",
        )


def _baseline(row: RowResult, baseline: str) -> Text:
    result = row.loops[baseline]
    if result.median is None:
        return Text(figures.reason(result), style="red")
    return Text(figures.number(result.median), style="bold" if row.best() == baseline else "")


def _ratio(row: RowResult, loop: str, baseline: str) -> Text:
    result = row.loops[loop]
    if result.median is None:
        return Text(figures.reason(result), style="red")
    style = "bold" if row.best() == loop else ""
    ratio = row.ratio(loop, baseline)
    if ratio is None:
        # The baseline could not do it: only the plain figure is left to show.
        return Text(f"{figures.number(result.median)} {row.unit}", style=style)
    text = Text(figures.ratio(ratio), style=style)
    return text.append(f" {figures.spread(ratio)}".rstrip(), style="not bold dim")

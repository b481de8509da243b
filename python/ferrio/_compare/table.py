"""The results as a table on the terminal, and in words."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .._bench import figures
from .results import Results
from .verdict import QUANTITIES, Meaning, Quantity, median, ratio, sentence

STYLES = {
    Meaning.BETTER: "bold green",
    Meaning.WORSE: "bold red",
    Meaning.NOISE: "dim",
    Meaning.UNKNOWN: "",
}


def print_results(results: Results, console: Console) -> None:
    """A row for each quantity, a column for each loop; then a sentence for each loop."""
    measured = results.measured
    others = [loop for loop in measured if loop != results.baseline]
    if results.baseline not in measured:
        return
    console.print()
    console.print(results.command, markup=False, style="bold")
    console.print(
        f"relative to {results.baseline}, behind it the least and the most of the rounds; "
        "↓ lower is better, ↑ higher is better",
        style="dim",
    )
    table = Table(
        header_style="bold",
        box=None,
        padding=(0, 2, 0, 0),
    )
    table.add_column("", no_wrap=True)
    table.add_column(results.baseline, justify="right", no_wrap=True)
    for loop in others:
        table.add_column(loop, justify="right", no_wrap=True)
    for name, quantity in QUANTITIES.items():
        first = median(measured[results.baseline], name)
        if first is None:
            continue
        cells = [cell(results, loop, name, quantity) for loop in others]
        arrow = "↓" if quantity.lower_is_better else "↑"
        unit = quantity.unit if quantity.unit.startswith("/") else f" {quantity.unit}"
        shown = f"{figures.number(first)}{unit}".rstrip()
        table.add_row(f"{quantity.title} {arrow}", shown, *cells)
    console.print(table)
    console.print()
    for loop in others:
        console.print(sentence(loop, results.baseline, measured), markup=False)


def cell(results: Results, loop: str, name: str, quantity: Quantity) -> Text:
    """The ratio, grey where it is noise."""
    measured = results.measured
    found = ratio(measured[loop], measured[results.baseline], name)
    if found is None:
        value = median(measured[loop], name)
        return Text("" if value is None else f"{figures.number(value)} {quantity.unit}")
    meaning = found.meaning(quantity)
    text = Text(f"{found.median:.2f}", style=STYLES[meaning])
    if found.least != found.most:
        text.append(f" {found.least:.2f}-{found.most:.2f}", style="not bold dim")
    if meaning is Meaning.NOISE:
        text.append(" noise", style="dim")
    return text

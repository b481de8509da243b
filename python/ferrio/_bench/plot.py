"""The results as a picture: a group of bars for each row, relative to the baseline."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from .results import Results, RowResult

COLOURS = {
    "asyncio": "#9aa3ad",
    "uvloop": "#f0b429",
    "rloop": "#8c6bb1",
    "zuvloop": "#2f9e8f",
    "aiofastnet": "#5b8fd9",
    "ferrio": "#d1442f",
}
INK = "#24292f"
FAINT = "#8b949e"
BAR = 0.8
"""Inches are 0.19 times this per bar; a row's bars lie without gaps between them."""


def save(results: Results, path: Path) -> None:
    """Writes PNG, SVG or what else the suffix says.

    Bars start at 1, the baseline, on a logarithmic axis: a loop at half the cost reaches as far
    left as one at twice the cost reaches right. Rows in which more is better are turned over, so
    that left is better everywhere.
    """
    shown = [loop for loop in results.loops if loop != results.baseline] or list(results.loops)
    rows = [row for row in results.rows if any(_cost(row, x, results.baseline) for x in shown)]
    bars = len(rows) * (len(shown) + 0.9)
    figure = Figure(
        figsize=(10, 1.9 + 0.19 * max(bars, 6)), layout="constrained", facecolor="white"
    )
    axes = figure.add_subplot()
    _draw_rows(axes, rows, shown, results.baseline)
    _dress(axes, rows, shown, results)
    figure.savefig(path, dpi=150)


def _cost(row: RowResult, loop: str, baseline: str) -> tuple[float, float, float] | None:
    """Median, least and most of the ratio, turned so that less is better."""
    ratio = row.ratio(loop, baseline)
    if ratio is None or ratio.least <= 0:
        return None
    if row.lower_is_better:
        return ratio.median, ratio.least, ratio.most
    return 1 / ratio.median, 1 / ratio.most, 1 / ratio.least


def _draw_rows(axes: Axes, rows: list[RowResult], shown: list[str], baseline: str) -> None:
    group = len(shown) + 0.9
    for row_index, row in enumerate(rows):
        for loop_index, loop in enumerate(shown):
            cost = _cost(row, loop, baseline)
            at = row_index * group + loop_index
            if cost is None:
                axes.text(1.02, at, "n/a", va="center", fontsize=7, color=FAINT)
                continue
            median, least, most = cost
            axes.barh(at, median - 1, left=1, height=BAR, color=COLOURS.get(loop, FAINT))
            axes.hlines(at, least, most, color=INK, linewidth=1, alpha=0.55)
            outwards = median > 1
            axes.annotate(
                f"{median:.2f}",
                (max(most, 1) if outwards else min(least, 1), at),
                xytext=(4 if outwards else -4, 0),
                textcoords="offset points",
                ha="left" if outwards else "right",
                va="center",
                fontsize=7,
                color=INK,
                fontweight="bold" if loop == "ferrio" else "normal",
            )
        if row_index:
            axes.axhline(row_index * group - 0.95, color=FAINT, linewidth=0.4, alpha=0.5)


def _dress(axes: Axes, rows: list[RowResult], shown: list[str], results: Results) -> None:
    group = len(shown) + 0.9
    axes.set_xscale("log")
    costs = [cost for row in rows for x in shown if (cost := _cost(row, x, results.baseline))]
    # Room at both ends for the numbers beside the bars.
    axes.set_xlim(
        min([cost[1] for cost in costs], default=0.5) / 1.4,
        max([cost[2] for cost in costs] + [1.1]) * 1.4,
    )
    ticks = [0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50]
    low, high = axes.get_xlim()
    axes.set_xticks([tick for tick in ticks if low <= tick <= high])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_yticks(
        [index * group + (len(shown) - 1) / 2 for index in range(len(rows))],
        [row.name if row.lower_is_better else f"{row.name} (inverted)" for row in rows],
    )
    axes.set_ylim(len(rows) * group - 0.95, -0.95)
    axes.axvline(1, color=COLOURS.get(results.baseline, INK), linewidth=1.6)
    axes.grid(axis="x", color=FAINT, alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0, labelsize=9, labelcolor=INK)
    axes.tick_params(axis="x", length=0, labelsize=8, labelcolor=FAINT)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)
    for loop in shown:
        axes.barh(0, 0, color=COLOURS.get(loop, FAINT), label=f"{loop} {results.loops[loop]}")
    baseline = f"{results.baseline} {results.loops[results.baseline]} = 1"
    axes.plot([], [], color=COLOURS.get(results.baseline, INK), linewidth=1.6, label=baseline)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=6, frameon=False, fontsize=8)
    environment = results.environment
    axes.set_xlabel(
        f"cost relative to {results.baseline}, logarithmic; left is better; thin lines: least to "
        f"most of {environment['rounds']} rounds\n"
        f"CPython {environment['python']}, {environment['cpu']}, {environment['cpus']} CPUs, "
        f"{environment['system']}, {environment['date'][:10]}",
        fontsize=8,
        color=FAINT,
    )

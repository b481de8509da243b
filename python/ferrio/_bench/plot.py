"""The results as a picture: a group of bars for each row, relative to the baseline."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MultipleLocator

from . import picture
from .picture import COLOURS, FAINT, INK
from .results import Results, RowResult
from .rows import ALL

BAR = 0.8
"""Inches are 0.19 times this per bar; a row's bars lie without gaps between them."""
GAP = 0.9
"""Between two rows, in bars."""
SUMMARIES = {row.name: row.summary for row in ALL}
"""What each row is."""
MOST = 2.5
"""Where the axis ends at the latest: a bar that goes on says how far."""


def save(results: Results, path: Path) -> None:
    """Writes PNG, SVG or what else the suffix says.

    Bars start at 0 on a linear axis, on which the baseline is 1: a bar of half the length is half
    the cost. Rows in which more is better are turned over, so that shorter is better everywhere.
    """
    shown = [loop for loop in results.loops if loop != results.baseline] or list(results.loops)
    rows = [row for row in results.rows if any(_cost(row, x, results.baseline) for x in shown)]
    bars = len(rows) * (len(shown) + GAP)
    figure = Figure(figsize=(10, 1.7 + 0.19 * max(bars, 6)), layout="constrained")
    axes = figure.add_subplot()
    end = _end(rows, shown, results.baseline)
    _draw_rows(axes, rows, shown, results.baseline, end)
    _dress(axes, rows, shown, results, end)
    picture.save(figure, path)


def _cost(row: RowResult, loop: str, baseline: str) -> tuple[float, float, float] | None:
    """Median, least and most of the ratio, turned so that less is better."""
    ratio = row.ratio(loop, baseline)
    if ratio is None or ratio.least <= 0:
        return None
    if row.lower_is_better:
        return ratio.median, ratio.least, ratio.most
    return 1 / ratio.median, 1 / ratio.most, 1 / ratio.least


def _end(rows: list[RowResult], shown: list[str], baseline: str) -> float:
    """Of the axis: where the longest bar ends, with room for its number."""
    costs = [cost for row in rows for x in shown if (cost := _cost(row, x, baseline))]
    return min(MOST, max([cost[2] for cost in costs] + [1.0])) * 1.08


def _draw_rows(
    axes: Axes, rows: list[RowResult], shown: list[str], baseline: str, end: float
) -> None:
    group = len(shown) + GAP
    for row_index, row in enumerate(rows):
        for loop_index, loop in enumerate(shown):
            cost = _cost(row, loop, baseline)
            at = row_index * group + loop_index
            if cost is None:
                axes.text(0.01, at, "not there", va="center", fontsize=7, color=FAINT)
                continue
            median, least, most = cost
            axes.barh(at, min(median, end), height=BAR, color=COLOURS.get(loop, FAINT))
            axes.hlines(at, min(least, end), min(most, end), color=INK, linewidth=1, alpha=0.55)
            goes_on = median > end
            axes.annotate(
                f"{median:.2f} →" if goes_on else f"{median:.2f}",
                (end if goes_on else min(max(median, most), end), at),
                xytext=(-3 if goes_on else 4, 0),
                textcoords="offset points",
                ha="right" if goes_on else "left",
                va="center",
                fontsize=8,
                color="white" if goes_on else INK,
                fontweight="bold" if loop == "ferrio" else "normal",
                # Beyond the axis there is room for the number of a bar that just fits.
                annotation_clip=False,
            )


def _dress(
    axes: Axes, rows: list[RowResult], shown: list[str], results: Results, end: float
) -> None:
    group = len(shown) + GAP
    axes.set_xlim(0, end)
    axes.xaxis.set_major_locator(MultipleLocator(0.25 if end < 2 else 0.5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_yticks([index * group + (len(shown) - 1) / 2 for index in range(len(rows))])
    axes.set_yticklabels([_label(row) for row in rows])
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
    legend = axes.legend(
        loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=6, frameon=False, fontsize=8
    )
    for text in legend.get_texts():
        text.set_color(INK)
    environment = results.environment
    axes.set_xlabel(
        f"cost, {results.baseline} = 1: shorter is better; thin lines: least to most of "
        f"{environment['rounds']} rounds\n"
        f"CPython {environment['python']}, {environment['cpu']}, {environment['cpus']} CPUs, "
        f"{environment['system']}, {environment['date'][:10]}",
        fontsize=8,
        color=FAINT,
    )


def _label(row: RowResult) -> str:
    """A row's name, and below it what it is, in as many words as fit beside a group of bars."""
    name = row.name if row.lower_is_better else f"{row.name} (inverted)"
    summary = ", ".join(SUMMARIES.get(row.name, "").split(", ")[:2])
    return f"{name}\n{summary}" if summary and len(summary) < 60 else name

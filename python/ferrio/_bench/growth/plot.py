"""The curves as a picture: a panel for each cost, both axes logarithmic."""

from __future__ import annotations

import math
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from .. import picture
from ..picture import COLOURS, FAINT, INK
from ..results import Results
from .curves import Curves, curves

COLUMNS = 3
PANEL_INCHES = (3.9, 2.7)
LEAST_DECADES = 1.0
"""What an axis of costs shows at least: noise shall not look like a slope."""


def save(results: Results, path: Path) -> None:
    """Writes PNG, SVG or what else the suffix says."""
    shown = list(curves(results))
    columns = min(COLUMNS, len(shown)) or 1
    rows = math.ceil(len(shown) / columns) or 1
    width, height = PANEL_INCHES
    figure = Figure(figsize=(width * columns, height * rows + 0.9), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).flatten()
    for axes, curve in zip(panels, shown, strict=False):
        _draw(axes, curve)
    for axes in panels[len(shown) :]:
        axes.set_axis_off()
    _dress(figure, panels[0], results)
    picture.save(figure, path)


def _draw(axes: Axes, curve: Curves) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    _scale(axes, curve)
    for loop in curve.points:
        known = curve.known(loop)
        sizes = [size for size, _ in known]
        ours = loop == "ferrio"
        axes.plot(
            sizes,
            [point.median for _, point in known],
            color=COLOURS.get(loop, FAINT),
            linewidth=2.2 if ours else 1.4,
            marker="o",
            markersize=4 if ours else 3,
            zorder=3 if ours else 2,
            label=loop,
        )
        axes.vlines(
            sizes,
            [point.least for _, point in known],
            [point.most for _, point in known],
            color=COLOURS.get(loop, FAINT),
            linewidth=1,
            alpha=0.55,
        )
    axes.set_title(f"{curve.title}, {curve.unit}", fontsize=9, color=INK, loc="left")
    axes.set_xlabel(curve.counted, fontsize=8, color=FAINT)
    axes.grid(color=FAINT, alpha=0.25, linewidth=0.6)
    axes.tick_params(length=0, labelsize=8, labelcolor=FAINT)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)


def _scale(axes: Axes, curve: Curves) -> None:
    points = [point for loop in curve.points for _, point in curve.known(loop)]
    # A cost of nothing, which a measurement of memory may give, has no place on this axis.
    low = min([point.least for point in points if point.least > 0], default=1.0) / 1.2
    high = max([point.most for point in points], default=10.0) * 1.2
    if (missing := LEAST_DECADES - math.log10(high / low)) > 0:
        low, high = low / 10 ** (missing / 2), high * 10 ** (missing / 2)
    axes.set_ylim(low, high)
    axes.set_xlim(curve.sizes[0] / 1.5, curve.sizes[-1] * 1.5)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    # More than these would overlap once there are many decades.
    steps = (1, 2, 5) if len(decades) <= 3 else (1,)
    ticks = [step * 10.0**decade for decade in decades for step in steps]
    axes.set_yticks([tick for tick in ticks if low <= tick <= high])
    axes.set_xticks(curve.sizes)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: _number(value)))


def _number(value: float) -> str:
    """0.5, 20, 1,000, 1 M."""
    if value >= 1e6:
        return f"{value / 1e6:g} M"
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def _dress(figure: Figure, axes: Axes, results: Results) -> None:
    handles, loops = axes.get_legend_handles_labels()
    labels = [f"{loop} {results.loops[loop]}" for loop in loops]
    legend = figure.legend(
        handles, labels, loc="outside upper center", ncols=6, frameon=False, fontsize=9
    )
    for text in legend.get_texts():
        text.set_color(INK)
    environment = results.environment
    figure.supxlabel(
        f"lower is better; both axes logarithmic; thin lines: least to most; "
        f"rounds: {environment['rounds']}\n"
        f"CPython {environment['python']}, {environment['cpu']}, {environment['cpus']} CPUs, "
        f"{environment['system']}, {environment['date'][:10]}",
        fontsize=8,
        color=FAINT,
    )

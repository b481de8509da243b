"""The results as a picture: a panel for each quantity, a bar for each loop."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .._bench import picture
from .._bench.figures import number
from .._bench.picture import COLOURS, FAINT, INK
from .results import Results
from .verdict import QUANTITIES, median

#: How many panels stand beside each other.
COLUMNS = 3


def save(results: Results, path: Path) -> None:
    """Write PNG, SVG or what else the suffix says: medians on linear axes that begin at 0, with the
    least and the most of the rounds.
    """
    measured = results.measured
    shown = {
        name: quantity
        for name, quantity in QUANTITIES.items()
        if any(median(rounds, name) is not None for rounds in measured.values())
    }
    lines = -(-len(shown) // COLUMNS)
    figure = Figure(
        figsize=(10, 0.9 + lines * (0.9 + 0.28 * len(measured))),
        layout="constrained",
    )
    axes = figure.subplots(lines, COLUMNS, squeeze=False)
    loops = list(measured)
    for place, panel in enumerate(axes.flat):
        if place >= len(shown):
            panel.set_visible(False)
            continue
        name, quantity = list(shown.items())[place]
        for at, loop in enumerate(loops):
            values = [figures[name] for figures in measured[loop] if name in figures]
            middle = median(measured[loop], name)
            if middle is None:
                continue
            panel.barh(at, middle, height=0.75, color=COLOURS.get(loop, FAINT))
            panel.hlines(at, min(values), max(values), color=INK, linewidth=1, alpha=0.6)
            panel.annotate(
                number(middle),
                (max(values), at),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
                color=INK,
            )
        panel.set_yticks(range(len(loops)), loops if place % COLUMNS == 0 else [""] * len(loops))
        panel.invert_yaxis()
        panel.margins(x=0.25)
        panel.xaxis.set_major_locator(MaxNLocator(4))
        panel.set_xlim(left=0)
        better = "less" if quantity.lower_is_better else "more"
        unit = f"{quantity.unit}, " if quantity.unit else ""
        panel.set_title(f"{quantity.title} ({unit}{better} is better)", fontsize=8, loc="left")
        panel.tick_params(axis="y", length=0, labelsize=8, labelcolor=INK)
        panel.tick_params(axis="x", length=0, labelsize=7, labelcolor=FAINT)
        for side in ("top", "right", "left", "bottom"):
            panel.spines[side].set_visible(False)
    environment = results.environment
    figure.suptitle(results.command, fontsize=9, color=INK, x=0.01, ha="left")
    figure.supxlabel(
        f"CPython {environment['python']}, {environment['cpu']}, {environment['cpus']} CPUs, "
        f"{environment['system']}, {environment['date'][:10]}, {environment['rounds']} rounds",
        fontsize=7,
        color=FAINT,
    )
    picture.save(figure, path)

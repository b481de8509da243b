"""The load comparison as a drawing: rates as bars, and how the latencies are distributed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib

if TYPE_CHECKING:
    from load import Result

COLOURS = ("#3b6ea5", "#c8663a", "#5f8f4e")


def draw(results: list[Result], title: str, path: Path) -> None:
    """Into a file of the format that its suffix names: .svg or .png."""
    # No display is needed, and text in an SVG stays text.
    matplotlib.use("agg")
    matplotlib.rcParams["svg.fonttype"] = "none"
    matplotlib.rcParams["svg.hashsalt"] = "web_apps"
    from matplotlib import pyplot

    figure, (rates, latencies) = pyplot.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    names = [result.name for result in results]
    bars = rates.bar(names, [result.rate for result in results], color=COLOURS, width=0.6)
    rates.bar_label(bars, fmt="%.0f", padding=2)
    rates.set_ylabel("requests per second")
    rates.margins(y=0.15)

    # A hundred points are as good as thousands to the eye, and keep the file small.
    percents = range(1, 100)
    for result, colour in zip(results, COLOURS, strict=False):
        milliseconds = [1e3 * result.percentile(percent) for percent in percents]
        latencies.plot(milliseconds, percents, color=colour, label=result.name)
    latencies.set_xlabel("milliseconds")
    latencies.set_ylabel("% of requests answered within")
    latencies.set_xlim(left=0)
    latencies.set_ylim(0, 100)
    latencies.legend(frameon=False)

    for axes in (rates, latencies):
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title)
    # Without the date, the same figures make the same file.
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    pyplot.close(figure)

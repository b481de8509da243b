"""What all plots share: the colours of the loops, and files that suit light and dark pages."""

from __future__ import annotations

import io
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

COLOURS = {
    "asyncio": "#9aa3ad",
    "uvloop": "#f0b429",
    "rloop": "#8c6bb1",
    "zuvloop": "#2f9e8f",
    "aiofastnet": "#b5835a",
    "ferrio": "#1f6feb",
}
INK = "#24292f"
FAINT = "#6e7781"
PAPER = "#ffffff"

#: What these two are on a dark page. The colours of the loops are seen on both.
DARK = {INK: "#e6edf3", FAINT: "#9aa4ae"}
DOTS_PER_INCH = 150


def save(figure: Figure, path: Path) -> None:
    """Write PNG, SVG or what else the suffix says; the same file for the same figures.

    An SVG has no paper of its own, has its text as text, and follows the colour scheme of the page
    that shows it (the media query `prefers-color-scheme`, which browsers answer inside of `img` by
    that element's `color-scheme`). Other formats are on white.
    """
    if path.suffix != ".svg":
        figure.savefig(path, dpi=DOTS_PER_INCH, facecolor=PAPER)
        return
    drawn = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "ferrio"}):
        figure.savefig(drawn, format="svg", transparent=True, metadata={"Date": None})
    path.write_text(drawn.getvalue().replace("</style>", f"{_dark_style()}</style>", 1))


def _dark_style() -> str:
    """matplotlib writes colours into `style` attributes, which only `!important` overrides."""
    rules = "".join(
        f'[style*="fill: {light}"]{{fill:{dark}!important}}'
        f'[style*="stroke: {light}"]{{stroke:{dark}!important}}'
        for light, dark in DARK.items()
    )
    return f"@media (prefers-color-scheme: dark){{{rules}}}"

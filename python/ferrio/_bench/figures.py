"""How a figure is written, in the table, the progress and the README alike."""

from __future__ import annotations

from .results import LoopResult, Ratio


def number(value: float) -> str:
    """Three digits that count: 0.210, 8.78, 146, 17,028."""
    if value >= 100:
        return f"{value:,.0f}"
    if value >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if value >= 1 else f"{value:.3f}"


def ratio(value: Ratio) -> str:
    return f"{value.median:.2f}"


def spread(value: Ratio) -> str:
    """Empty if there was one round only."""
    return "" if value.least == value.most else f"{value.least:.2f}-{value.most:.2f}"


def reason(result: LoopResult) -> str:
    """Why there is no figure, short enough for a table's cell."""
    text = (result.error or "no result").rstrip(": ")
    return text if len(text) <= 24 else text.partition(":")[0][:24]

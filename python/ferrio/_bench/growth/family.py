"""What a family of rows is: the same measured at ever larger sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..row import Row


@dataclass(frozen=True)
class Cost:
    """One of the things that a measurement of a family tells."""

    title: str
    unit: str
    detail: str | None = None
    """Where it is among the details of a measurement; None for the measurement's value."""
    least_size: int = 1
    """Smaller sizes are too small to measure it."""


@dataclass(frozen=True)
class Family:
    name: str
    """Of all its rows the group, and with `_` and the size the name."""
    counted: str
    """What there is a number of: connections, timers, tasks."""
    costs: tuple[Cost, ...]
    rows: Sequence[Row]


def row_name(family: str, size: int) -> str:
    return f"{family}_{size}"


def size_of(row_name: str) -> int:
    """How many there are in a row of this name."""
    return int(row_name.rpartition("_")[2])

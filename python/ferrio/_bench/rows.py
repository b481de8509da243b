"""The registry: every row there is."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from .clients.row import CLIENT_ROWS
from .echo.busy import BUSY_ROWS
from .echo.connects import CONNECT_ROWS
from .echo.memory import MEMORY_ROWS
from .echo.throughput import ECHO_ROWS
from .micro.row import MICRO_ROWS
from .row import Row
from .web.row import WEB_ROWS

ALL: tuple[Row, ...] = (
    *ECHO_ROWS,
    *CONNECT_ROWS,
    *BUSY_ROWS,
    *WEB_ROWS,
    *CLIENT_ROWS,
    *MEMORY_ROWS,
    *MICRO_ROWS,
)


class NoSuchRow(ValueError):
    """A pattern that matches nothing is a typing mistake, not an empty benchmark."""


def select(rows: Sequence[Row], patterns: Sequence[str], quick: bool) -> list[Row]:
    """The rows whose names match any of `patterns`; without patterns all, or those of `--quick`."""
    if not patterns:
        return [row for row in rows if row.quick or not quick]
    for pattern in patterns:
        if not any(fnmatchcase(row.name, pattern) for row in rows):
            raise NoSuchRow(f"no row matches {pattern!r}; --list shows them")
    return [row for row in rows if any(fnmatchcase(row.name, pattern) for pattern in patterns)]

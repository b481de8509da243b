"""The registry: every family there is, and the order in which it is measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..campaign import Step, steps_together
from ..row import Effort, Row
from .connections import CONNECTIONS
from .crowd import CROWDS
from .family import Family

FAMILIES: tuple[Family, ...] = (*CONNECTIONS, *CROWDS)
ROWS: tuple[Row, ...] = tuple(row for family in FAMILIES for row in family.rows)


def steps(rows: Sequence[Row], loops: Sequence[str], rounds: int, effort: Effort) -> Iterator[Step]:
    """All sizes of a family in each round: how a cost grows is taken within rounds as well."""
    for family in FAMILIES:
        members = [row for row in rows if row.group == family.name]
        yield from steps_together(members, loops, rounds, effort)

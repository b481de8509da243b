"""The lighthouses of an invented coast, which answer by radio: slowly, but all at the same time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass


@dataclass(frozen=True)
class Lighthouse:
    name: str
    #: Seconds from question to answer.
    distance: float
    #: What it sees: metres of waves.
    waves: float


COAST = [
    Lighthouse("Heron Rock", 0.12, 1.5),
    Lighthouse("Old Bess", 0.04, 0.5),
    Lighthouse("Farewell", 0.20, 4.0),
    Lighthouse("Tern Island", 0.08, 1.0),
]

#: Far from everything, and one that never answers.
FARTHEST = Lighthouse("World's End", 1.0, 6.0)
ABANDONED = Lighthouse("Old Light", 3600.0, 0.0)


class Silence(Exception):
    """A lighthouse did not answer."""


async def report(lighthouse: Lighthouse) -> str:
    """Ask for a report. `asyncio.sleep` stands for the network: it waits and lets others run."""
    await asyncio.sleep(lighthouse.distance)
    return f"{lighthouse.name}: {lighthouse.waves} m"


async def no_report(lighthouse: Lighthouse) -> str:
    """Ask a lighthouse whose radio is broken."""
    await asyncio.sleep(lighthouse.distance)
    raise Silence(lighthouse.name)

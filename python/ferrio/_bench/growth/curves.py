"""Curves: a cost over the number of connections, timers or tasks, for each loop."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass

from .. import figures
from ..results import LoopResult, Ratio, Results
from .families import FAMILIES
from .family import Cost, size_of


@dataclass(frozen=True)
class Point:
    """What a loop's rounds gave at one size, in the curve's unit."""

    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)

    @property
    def least(self) -> float:
        return min(self.rounds)

    @property
    def most(self) -> float:
        return max(self.rounds)


@dataclass(frozen=True)
class Curves:
    """One cost, of all loops that took part."""

    title: str
    unit: str
    counted: str
    """What there is a number of."""
    points: dict[str, dict[int, Point | str]]
    """By loop and size; in place of a point stands why there is none."""

    @property
    def sizes(self) -> list[int]:
        return sorted({size for points in self.points.values() for size in points})

    def known(self, loop: str) -> list[tuple[int, Point]]:
        """The points that there are, by size."""
        points = sorted(self.points[loop].items())
        return [(size, point) for size, point in points if isinstance(point, Point)]

    def best(self, size: int) -> str | None:
        """The loop with the lowest median."""
        medians = {
            loop: point.median
            for loop, points in self.points.items()
            if isinstance(point := points.get(size), Point)
        }
        return min(medians, key=medians.__getitem__) if medians else None

    def growth(self, loop: str) -> Ratio | None:
        """The cost at the largest size relative to that at the smallest, taken within rounds; None
        if either is missing.
        """
        points = self.points[loop]
        few, many = points.get(self.sizes[0]), points.get(self.sizes[-1])
        if not isinstance(few, Point) or not isinstance(many, Point) or few is many:
            return None
        pairs = zip(many.rounds, few.rounds, strict=False)
        ratios = [one / other for one, other in pairs if other > 0]
        return Ratio(statistics.median(ratios), min(ratios), max(ratios)) if ratios else None


def curves(results: Results) -> Iterator[Curves]:
    """All curves that the results have points of."""
    for family in FAMILIES:
        rows = [row for row in results.rows if row.group == family.name]
        for cost in family.costs:
            points: dict[str, dict[int, Point | str]] = {loop: {} for loop in results.loops}
            for row in rows:
                size = size_of(row.name)
                if size < cost.least_size:
                    continue
                for loop, result in row.loops.items():
                    points[loop][size] = _point(result, cost)
            if any(points.values()):
                yield Curves(cost.title, cost.unit, family.counted, points)


def _point(result: LoopResult, cost: Cost) -> Point | str:
    if result.median is None:
        return figures.reason(result)
    if cost.detail is None:
        return Point(tuple(measured.value for measured in result.rounds))
    return Point(tuple(measured.details[cost.detail] for measured in result.rounds))

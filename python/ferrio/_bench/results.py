"""What was measured, and what follows from it: ratios, medians, spread. Reads and writes JSON."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .row import Measurement, Row

FORMAT = 1


@dataclass(frozen=True)
class Ratio:
    """Of a loop to the baseline, taken within rounds: those of a row lie close together in time."""

    median: float
    least: float
    most: float


@dataclass
class LoopResult:
    """What one loop gave in one row: a measurement per round, or an error and those before it."""

    rounds: list[Measurement] = field(default_factory=list)
    error: str | None = None

    @property
    def median(self) -> float | None:
        if self.error is not None or not self.rounds:
            return None
        return statistics.median(measurement.value for measurement in self.rounds)

    def detail(self, name: str) -> float | None:
        """Median over the rounds of something in the details."""
        values = [round_.details[name] for round_ in self.rounds if name in round_.details]
        return statistics.median(values) if values and self.error is None else None


@dataclass
class RowResult:
    name: str
    group: str
    unit: str
    lower_is_better: bool
    loops: dict[str, LoopResult] = field(default_factory=dict)

    @classmethod
    def of(cls, row: Row) -> RowResult:
        return cls(row.name, row.group, row.unit, row.lower_is_better)

    @classmethod
    def not_measured(cls, row: Row, loops: Iterable[str], reason: str) -> RowResult:
        """Of a row that this machine cannot measure with any loop."""
        result = cls.of(row)
        result.loops = {loop: LoopResult(error=reason) for loop in loops}
        return result

    def ratio(self, loop: str, baseline: str) -> Ratio | None:
        """None if either has no result; ratios below 1 are better if `lower_is_better`."""
        ours, theirs = self.loops.get(loop), self.loops.get(baseline)
        if ours is None or theirs is None or ours.median is None or theirs.median is None:
            return None
        pairs = zip(ours.rounds, theirs.rounds, strict=False)
        ratios = [one.value / other.value for one, other in pairs if other.value]
        return Ratio(statistics.median(ratios), min(ratios), max(ratios)) if ratios else None

    def best(self) -> str | None:
        """The loop with the best median."""
        medians = {name: result.median for name, result in self.loops.items()}
        known = {name: value for name, value in medians.items() if value is not None}
        if not known:
            return None
        choose = min if self.lower_is_better else max
        return choose(known, key=known.__getitem__)


@dataclass
class Results:
    environment: dict[str, Any]
    """Machine, interpreter, date, and how it was measured; all of it JSON already."""
    loops: dict[str, str]
    """Versions of the loops that took part, in the order in which they are shown."""
    baseline: str
    rows: list[RowResult] = field(default_factory=list)

    def write(self, path: Path) -> None:
        path.write_text(json.dumps({"format": FORMAT, **asdict(self)}, indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> Results:
        data = json.loads(path.read_text())
        if data.pop("format", None) != FORMAT:
            raise ValueError(f"{path} is not a result of this version of ferrio bench")
        rows = [_row(row) for row in data.pop("rows")]
        return cls(**data, rows=rows)


def baseline_of(loops: Iterable[str]) -> str:
    """What the ratios are relative to: uvloop, else asyncio, else whatever there is."""
    names = list(loops)
    for preferred in ("uvloop", "asyncio"):
        if preferred in names:
            return preferred
    return names[0]


def _row(data: dict[str, Any]) -> RowResult:
    loops = {
        name: LoopResult([Measurement(**round_) for round_ in loop["rounds"]], loop["error"])
        for name, loop in data.pop("loops").items()
    }
    return RowResult(**data, loops=loops)

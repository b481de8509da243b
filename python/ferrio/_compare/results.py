"""What came out, and its form as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

FORMAT = 1


@dataclass
class LoopResult:
    """Of one loop."""

    version: str
    #: Figures of each round, by the names of `verdict.QUANTITIES`.
    rounds: list[dict[str, float]] = field(default_factory=list)
    #: Why there are none, or no more.
    error: str | None = None
    #: What `ferrio run` has said: a program may have chosen a loop of its own.
    notes: list[str] = field(default_factory=list)


@dataclass
class Results:
    """Of a comparison."""

    #: Machine, interpreter, date.
    environment: dict[str, Any]
    command: str
    #: What asks a server; None for a program that ends.
    load: str | None
    baseline: str
    loops: dict[str, LoopResult]

    @property
    def measured(self) -> dict[str, list[dict[str, float]]]:
        """The rounds of those that have come through."""
        return {
            name: result.rounds
            for name, result in self.loops.items()
            if result.error is None and result.rounds
        }

    def write(self, path: Path) -> None:
        """As JSON."""
        path.write_text(json.dumps({"format": FORMAT, **asdict(self)}, indent=1) + "\n")

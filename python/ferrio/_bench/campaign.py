"""Runs rows over loops, interleaved, and tells an observer about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from .child import ChildError
from .results import LoopResult, RowResult
from .row import Effort, Measurement, Row


@dataclass(frozen=True)
class Step:
    """One measurement to be made."""

    row: Row
    loop: str
    round: int
    """From 1."""
    rounds: int
    seconds: float
    """How long it is expected to take."""


class Observer(Protocol):
    def begin(self, step: Step) -> None: ...

    def end(self, step: Step, outcome: Measurement | str | None) -> None:
        """`outcome`: the measurement, why there is none, or None if the step was left out."""


def steps(rows: Sequence[Row], loops: Sequence[str], rounds: int, effort: Effort) -> Iterator[Step]:
    """A B C, B C A, C A B, ... for each row.

    Interleaved, so that a disturbance of the machine meets all loops alike; rotated, so that no
    loop always comes after the same other one, which may have left the caches and the clock of
    the CPU in some state.
    """
    for row in rows:
        yield from steps_together([row], loops, rounds, effort)


def steps_together(
    rows: Sequence[Row], loops: Sequence[str], rounds: int, effort: Effort
) -> Iterator[Step]:
    """The same for rows whose figures are compared with each other: all of them in each round."""
    for number in range(rounds):
        shift = number % len(loops)
        for row in rows:
            for loop in (*loops[shift:], *loops[:shift]):
                yield Step(row, loop, number + 1, rounds, row.expected_seconds(effort))


def run(plan: Sequence[Step], effort: Effort, observer: Observer) -> Iterator[RowResult]:
    """Makes the measurements; yields each row when it is complete."""
    left = Counter(step.row.name for step in plan)
    begun: dict[str, RowResult] = {}
    for step in plan:
        name = step.row.name
        row_result = begun.setdefault(name, RowResult.of(step.row))
        result = row_result.loops.setdefault(step.loop, LoopResult())
        outcome: Measurement | str | None = None
        observer.begin(step)
        # What a loop cannot do it will not be able to do in the next round.
        if result.error is None:
            try:
                outcome = step.row.measure(step.loop, effort)
                result.rounds.append(outcome)
            except ChildError as error:
                outcome = result.error = str(error)
        observer.end(step, outcome)
        left[name] -= 1
        if not left[name]:
            yield begun.pop(name)

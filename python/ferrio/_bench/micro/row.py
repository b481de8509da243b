"""Micro rows: nanoseconds per operation."""

from __future__ import annotations

from dataclasses import dataclass

from ..child import Child
from ..row import Effort, Measurement
from .catalogue import OPERATIONS
from .operation import Clock, Operation

TIMEOUT_SECONDS = 20.0


@dataclass(frozen=True)
class MicroRow:
    operation: Operation
    group: str = "micro"
    lower_is_better: bool = True

    @property
    def name(self) -> str:
        return self.operation.name

    @property
    def summary(self) -> str:
        return self.operation.summary

    @property
    def unit(self) -> str:
        return "CPU-ns" if self.operation.clock is Clock.CPU else "ns"

    @property
    def quick(self) -> bool:
        return self.operation.quick

    def missing(self) -> str | None:
        return None

    def expected_seconds(self, effort: Effort) -> float:
        return effort.seconds / 2 + 0.25

    def measure(self, loop: str, effort: Effort) -> Measurement:
        # Half an echo row's time: one process and no network, so a measurement settles sooner.
        args = [loop, self.name, str(effort.seconds / 2)]
        with Child.of_package("micro.measured", args) as child:
            report = child.receive(TIMEOUT_SECONDS)
        clock = "cpu_ns" if self.operation.clock is Clock.CPU else "wall_ns"
        return Measurement(report[clock], report)


MICRO_ROWS = tuple(MicroRow(operation) for operation in OPERATIONS.values())

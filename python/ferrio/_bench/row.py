"""What a row of the benchmark is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from .cpus import Placement


@dataclass(frozen=True)
class Effort:
    """How much to spend on one measurement, and with what."""

    seconds: float
    """Length of the measured part; warm-up and the start of the processes come on top."""
    placement: Placement
    load_generator: str | None
    """Path of `ferrio-load`; None for the Python client that does its work, more slowly."""


@dataclass(frozen=True)
class Measurement:
    value: float
    """The headline, in the row's unit."""
    details: dict[str, float] = field(default_factory=dict)
    """What else was seen, by name with unit: throughput, percentiles, the parts of the CPU time."""


class Row(Protocol):
    """One line of the table. Measures a loop by name, in processes of its own."""

    @property
    def name(self) -> str: ...

    @property
    def group(self) -> str: ...

    @property
    def summary(self) -> str:
        """What one operation is, in a few words, for `--list`."""

    @property
    def unit(self) -> str: ...

    @property
    def lower_is_better(self) -> bool: ...

    @property
    def quick(self) -> bool:
        """Whether `--quick` includes the row."""

    def missing(self) -> str | None:
        """Why this machine cannot measure the row; None if it can."""

    def expected_seconds(self, effort: Effort) -> float:
        """About how long `measure` takes, for the estimate of the time left."""

    def measure(self, loop: str, effort: Effort) -> Measurement:
        """`ChildError` where the loop cannot do it."""

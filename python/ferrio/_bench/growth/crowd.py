"""Timers and tasks, from a thousand to a million, in a process by themselves."""

from __future__ import annotations

from dataclasses import dataclass

from ..child import Child
from ..cpus import available_bytes
from ..row import Effort, Measurement
from .family import Cost, Family, row_name

SIZES = (1000, 10_000, 100_000, 1_000_000)
QUICK_SIZES = (1000, 100_000)
LEAST_SIZE_FOR_MEMORY = 10_000
"""The memory of fewer hides in what the process had from the system already."""

MOST_BYTES_EACH = 2048
"""Of a task or timer with all that belongs to it, on any loop, with room to spare."""

SECONDS_EACH = 10e-6
"""For all that is done with one of them, on a slow loop."""

TIMEOUT_SECONDS = 300.0


@dataclass(frozen=True)
class CrowdRow:
    """A number of timers or tasks. The details of its measurements have all costs by name."""

    group: str
    size: int
    summary_of_each: str
    headline: str
    lower_is_better: bool = True
    unit: str = "CPU-ns"

    @property
    def name(self) -> str:
        return row_name(self.group, self.size)

    @property
    def summary(self) -> str:
        return f"{self.size:,} {self.group}: {self.summary_of_each}"

    @property
    def quick(self) -> bool:
        return self.size in QUICK_SIZES

    def missing(self) -> str | None:
        """Rather than have the system look for a process to kill."""
        needed, available = self.size * MOST_BYTES_EACH, available_bytes()
        if available is None or needed <= available:
            return None
        return f"needs {needed >> 20:,} MiB of memory: {available >> 20:,} MiB are available"

    def expected_seconds(self, effort: Effort) -> float:
        return 0.3 + max(effort.seconds, SECONDS_EACH * self.size)

    def measure(self, loop: str, effort: Effort) -> Measurement:
        args = [loop, self.group, str(self.size), str(effort.seconds)]
        with Child.of_package("growth.measured", args) as child:
            report = child.receive(TIMEOUT_SECONDS)
        return Measurement(report[self.headline], report)


def _rows(family: str, summary_of_each: str, headline: str) -> list[CrowdRow]:
    return [CrowdRow(family, size, summary_of_each, headline) for size in SIZES]


CROWDS = (
    Family(
        "timers",
        "timers",
        (
            Cost("call_later, that many pending", "CPU-ns", "call_later_ns"),
            Cost("cancel of a timer", "CPU-ns", "cancel_ns"),
            Cost("timers coming due together", "CPU-ns", "due_ns"),
            Cost("full collection, a pending timer", "CPU-ns", "collect_ns"),
            Cost("memory of a pending timer", "B", "memory_bytes", LEAST_SIZE_FOR_MEMORY),
        ),
        _rows("timers", "call_later, cancel and coming due; memory", "call_later_ns"),
    ),
    Family(
        "tasks",
        "tasks",
        (
            Cost("task, made and run through sleep(0)", "CPU-ns", "run_ns"),
            Cost("task woken by a future, run to its end", "CPU-ns", "wake_ns"),
            Cost("full collection, a waiting task", "CPU-ns", "collect_ns"),
            Cost("memory of a waiting task", "B", "memory_bytes", LEAST_SIZE_FOR_MEMORY),
        ),
        _rows("tasks", "made and run to the end, woken by a future; memory", "run_ns"),
    ),
)

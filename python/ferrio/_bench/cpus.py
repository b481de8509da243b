"""Which CPU does what, and how much CPU time a process has used."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


@dataclass(frozen=True)
class Placement:
    """CPUs for the server's loop, for the load, and for a thread that computes beside the loop.

    None where the machine has but one, or does not let us choose. The load never shares the
    server's CPU; with two CPUs it has to share that of the computing thread.
    """

    server: set[int] | None
    load: set[int] | None
    beside: int | None

    @classmethod
    def of_this_machine(cls) -> Placement:
        if not hasattr(os, "sched_getaffinity"):
            return cls(None, None, None)
        cpus = sorted(os.sched_getaffinity(0))
        if len(cpus) < 2:
            return cls(None, None, None)
        # The last for the server, as interrupts tend to be served by the first.
        *others, server = cpus
        return cls({server}, set(others), others[0])

    @property
    def load_beside_computing(self) -> set[int] | None:
        """Where the load runs while a thread computes on `beside`."""
        if self.load is None or self.beside is None:
            return self.load
        return (self.load - {self.beside}) or self.load

    @property
    def load_threads(self) -> int:
        """One thread cannot always keep a fast server busy: sending and receiving cost both sides
        the same.
        """
        return min(2, len(self.load or ())) or 1


def pin(pid: int, cpus: Iterable[int]) -> None:
    """Has a process run on these CPUs; where that cannot be said, no `Placement` has any."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(pid, cpus)


@dataclass(frozen=True)
class CpuTime:
    """CPU time of a process with all its threads, in seconds."""

    total: float
    user_ticks: int
    system_ticks: int

    @classmethod
    def of(cls, pid: int) -> CpuTime:
        """Exact to the nanosecond in total; the division into user and system is sampled by the
        tick.
        """
        if not sys.platform.startswith("linux"):
            raise OSError("reading another process's CPU clock is implemented for Linux only")
        # clock_getcpuclockid(3), which Python has for threads only: CPUCLOCK_SCHED is 2.
        total = time.clock_gettime((~pid << 3) | 2)
        # Field 2 is the name in parentheses and may contain anything; user and system are 14 and
        # 15.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return cls(total, int(fields[11]), int(fields[12]))

    def since(self, earlier: CpuTime) -> tuple[float, float, float]:
        """Seconds between the two: total, of which user, of which system."""
        total = self.total - earlier.total
        user = self.user_ticks - earlier.user_ticks
        system = self.system_ticks - earlier.system_ticks
        if user + system == 0:
            return total, 0.0, 0.0
        return total, total * user / (user + system), total * system / (user + system)


def resident_kib(pid: int) -> float:
    """Resident memory of a process."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Rss:"):
            return float(line.split()[1])
    raise OSError(f"/proc/{pid}/smaps_rollup has no line Rss")


def available_bytes() -> int | None:
    """Memory that processes can still have without swapping; None where the system does not say."""
    try:
        text = Path("/proc/meminfo").read_text()
    except OSError:
        return None
    for line in text.splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None

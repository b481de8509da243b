"""What Linux says of processes that run: proc(5)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from .._bench.cpus import CpuTime


@dataclass(frozen=True)
class Usage:
    """Of all processes of a session at one moment."""

    #: Seconds.
    cpu: float
    #: MiB resident, the most of each process added up.
    memory: float
    switches: int

    @classmethod
    def of_session(cls, session: int) -> Usage:
        """Of those that live: a server's workers stay. Linux only."""
        cpu, memory, switches = 0.0, 0.0, 0
        for pid in processes_of(session):
            try:
                cpu += CpuTime.of(pid).total
                memory += most_memory(pid) or 0.0
                for task in Path(f"/proc/{pid}/task").iterdir():
                    status = status_of(task / "status")
                    switches += status.get("voluntary_ctxt_switches", 0)
                    switches += status.get("nonvoluntary_ctxt_switches", 0)
            except (OSError, ValueError):
                continue  # it has just ended
        return cls(cpu, memory, switches)


def processes_of(session: int) -> list[int]:
    """The processes of a session, by /proc/PID/stat (proc(5))."""
    found = []
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            fields = Path(entry.path, "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session:
            found.append(int(entry.name))
    return found


def most_memory(pid: int) -> float | None:
    """MiB that a process has had resident at most; None where that is not to be had."""
    try:
        kib = status_of(Path(f"/proc/{pid}/status")).get("VmHWM")
    except OSError:
        return None
    return None if kib is None else kib / 1024


def status_of(path: Path) -> dict[str, int]:
    """The numbers in /proc/PID/status."""
    numbers = {}
    for line in path.read_text().splitlines():
        name, _, value = line.partition(":")
        first = value.split()[:1]
        if first and first[0].isdigit():
            numbers[name] = int(first[0])
    return numbers

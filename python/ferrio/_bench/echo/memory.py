"""Memory rows: what a connection costs that does nothing."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from .. import descriptors
from ..child import ChildError
from ..cpus import resident_kib
from ..row import Effort, Measurement
from .measured import Kind, load, serving

CONNECTIONS = 5000
"""The allocator takes memory in steps of up to 1 MiB: 0.2 KiB per connection."""


@dataclass(frozen=True)
class MemoryRow:
    name: str
    kind: str
    quick: bool = False
    group: str = "memory"
    unit: str = "KiB/connection"
    lower_is_better: bool = True

    @property
    def summary(self) -> str:
        return f"resident memory per idle connection ({self.kind}), {CONNECTIONS:,} connections"

    def missing(self) -> str | None:
        if not sys.platform.startswith("linux"):
            return "needs /proc"
        return descriptors.missing(CONNECTIONS)

    def expected_seconds(self, effort: Effort) -> float:
        return 2.5

    def measure(self, loop: str, effort: Effort) -> Measurement:
        with serving(loop, Kind(self.kind), effort) as server:
            # What the first connection brings into being stays, and is not a connection's price.
            load(server, effort, ["--connections", "50", "--requests", "500"])
            before, idle = resident_kib(server.child.pid), 0.0

            def note_memory() -> None:
                nonlocal idle
                idle = resident_kib(server.child.pid)

            options = [
                *("--connections", str(CONNECTIONS)),
                *("--size", "64"),
                *("--warmup-requests", str(CONNECTIONS)),
                *("--requests", str(CONNECTIONS)),
            ]
            load(server, effort, options, at_gate=note_memory)
        if idle <= before:
            # A ratio to nothing says nothing.
            raise ChildError("memory did not grow")
        return Measurement((idle - before) / CONNECTIONS, {"before_mib": before / 1024})


MEMORY_ROWS = tuple(MemoryRow(f"memory_{kind}", kind) for kind in ("protocol", "streams"))

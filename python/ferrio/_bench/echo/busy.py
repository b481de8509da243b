"""Rows beside a computing thread: the throughput a server keeps, and what the thread gets done.

A thread that wants the GIL sleeps up to 5 ms (`sys.getswitchinterval`) before it insists.
Whenever the loop gives the GIL away, it may have to wait that long to have it back; how often it
does decides these rows.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from ..child import Child
from ..row import Effort, Measurement
from .measured import Kind, Server, load, serving


@dataclass(frozen=True)
class BusyRow:
    name: str
    kind: str
    quick: bool = False
    group: str = "beside a computing thread"
    unit: str = "% of throughput kept"
    lower_is_better: bool = False

    @property
    def summary(self) -> str:
        return (
            f"echo server ({self.kind}), 1,024 B, 10 connections, beside a thread of pure Python "
            "on a CPU of its own: throughput kept"
        )

    def missing(self) -> str | None:
        if not sys.platform.startswith("linux"):
            return "needs Linux"
        if getattr(sys, "_is_gil_enabled", lambda: True)():
            return None
        return "there is no GIL in this interpreter"

    def expected_seconds(self, effort: Effort) -> float:
        return effort.seconds * 2.5 + 0.6

    def measure(self, loop: str, effort: Effort) -> Measurement:
        with serving(loop, Kind(self.kind), effort) as server:
            alone = self._load(server, effort)
            cpu = effort.placement.beside
            server.child.send(f"compute {'-' if cpu is None else cpu}")
            undisturbed = Progress.begin(server.child)
            time.sleep(0.3)
            full_speed = undisturbed.rate()
            progress = undisturbed

            def note_progress() -> None:
                nonlocal progress
                progress = Progress.begin(server.child)

            beside = self._load(server, effort, note_progress)
            speed = progress.rate()
        kept = beside["requests_per_second"] / alone["requests_per_second"]
        return Measurement(
            kept * 100,
            {
                "requests_per_second_alone": alone["requests_per_second"],
                "requests_per_second": beside["requests_per_second"],
                "p50_us": beside["p50_us"],
                "p99_us": beside["p99_us"],
                "other_thread_percent": speed / full_speed * 100,
            },
        )

    def _load(
        self, server: Server, effort: Effort, at_gate: Callable[[], None] = lambda: None
    ) -> dict[str, float]:
        options = [
            *("--connections", "10"),
            *("--warmup-duration", str(effort.seconds / 4)),
            *("--duration", str(effort.seconds)),
        ]
        return load(server, effort, options, effort.placement.load_beside_computing, at_gate)


@dataclass(frozen=True)
class Progress:
    """How far the computing thread was at some moment."""

    child: Child
    rounds: int
    at: float

    @classmethod
    def begin(cls, child: Child) -> Progress:
        child.send("progress")
        reply = child.receive()
        return cls(child, reply["rounds"], reply["at"])

    def rate(self) -> float:
        """Rounds per second since then."""
        now = Progress.begin(self.child)
        return (now.rounds - self.rounds) / (now.at - self.at)


BUSY_ROWS = tuple(BusyRow(f"busy_{kind}", kind) for kind in ("protocol", "streams"))

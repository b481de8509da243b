"""A server under load, once: what it and its workers took while a load asked them things."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import SplitResult

from .load import Load, Report, wait_until_ready
from .proc import Usage
from .program import Outcome, Program, failure


@dataclass(frozen=True)
class Server:
    """How a program that does not end by itself is measured."""

    ready: SplitResult
    load: Load
    #: Seconds.
    patience: float

    def measure(self, program: Program, loop: str) -> Outcome:
        """Start, wait, load twice, stop.

        The second load counts: by then caches are full, and the interpreter has specialized what
        is hot.

        Raises:
            FailedError: The server or the load has failed.
        """
        with program.started(loop) as running:
            wait_until_ready(self.ready, running, self.patience)
            self.load.run()
            before = Usage.of_session(running.pid)
            report = self.load.run()
            after = Usage.of_session(running.pid)
            if not running.is_alive():
                raise failure(running.outcome({}))
            running.stop()
            return running.outcome(figures(report, before, after))


def figures(report: Report, before: Usage, after: Usage) -> dict[str, float]:
    """By the names of `verdict.QUANTITIES`; of one request where the load counts them."""
    found = {"server_memory": after.memory}
    cpu, switches = after.cpu - before.cpu, after.switches - before.switches
    if report.requests is None:
        return found | {"load": report.seconds, "server_cpu": cpu, "switches": float(switches)}
    found |= {
        "rate": report.requests / report.seconds,
        "request_cpu": cpu / report.requests * 1e6,
        "request_switches": switches / report.requests,
    }
    if report.p50_ms is not None:
        found["p50"] = report.p50_ms
    if report.p99_ms is not None:
        found["p99"] = report.p99_ms
    return found

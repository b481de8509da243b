"""Rows about whole connections: CPU time of the server for each."""

from __future__ import annotations

from dataclasses import dataclass

from ..cpus import CpuTime
from ..row import Effort, Measurement
from .measured import Kind, load, serving
from .throughput import EchoRow

AT_A_TIME = 4
"""So many connections are under way: the server never waits."""


@dataclass(frozen=True)
class ConnectRow:
    """64 bytes there and back; with TLS, 1.3 with an RSA key of 2048 bits and no resumption."""

    name: str
    kind: Kind
    quick: bool = False
    group: str = "echo"
    unit: str = "CPU-µs/connection"
    lower_is_better: bool = True

    @property
    def summary(self) -> str:
        what = "TLS connections" if self.kind.tls else "connections"
        return f"{what} made, used once and closed ({self.kind.name})"

    def missing(self) -> str | None:
        return EchoRow(self.name, self.kind, 64, 1).missing()

    def expected_seconds(self, effort: Effort) -> float:
        return effort.seconds * 1.25 + 0.5

    def measure(self, loop: str, effort: Effort) -> Measurement:
        options = [
            *("--size", "64"),
            *("--connections", str(AT_A_TIME)),
            *("--warmup-duration", str(effort.seconds / 4)),
            *("--duration", str(effort.seconds)),
        ]
        with serving(loop, self.kind, effort) as server:
            clock: list[CpuTime] = []

            def read_clock() -> None:
                clock.append(CpuTime.of(server.child.pid))

            report = load(
                server, effort, options, at_gate=read_clock, at_end=read_clock, visits=True
            )
        total, user, system = clock[1].since(clock[0])
        count = report["requests"]
        return Measurement(
            total / count * 1e6,
            {
                "user_us": user / count * 1e6,
                "system_us": system / count * 1e6,
                "connections_per_second": report["requests_per_second"],
                "busy": total / report["seconds"],
            },
        )


CONNECT_ROWS = tuple(
    ConnectRow(f"connect_{'tls_' if tls else ''}{name}", Kind(name, tls=tls))
    for tls in (False, True)
    for name in ("protocol", "streams")
)

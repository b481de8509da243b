"""Echo rows: CPU time of the server per request."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass, replace

from .. import descriptors
from ..cpus import CpuTime
from ..row import Effort, Measurement
from .measured import Kind, load, serving

OPENING_SECONDS = 150e-6
"""What a connection takes to be made, on both sides."""

MANY_CONNECTIONS = 1000
"""From here on they are not closed but reset: closed ones would hold their ports for a minute, and
the next measurement needs as many.
"""


@dataclass(frozen=True)
class EchoRow:
    name: str
    kind: Kind
    size_bytes: int
    connections: int
    depth: int = 1
    active: int | None = None
    """How many of the connections are loaded, the others being open and silent; None: all."""
    quick: bool = False
    group: str = "echo"
    unit: str = "CPU-µs/request"
    lower_is_better: bool = True

    @property
    def summary(self) -> str:
        kind = self.kind
        transport = "Unix socket, " if kind.unix else "TLS, " if kind.tls else ""
        fresh = "freshly started " if kind.fresh else ""
        which = "" if self.active is None else f"{self.active} active of "
        return (
            f"{fresh}echo server ({kind.name}), {transport}{self.size_bytes:,} B, "
            f"{which}{self.connections:,} connections, {self.depth} under way on each"
        )

    def missing(self) -> str | None:
        if not sys.platform.startswith("linux"):
            return "needs Linux's per-process CPU clocks"
        if self.kind.tls and shutil.which("openssl") is None:
            return "needs the openssl command"
        return descriptors.missing(self.connections)

    def expected_seconds(self, effort: Effort) -> float:
        return effort.seconds * 1.25 + 0.3 + OPENING_SECONDS * self.connections

    def measure(self, loop: str, effort: Effort) -> Measurement:
        options = [
            *("--size", str(self.size_bytes)),
            *("--connections", str(self.connections)),
            *("--depth", str(self.depth)),
            *("--warmup-duration", str(effort.seconds / 4)),
            *("--duration", str(effort.seconds)),
        ]
        if self.active is None:
            options += ["--threads", str(effort.placement.load_threads)]
        else:
            options += ["--active", str(self.active)]
        if self.connections >= MANY_CONNECTIONS:
            options += ["--reset"]
        with serving(loop, self.kind, effort) as server:
            clock: list[CpuTime] = []

            def read_clock() -> None:
                clock.append(CpuTime.of(server.child.pid))

            report = load(server, effort, options, at_gate=read_clock, at_end=read_clock)
        total, user, system = clock[1].since(clock[0])
        requests = report["requests"]
        return Measurement(
            total / requests * 1e6,
            {
                "user_us": user / requests * 1e6,
                "system_us": system / requests * 1e6,
                "requests_per_second": report["requests_per_second"],
                "p50_us": report["p50_us"],
                "p99_us": report["p99_us"],
                "max_us": report["max_us"],
                # Below 1, the load was the limit and the server also paid for falling asleep.
                "busy": total / report["seconds"],
            },
        )


def _rows() -> tuple[EchoRow, ...]:
    rows = []
    for name in ("protocol", "buffered", "streams", "sockets"):
        kind, quick = Kind(name), name != "buffered"
        rows.append(EchoRow(f"echo_{name}_1k", kind, 1024, 50, quick=quick))
        rows += _large(f"echo_{name}_64k", kind)
        # Many small messages at once measure the loop's buffering rather than its latency.
        # sock_* answers each batch with one call, like protocol: nothing more to learn there.
        if name in ("protocol", "streams"):
            rows.append(EchoRow(f"echo_{name}_64b_depth32", kind, 64, 20, depth=32))
    for name in ("protocol", "streams", "sockets"):
        rows.append(EchoRow(f"echo_{name}_unix_1k", Kind(name, unix=True), 1024, 50))
    for name in ("protocol", "streams"):
        kind = Kind(name, tls=True)
        rows.append(EchoRow(f"echo_tls_{name}_1k", kind, 1024, 50))
        rows += _large(f"echo_tls_{name}_64k", kind)
    # The row in which the allocator is more than half of it, if it is left as it starts.
    rows.append(
        EchoRow("echo_tls_protocol_1k_fresh", Kind("protocol", tls=True, fresh=True), 1024, 50)
    )
    rows.append(EchoRow("echo_udp_64b", Kind("datagram"), 64, 50))
    rows.append(EchoRow("echo_udp_1k", Kind("datagram"), 1024, 50, quick=True))
    return tuple(rows)


def _large(name: str, kind: Kind) -> list[EchoRow]:
    """A row of 64 KiB, and the same with the allocator as a process starts with it.

    Until a large block has been freed, the allocator gives the top of the heap back to the kernel
    and takes it again (mallopt(3), M_TRIM_THRESHOLD): a loop that keeps the messages of a turn
    alive until its end pays for that with each turn.
    """
    return [
        EchoRow(name, kind, 65536, 20),
        EchoRow(f"{name}_fresh", replace(kind, fresh=True), 65536, 20),
    ]


ECHO_ROWS = _rows()

"""Client rows: CPU time of a client per request."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

from ..child import Child
from ..row import Effort, Measurement
from . import asking, postgres


@contextlib.contextmanager
def http(effort: Effort) -> Iterator[str]:
    with Child.of_package("clients.http_server", [], effort.placement.load) as server:
        yield server.receive()["address"]


@contextlib.contextmanager
def database(effort: Effort) -> Iterator[str]:
    yield postgres.dsn(effort.placement.load)


@dataclass(frozen=True)
class ClientRow:
    name: str
    package: str
    summary: str
    peer: Callable[[Effort], AbstractContextManager[str]]
    """The address of what the client talks to, for the time of a measurement."""
    peer_missing: Callable[[], str | None]
    quick: bool = False
    group: str = "clients"
    unit: str = "CPU-µs/request"
    lower_is_better: bool = True

    def missing(self) -> str | None:
        if not sys.platform.startswith("linux"):
            return "needs Linux, to keep client and server apart"
        if importlib.util.find_spec(self.package) is None:
            return f"needs pip install {self.package}"
        return self.peer_missing()

    def expected_seconds(self, effort: Effort) -> float:
        return effort.seconds + asking.WARM_UP_SECONDS + 0.8

    def measure(self, loop: str, effort: Effort) -> Measurement:
        with self.peer(effort) as address:
            args = [loop, self.package, address, str(effort.seconds)]
            with Child.of_package("clients.asking", args, effort.placement.server) as client:
                report = client.receive()
        return Measurement(report["cpu_us"], report)


CLIENT_ROWS = (
    ClientRow(
        "client_aiohttp",
        "aiohttp",
        "aiohttp fetching 13 bytes, 50 workers over one session",
        http,
        lambda: None,
    ),
    ClientRow(
        "client_asyncpg",
        "asyncpg",
        "asyncpg asking Postgres for a number, 10 workers over a pool",
        database,
        postgres.missing,
    ),
)

"""A load generator in Python, for machines without `ferrio-load`: same options, same report.

Sockets and a selector, no event loop of anybody's. It costs several times what `ferrio-load`
costs, so servers idle more and throughput says more about this file than about them; CPU time per
request still compares.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import random
import selectors
import socket
import ssl
import struct
import sys
import time
from collections import deque

from .. import descriptors


class Connection:
    """Sends one text over and over and compares what comes back. The text is the connection's
    own.
    """

    def __init__(self, options: argparse.Namespace, number: int) -> None:
        if options.unix is not None:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(options.unix)
        elif options.udp is not None:
            host, _, port = options.udp.rpartition(":")
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.socket.connect((host, int(port)))
        else:
            host, _, port = options.tcp.rpartition(":")
            self.socket = socket.create_connection((host, int(port)))
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if options.tls:
            self.socket = context().wrap_socket(self.socket)
        if options.reset:
            # At once: on, and no seconds.
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.setblocking(False)
        self.number = number
        self.message = random.Random(number).randbytes(options.size)
        self.unsent = b""
        self.received = 0
        """Bytes of the oldest message under way that have come back."""
        self.asked_at: deque[float] = deque()

    def ask(self, messages: int) -> None:
        if messages:
            self.asked_at.extend(itertools.repeat(time.perf_counter(), messages))
            self.unsent += self.message * messages
            self.flush()

    def flush(self) -> None:
        with contextlib.suppress(BlockingIOError, ssl.SSLWantWriteError):
            self.unsent = self.unsent[self.socket.send(self.unsent) :]

    def receive(self, latencies: list[float]) -> int:
        """How many messages have become whole."""
        data = self.socket.recv(256 * 1024)
        if isinstance(self.socket, ssl.SSLSocket):
            data += self.rest_of_records(self.socket)
        now = time.perf_counter()
        if not data:
            raise ConnectionError(f"connection {self.number}: closed by the server")
        size = len(self.message)
        repeats = (self.received + len(data)) // size + 1
        if data != (self.message * repeats)[self.received : self.received + len(data)]:
            raise ValueError(f"connection {self.number}: a wrong byte in the echo")
        whole, self.received = divmod(self.received + len(data), size)
        for _ in range(whole):
            latencies.append(now - self.asked_at.popleft())
        return whole

    def rest_of_records(self, socket: ssl.SSLSocket) -> bytes:
        """What the selector does not know of: a record is decrypted at a time."""
        pieces = []
        with contextlib.suppress(ssl.SSLWantReadError):
            while piece := socket.recv(256 * 1024):
                pieces.append(piece)
        return b"".join(pieces)


def context() -> ssl.SSLContext:
    """A client's context that takes any certificate: it is the server that is measured."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def load(
    connections: list[Connection],
    options: argparse.Namespace,
    seconds: float | None,
    requests: int | None,
) -> list[float]:
    """Loads for so many seconds or requests and waits for all replies; returns their latencies."""
    latencies: list[float] = []
    end = None if seconds is None else time.perf_counter() + seconds
    left = sys.maxsize if requests is None else requests
    under_way = 0

    def grant(wanted: int) -> int:
        nonlocal left, under_way
        granted = 0 if end is not None and time.perf_counter() >= end else min(wanted, left)
        left -= granted
        under_way += granted
        return granted

    with selectors.DefaultSelector() as selector:
        for connection in connections:
            connection.ask(grant(options.depth))
            selector.register(connection.socket, wanted_events(connection), connection)
        while under_way:
            ready = selector.select(options.stall_seconds)
            if not ready:
                raise TimeoutError("no reply within the stall time")
            for key, events in ready:
                connection = key.data
                if events & selectors.EVENT_WRITE:
                    connection.flush()
                if events & selectors.EVENT_READ:
                    try:
                        whole = connection.receive(latencies)
                    except ssl.SSLWantReadError:  # half a record, or a session ticket
                        whole = 0
                    under_way -= whole
                    connection.ask(grant(whole))
                if key.events != wanted_events(connection):
                    selector.modify(connection.socket, wanted_events(connection), connection)
    return latencies


def wanted_events(connection: Connection) -> int:
    return selectors.EVENT_READ | (selectors.EVENT_WRITE if connection.unsent else 0)


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tcp")
    parser.add_argument("--unix")
    # One message at a time: what is unsent goes as one datagram.
    parser.add_argument("--udp")
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--connections", type=int, default=50)
    parser.add_argument("--active", type=int)
    parser.add_argument("--reset", action="store_true")
    parser.add_argument("--depth", type=int, default=1)
    # One thread whatever is asked for: a second would only wait for the GIL.
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--duration", type=float)
    parser.add_argument("--requests", type=int)
    parser.add_argument("--warmup-duration", type=float)
    parser.add_argument("--warmup-requests", type=int)
    parser.add_argument("--gate", action="store_true")
    parser.add_argument("--stall-seconds", type=float, default=10.0)
    return parser.parse_args(argv)


def spread(connections: list[Connection], active: int | None) -> list[Connection]:
    """So many of them, spread evenly over all."""
    if active is None:
        return connections
    return [connections[index * len(connections) // active] for index in range(active)]


def main(argv: list[str]) -> None:
    options = parse(argv)
    descriptors.raise_limit()
    connections = [Connection(options, number) for number in range(options.connections)]
    if options.warmup_duration is not None or options.warmup_requests is not None:
        load(connections, options, options.warmup_duration, options.warmup_requests)
    if options.gate:
        print(json.dumps({"event": "warm"}), flush=True)
        if not sys.stdin.readline():
            raise EOFError("nobody opened the gate")
    active = spread(connections, options.active)
    cpu_before, before = time.process_time(), time.perf_counter()
    latencies = sorted(load(active, options, options.duration, options.requests))
    seconds, cpu = time.perf_counter() - before, time.process_time() - cpu_before

    def quantile(fraction: float) -> float:
        index = min(int(len(latencies) * fraction), len(latencies) - 1)
        return latencies[index] * 1e6 if latencies else 0.0

    report = {
        "requests": len(latencies),
        "seconds": seconds,
        "requests_per_second": len(latencies) / seconds,
        "p50_us": quantile(0.5),
        "p99_us": quantile(0.99),
        "max_us": quantile(1.0),
        "cpu_seconds": cpu,
        "size": options.size,
        "connections": options.connections,
        "depth": options.depth,
        "threads": 1,
    }
    print(json.dumps(report), flush=True)
    if options.gate:
        # The server's clock is being read, and should not show the end of the connections.
        sys.stdin.read()

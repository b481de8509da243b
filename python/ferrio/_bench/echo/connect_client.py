"""A load of whole connections: connect, with TLS a handshake, a message there and back, close, and
wait for the server's end. One after the other in each of a few threads; OpenSSL works without the
GIL.
"""

from __future__ import annotations

import json
import socket
import ssl
import sys
import threading
import time

from .client import context, parse


def visit(address: tuple[str, int], tls: ssl.SSLContext | None, message: bytes) -> None:
    with socket.create_connection(address) as plain:
        if tls is not None:
            with tls.wrap_socket(plain) as connection:
                talk(connection, message)
                connection.unwrap()
            return
        talk(plain, message)
        plain.shutdown(socket.SHUT_WR)
        if plain.recv(1):
            raise ValueError("more came back than was sent")


def talk(connection: socket.socket, message: bytes) -> None:
    connection.sendall(message)
    received = b""
    while len(received) < len(message):
        part = connection.recv(len(message))
        if not part:
            raise ValueError("the server has closed the connection")
        received += part
    if received != message:
        raise ValueError("a wrong byte in the echo")


def load(
    address: tuple[str, int], at_a_time: int, seconds: float, message: bytes, with_tls: bool
) -> int:
    """How many connections there were."""
    counts = [0] * at_a_time
    failures: list[BaseException] = []
    end = time.perf_counter() + seconds

    def run(number: int) -> None:
        # No sessions are shared: each handshake is a full one.
        tls = context() if with_tls else None
        try:
            while time.perf_counter() < end:
                visit(address, tls, message)
                counts[number] += 1
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=[number]) for number in range(at_a_time)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return sum(counts)


def main(argv: list[str]) -> None:
    options = parse(argv)
    host, _, port = options.tcp.rpartition(":")
    address, message = (host, int(port)), bytes(options.size)
    load(address, options.connections, options.warmup_duration, message, options.tls)
    print(json.dumps({"event": "warm"}), flush=True)
    if not sys.stdin.readline():
        raise EOFError("nobody opened the gate")
    before = time.perf_counter()
    count = load(address, options.connections, options.duration, message, options.tls)
    seconds = time.perf_counter() - before
    report = {"requests": count, "seconds": seconds, "requests_per_second": count / seconds}
    print(json.dumps(report), flush=True)

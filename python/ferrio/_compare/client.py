"""An HTTP client that keeps a server busy, in a process of its own.

    python -m ferrio._compare.client URL CONNECTIONS SECONDS

prints the requests answered, the seconds, and the latency at 50 and at 99 % in ms. One request at
a time on each of so many connections. It knows as much of HTTP as that takes, and no event loop.
"""

from __future__ import annotations

import selectors
import socket
import statistics
import sys
import time
from urllib.parse import urlsplit


class AnswerError(Exception):
    """The server has answered something that does not count."""


class Connection:
    """One of them: a request is under way as long as it is used."""

    def __init__(self, address: tuple[str, int], request: bytes) -> None:
        self.socket = socket.create_connection(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._request = request
        self._received = b""
        self._began = 0.0

    def ask(self) -> None:
        self._began = time.perf_counter()
        self._received = b""
        self.socket.sendall(self._request)

    def hear(self) -> float | None:
        """Receive once; the seconds that the answer took, once it is whole."""
        data = self.socket.recv(65536)
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found:
            if not data:
                raise AnswerError("the connection was closed")
            return None
        if not is_whole(head, body):
            if not data:
                raise AnswerError("the connection was closed within an answer")
            return None
        status = head.split(b" ", 2)[1:2]
        if not status or not status[0].startswith((b"2", b"3")):
            raise AnswerError(head.partition(b"\r\n")[0].decode(errors="replace"))
        return time.perf_counter() - self._began


def is_whole(head: bytes, body: bytes) -> bool:
    """Is `body` all that `head` announces? (RFC 9112, section 6.3)"""
    fields = {}
    for line in head.lower().split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        fields[name.strip()] = value.strip()
    if fields.get(b"transfer-encoding", b"").endswith(b"chunked"):
        return body.endswith(b"0\r\n\r\n")
    return len(body) >= int(fields.get(b"content-length", b"0"))


def run(url: str, connections: int, seconds: float) -> tuple[int, float, list[float]]:
    """Ask for `seconds`; the answers, the seconds that it took, and those of each answer."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    target = parts._replace(scheme="", netloc="", fragment="").geturl() or "/"
    request = f"GET {target} HTTP/1.1\r\nHost: {parts.netloc}\r\nAccept: */*\r\n\r\n".encode()
    latencies: list[float] = []
    with selectors.DefaultSelector() as selector:
        for _ in range(connections):
            made = Connection((parts.hostname, parts.port or 80), request)
            selector.register(made.socket, selectors.EVENT_READ, made)
            made.ask()
        began = time.perf_counter()
        until = began + seconds
        while time.perf_counter() < until:
            for key, _ in selector.select(1):
                latency = key.data.hear()
                if latency is not None:
                    latencies.append(latency)
                    key.data.ask()
        took = time.perf_counter() - began
        for key in list(selector.get_map().values()):
            key.data.socket.close()
    return len(latencies), took, latencies


def main(words: list[str]) -> int:
    url, connections, seconds = words
    try:
        requests, took, latencies = run(url, int(connections), float(seconds))
    except (OSError, AnswerError) as error:
        print(error, file=sys.stderr)
        return 1
    if requests < 2:
        print(f"{requests} answers in {took:.1f} s", file=sys.stderr)
        return 1
    percentiles = statistics.quantiles(latencies, n=100)
    print(requests, took, percentiles[49] * 1e3, percentiles[98] * 1e3)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

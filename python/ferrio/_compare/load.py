"""Something to do for a server: HTTP requests, by wrk if that is there, or a user's command."""

from __future__ import annotations

import http.client
import shlex
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import SplitResult, urlsplit

from .._bench.child import ChildError
from .._bench.web.row import parse
from .program import FailedError, Running, failure

SCHEMES = ("http", "https", "tcp", "unix")


@dataclass(frozen=True)
class Report:
    """What a load has seen."""

    seconds: float
    #: None where only the user's command knows.
    requests: int | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None


class Load(Protocol):
    """Keeps a server busy, and says how that went."""

    @property
    def what(self) -> str:
        """In a few words."""

    def run(self) -> Report: ...


@dataclass(frozen=True)
class Wrk:
    """https://github.com/wg/wrk: quicker than any server in Python."""

    url: str
    connections: int
    seconds: int

    @property
    def what(self) -> str:
        return f"wrk, {self.connections} connections, {self.seconds} s"

    def run(self) -> Report:
        words = ["wrk", "--latency", "-t1", f"-c{self.connections}", f"-d{self.seconds}s", self.url]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        try:
            report = parse(done.stdout or done.stderr)
        except ChildError as error:
            raise FailedError(str(error)) from None
        return Report(report.seconds, report.requests, report.p50_us / 1e3, report.p99_us / 1e3)


@dataclass(frozen=True)
class Client:
    """`ferrio._compare.client`: what there is without wrk."""

    url: str
    connections: int
    seconds: int

    @property
    def what(self) -> str:
        return f"a client in Python (wrk is not installed), {self.connections} connections"

    def run(self) -> Report:
        words = [self.url, str(self.connections), str(self.seconds)]
        done = subprocess.run(
            [sys.executable, "-m", "ferrio._compare.client", *words],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            said = done.stderr.strip().splitlines() or ["no answer"]
            raise FailedError(f"the load: {said[-1]}")
        requests, seconds, p50, p99 = done.stdout.split()
        return Report(float(seconds), int(requests), float(p50), float(p99))


@dataclass(frozen=True)
class Command:
    """A command of the user's, until it ends."""

    words: tuple[str, ...]

    @property
    def what(self) -> str:
        return shlex.join(self.words)

    def run(self) -> Report:
        began = time.perf_counter()
        done = subprocess.run(self.words, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip().splitlines() or ["no output"]
            raise FailedError(f"the load ended with exit status {done.returncode}: {said[-1]}")
        return Report(time.perf_counter() - began)


def of(text: str, connections: int, seconds: int) -> Load:
    """What `--load TEXT` means: a URL, or a command.

    Raises:
        ValueError: It is neither.
    """
    url = urlsplit(text)
    if url.scheme in ("http", "https") and " " not in text:
        if not url.hostname:
            raise ValueError(f"{text}: a URL has a host")
        if shutil.which("wrk") is not None:
            return Wrk(text, connections, seconds)
        if url.scheme == "https":
            raise ValueError(f"{text}: the load over TLS needs the program wrk")
        return Client(text, connections, seconds)
    words = tuple(shlex.split(text))
    if not words or shutil.which(words[0]) is None:
        raise ValueError(f"{text}: neither a URL nor a command that is there")
    return Command(words)


def address_of(text: str) -> SplitResult:
    """What `--until-ready TEXT` means.

    Raises:
        ValueError: It is no address that can be asked.
    """
    url = urlsplit(text)
    if url.scheme not in SCHEMES:
        raise ValueError(f"{text}: begins with none of {', '.join(f'{s}:' for s in SCHEMES)}")
    if url.scheme == "unix":
        if not url.path:
            raise ValueError(f"{text}: unix:PATH")
    elif not url.hostname or (url.scheme == "tcp" and url.port is None):
        raise ValueError(f"{text}: no host" if not url.hostname else f"{text}: no port")
    return url


def wait_until_ready(url: SplitResult, running: Running, patience: float) -> None:
    """Ask until something answers.

    Raises:
        FailedError: The server has ended, or says nothing for `patience` seconds.
    """
    until = time.monotonic() + patience
    while True:
        reason = answers(url)
        if reason is None:
            return
        if not running.is_alive():
            raise failure(running.outcome({}))
        if time.monotonic() > until:
            raise FailedError(f"is not ready after {patience:g} s: {url.geturl()}: {reason}")
        time.sleep(0.02)


def answers(url: SplitResult) -> str | None:
    """Why `url` does not answer; None if it does. An error of the server's is no answer."""
    try:
        match url.scheme:
            case "unix":
                with socket.socket(socket.AF_UNIX) as made:
                    made.settimeout(1)
                    made.connect(url.path)
            case "tcp":
                assert url.hostname is not None
                socket.create_connection((url.hostname, url.port or 0), 1).close()
            case _:
                return answers_http(url)
    except OSError as error:
        return str(error)
    return None


def answers_http(url: SplitResult) -> str | None:
    assert url.hostname is not None
    connection: http.client.HTTPConnection
    if url.scheme == "https":
        import ssl

        # Who serves is known: we have just started it.
        context = ssl._create_unverified_context()
        connection = http.client.HTTPSConnection(url.hostname, url.port, timeout=2, context=context)
    else:
        connection = http.client.HTTPConnection(url.hostname, url.port, timeout=2)
    try:
        connection.request("GET", url._replace(scheme="", netloc="").geturl() or "/")
        status = connection.getresponse().status
    except http.client.HTTPException as error:
        return type(error).__name__
    finally:
        connection.close()
    return None if status < 500 else f"status {status}"

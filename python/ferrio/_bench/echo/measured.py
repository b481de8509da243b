"""An echo server and the load on it, as rows use them."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..child import Child
from ..row import Effort


@dataclass(frozen=True)
class Server:
    child: Child
    target: list[str]
    """Arguments that lead the load here."""


@dataclass(frozen=True)
class Kind:
    """What sort of echo server."""

    name: str
    unix: bool = False
    tls: bool = False
    fresh: bool = False
    """As its allocator starts."""

    def arguments(self, loop: str, directory: Path) -> list[str]:
        """Those of `echo.server`; the files it needs are in the directory."""
        args = ["--loop", loop, "--kind", self.name]
        if self.unix:
            args += ["--unix", str(directory / "echo.sock")]
        if self.fresh:
            args += ["--fresh"]
        if self.tls:
            args += ["--certificate", str(make_certificate(directory))]
        return args


@contextlib.contextmanager
def serving(loop: str, kind: Kind, effort: Effort) -> Iterator[Server]:
    """An echo server in a process of its own, gone at the end."""
    with tempfile.TemporaryDirectory(prefix="ferrio-bench-") as directory:
        args = kind.arguments(loop, Path(directory))
        with Child.of_package("echo.server", args, effort.placement.server) as child:
            yield Server(child, child.receive()["target"])


def make_certificate(directory: Path) -> Path:
    """A file with a certificate (RSA, 2048 bits: most servers' kind) and its key."""
    file = directory / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    command += ["-subj", "/CN=localhost", "-keyout", str(file), "-out", str(directory / "cert")]
    subprocess.run(command, check=True, capture_output=True)
    with file.open("ab") as whole:
        whole.write((directory / "cert").read_bytes())
    return file


def load(
    server: Server,
    effort: Effort,
    options: list[str],
    cpus: set[int] | None = None,
    at_gate: Callable[[], None] = lambda: None,
    at_end: Callable[[], None] = lambda: None,
    visits: bool = False,
) -> dict[str, Any]:
    """Loads the server; returns the report.

    `at_gate` is called between warm-up and measured part, when the server has answered everything
    and the load waits; `at_end` after the last reply, while the connections are still open.
    `visits`: a connection for each request.
    """
    cpus = effort.placement.load if cpus is None else cpus
    argv = [*server.target, *options, "--gate"]
    if effort.load_generator is not None:
        child = Child([effort.load_generator, *argv, *(["--visits"] if visits else [])], cpus)
    else:
        client = "echo.connect_client" if visits else "echo.client"
        child = Child.of_package(client, argv, cpus)
    with child:
        child.receive()
        at_gate()
        child.send("go")
        report = child.receive()
        at_end()
        return report

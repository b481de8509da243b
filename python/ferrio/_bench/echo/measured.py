"""An echo server and the load on it, as rows use them."""

from __future__ import annotations

import contextlib
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


@contextlib.contextmanager
def serving(loop: str, kind: str, effort: Effort, unix: bool = False) -> Iterator[Server]:
    """An echo server in a fresh process, gone at the end."""
    with tempfile.TemporaryDirectory(prefix="ferrio-bench-") as directory:
        args = ["--loop", loop, "--kind", kind]
        if unix:
            args += ["--unix", str(Path(directory) / "echo.sock")]
        with Child.of_package("echo.server", args, effort.placement.server) as child:
            yield Server(child, child.receive()["target"])


def load(
    server: Server,
    effort: Effort,
    options: list[str],
    cpus: set[int] | None = None,
    at_gate: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Loads the server; returns the report.

    `at_gate` is called between warm-up and measured part, when the server has answered everything
    and the load waits.
    """
    cpus = effort.placement.load if cpus is None else cpus
    argv = [*server.target, *options, "--gate"]
    if effort.load_generator is None:
        child = Child.of_package("echo.client", argv, cpus)
    else:
        child = Child([effort.load_generator, *argv], cpus)
    with child:
        child.receive()
        at_gate()
        child.send("go")
        return child.receive()

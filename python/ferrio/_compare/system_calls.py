"""How many system calls a program makes: counted by strace, in runs that are not measured."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from .load import Client, Wrk, wait_until_ready
from .program import FailedError, Program, failure
from .server import Server

#: Counts the calls of all threads and children; into which file, comes next.
STRACE = ("strace", "-f", "-qq", "-c", "-o")

#: Seconds of load under strace, which slows a server down to a tenth.
SECONDS = 1


def missing() -> str | None:
    """Why system calls cannot be counted here; None if they can."""
    if shutil.which("strace") is None:
        return "system calls are not counted: strace is not installed"
    with tempfile.NamedTemporaryFile() as file:
        done = subprocess.run([*STRACE, file.name, "true"], capture_output=True, check=False)
        if done.returncode != 0 or total(Path(file.name)) is None:
            return "system calls are not counted: strace may not trace here"
    return None


def of_program(program: Program, loop: str) -> float:
    """All that one run makes, in all its threads and children."""
    with tempfile.NamedTemporaryFile() as file:
        with program.started(loop, [*STRACE, file.name]) as running:
            outcome = running.finish(lambda: None)
            if outcome.status != 0:
                raise failure(outcome)
        return counted(Path(file.name))


def of_request(program: Program, server: Server, loop: str) -> float | None:
    """What one request makes of them: the difference that a load makes. None if nobody counts."""
    load = server.load
    if not isinstance(load, Wrk | Client):
        return None
    load = type(load)(load.url, load.connections, SECONDS)
    counts, requests = [], 0
    for asks in (False, True):
        with tempfile.NamedTemporaryFile() as file:
            with program.started(loop, [*STRACE, file.name]) as running:
                wait_until_ready(server.ready, running, server.patience * 5)
                if asks:
                    requests = load.run().requests or 0
                # strace passes the signal on to nobody: the session gets it.
                running.interrupt()
            counts.append(counted(Path(file.name)))
    return (counts[1] - counts[0]) / requests if requests else None


def counted(path: Path) -> float:
    found = total(path)
    if found is None:
        raise FailedError("strace has counted nothing")
    return found


def total(path: Path) -> float | None:
    """The number of calls in the last line of what `strace -c` writes: `100.00 ... 91 3 total`."""
    for line in reversed(path.read_text().splitlines()):
        words = line.split()
        if words[-1:] == ["total"] and len(words) >= 4:
            return float(words[3])
    return None

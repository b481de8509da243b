"""A program on one loop, once: started by `ferrio run --loop`, and what it took by the kernel."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO

from .proc import most_memory

#: How much of what a program has said is shown where it has failed.
TAIL_LINES = 12


class FailedError(Exception):
    """The program cannot be measured on a loop; the text says why."""


@dataclass(frozen=True)
class Program:
    """What is compared: words for `ferrio run`, and what stands on its standard input."""

    #: Options of the interpreter, then FILE, `-m` MODULE or `-c` CODE, then arguments.
    words: Sequence[str]
    stdin: bytes = b""

    def command(self, loop: str) -> list[str]:
        """The command line that runs it on `loop`."""
        return [sys.executable, "-m", "ferrio", "run", "--loop", loop, *self.words]

    @contextlib.contextmanager
    def started(self, loop: str, before: Sequence[str] = ()) -> Iterator[Running]:
        """Run it in a session of its own; whatever is left of that at the end is killed.

        Args:
            before: Words in front of the command: a tracer.
        """
        with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as output:
            stdin.write(self.stdin)
            stdin.seek(0)
            with tempfile.TemporaryFile() as errors:
                process = subprocess.Popen(
                    [*before, *self.command(loop)],
                    stdin=stdin,
                    stdout=output,
                    stderr=errors,
                    start_new_session=True,
                )
                running = Running(process, output, errors)
                try:
                    yield running
                finally:
                    running.kill()


@dataclass
class Outcome:
    """How a run has ended, and what it took."""

    status: int
    stdout: bytes
    stderr: str
    #: By the names of `verdict.QUANTITIES`.
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def notes(self) -> list[str]:
        """What `ferrio run` has said: that it is not on the loop that is meant."""
        mark = "ferrio run: "
        lines = self.stderr.splitlines()
        said = [line.removeprefix(mark) for line in lines if line.startswith(mark)]
        # Who asks for uvloop gets each loop in turn here, which is as it should be.
        return [line for line in said if not line.startswith("the program asks for uvloop")]


class Running:
    """A program that runs."""

    def __init__(
        self, process: subprocess.Popen[bytes], output: IO[bytes], errors: IO[bytes]
    ) -> None:
        self.pid = process.pid
        self._process = process
        self._output = output
        self._errors = errors
        self._began = time.perf_counter()
        self._status: int | None = None

    def is_alive(self) -> bool:
        """Has it not ended?"""
        return self._status is None and self._process.poll() is None

    def finish(self, tick: Callable[[], object]) -> Outcome:
        """Wait for its end and read what it took, the children that it has waited for included.

        Args:
            tick: Called while nothing happens, several times a second.
        """
        memory = None
        while True:
            pid, status, usage = os.wait4(self.pid, os.WNOHANG)
            if pid:
                break
            tick()
            # Of wait4(2) it is at least what this process had when it forked.
            memory = most_memory(self.pid) or memory
            # Of what is shorter than a second, no more than a hundredth.
            time.sleep(min(0.05, max(0.0005, (time.perf_counter() - self._began) / 100)))
        wall = time.perf_counter() - self._began
        self._status = self._process.returncode = os.waitstatus_to_exitcode(status)
        scale = 1 if sys.platform == "darwin" else 1024  # getrusage(2): bytes there, else KiB
        return self.outcome(
            {
                "wall": wall,
                "cpu": usage.ru_utime + usage.ru_stime,
                "memory": memory or usage.ru_maxrss * scale / 2**20,
                "switches": float(usage.ru_nvcsw + usage.ru_nivcsw),
            }
        )

    def outcome(self, figures: dict[str, float]) -> Outcome:
        """What it has said so far, with these figures."""
        status = self._process.returncode
        return Outcome(
            0 if status is None else status,
            everything_in(self._output),
            everything_in(self._errors).decode(errors="replace"),
            figures,
        )

    def stop(self, patience: float = 10) -> None:
        """End a server: SIGTERM, as a supervisor would; SIGKILL after `patience` seconds."""
        if self.is_alive():
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(patience)
        self.kill()

    def interrupt(self, patience: float = 10) -> None:
        """End a server and what traces it: SIGTERM to the whole session."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(patience)

    def kill(self) -> None:
        """Kill what is left of its session."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        if self._status is None:
            self._process.wait()


def everything_in(file: IO[bytes]) -> bytes:
    # Not by the position, which the program writes at.
    return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0)


def tail(text: str) -> str:
    """The last lines of what a program has said, indented."""
    lines = text.strip().splitlines()
    left_out = ["..."] if len(lines) > TAIL_LINES else []
    return "\n".join(f"    {line}" for line in [*left_out, *lines[-TAIL_LINES:]])


def failure(outcome: Outcome) -> FailedError:
    """What to say of a program that has ended with something else than 0."""
    if outcome.status < 0:
        how = f"was killed by {signal.Signals(-outcome.status).name}"
    else:
        how = f"ended with exit status {outcome.status}"
    said = tail(outcome.stderr) or tail(outcome.stdout.decode(errors="replace"))
    return FailedError(f"{how}\n{said}" if said else how)

"""Processes in which loops are measured: started afresh for every figure, spoken to in lines of
JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .cpus import pin

# Imports `_bench` as a package of its own, not as `ferrio._bench`: importing the parent would load
# ferrio's extension module into the processes of its peers. The path is taken out again lest
# something else in that directory be found as a top-level module.
_BOOT = """\
import importlib, json, sys
sys.path.insert(0, sys.argv[1])
try:
    main = importlib.import_module("_bench." + sys.argv[2]).main
    del sys.path[0]
    main(sys.argv[3:])
except Exception as error:
    print(json.dumps({"error": f"{type(error).__name__}: {error}"}), flush=True)
    raise
"""

# These change what is measured, or how fast; a benchmark wants the defaults.
_UNWANTED = ("PYTHONASYNCIODEBUG", "PYTHONDEVMODE", "PYTHONTRACEMALLOC", "PYTHONMALLOC")

START_SECONDS = 60.0
"""How long a process may take to start on a loaded machine before it counts as stuck."""


class ChildError(Exception):
    """The process could not do what it was asked; the text says why, in one line."""


class Child:
    """A process that writes lines of JSON; a context manager, at whose end the process is no
    more.
    """

    def __init__(self, argv: Sequence[str], cpus: Iterable[int] | None = None) -> None:
        # A file, not a pipe, which nobody would empty while the process logs and logs.
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__
        self._process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env={name: value for name, value in os.environ.items() if name not in _UNWANTED},
        )
        if cpus is not None:
            # From outside rather than by a `preexec_fn`, which is unsafe beside the progress bar's
            # thread. The new process has one thread yet; those it starts later inherit the mask.
            pin(self._process.pid, cpus)
        self._lines: list[bytes] = []
        self._partial = b""

    @classmethod
    def of_package(
        cls, module: str, args: Sequence[str], cpus: Iterable[int] | None = None
    ) -> Self:
        """A Python process that runs `main(args)` of this package's `module` (dotted, relative)."""
        return cls(python_argv(module, args), cpus)

    @property
    def pid(self) -> int:
        return self._process.pid

    def receive(self, timeout: float = START_SECONDS) -> dict[str, Any]:
        """The next object the process writes; `ChildError` if it is an error, or does not come."""
        line = self._next_line(time.monotonic() + timeout)
        if line is None:
            raise ChildError(self._last_words())
        message: dict[str, Any] = json.loads(line)
        if "error" in message:
            raise ChildError(message["error"])
        return message

    def send(self, line: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise ChildError(self._last_words()) from None

    def finish(self, timeout: float = START_SECONDS) -> None:
        """Closes the process's stdin and waits until it has ended by itself, and well."""
        try:
            self._process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            raise ChildError("did not end") from None
        if self._process.returncode != 0:
            raise ChildError(self._last_words())

    def _next_line(self, deadline: float) -> bytes | None:
        """A line of stdout; None once the process has closed it."""
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while not self._lines:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise ChildError("timed out")
                data = os.read(self._process.stdout.fileno(), 65536)
                if not data:
                    return None
                *whole, self._partial = (self._partial + data).split(b"\n")
                self._lines += whole
        return self._lines.pop(0)

    def _last_words(self) -> str:
        """Why it ended: the last line of its stderr, which is where Python puts the exception."""
        self._process.wait()
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"ended with status {self._process.returncode}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Not a polite end: there is nothing to save, and a loop that handles SIGTERM badly must not
        # hold up the others.
        self._process.kill()
        self._process.wait()
        self._stderr.close()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                # Its end at our side may hold a line that the process did not live to read.
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


def python_argv(module: str, args: Sequence[str]) -> list[str]:
    """The command line of `Child.of_package`, for those who run it under another program."""
    # -P: the working directory's modules are not part of the benchmark.
    parent = str(Path(__file__).parent.parent)
    return [sys.executable, "-P", "-c", _BOOT, parent, module, *args]

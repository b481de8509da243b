"""Runs the programs of examples/ as a user would: by `ferrio run`, from the repository's root.

def test_something(cookbook: Cookbook, loop: str) -> None:
    done = cookbook("sockets", "echo", "--clients", "3", loop=loop)
    assert "3 clients" in done.stdout

def test_a_server(cookbook: Cookbook, loop: str) -> None:
    with cookbook.start("sockets", "shutdown", loop=loop) as server:
        port = int(server.until(r"listening on port (\\d+)")[1])
        ...
        server.send_signal(signal.SIGTERM)
        assert server.finish().returncode == 0
"""

from __future__ import annotations

import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Literal, Self, TypeAlias

import pytest

ROOT = Path(__file__).resolve().parents[2]

#: Seconds after which a program, or a line of its output, is no longer waited for: less than the
#: timeout of a test, so that the output is shown.
PATIENCE = 100

LoopName: TypeAlias = Literal["ferrio", "asyncio"]

#: What the programs say that they run on.
CLASSES: dict[LoopName, str] = {
    "ferrio": "ferrio.Loop",
    "asyncio": "asyncio.unix_events._UnixSelectorEventLoop",
}


@pytest.fixture(params=["ferrio", "asyncio"])
def loop(request: pytest.FixtureRequest) -> LoopName:
    """Each test that asks for it runs twice."""
    name: LoopName = request.param
    return name


@pytest.fixture
def cookbook() -> Cookbook:
    return Cookbook()


@pytest.fixture
def scratch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the programs of one test keep temporary files; whoever they run as can enter it."""
    folder = Path(tempfile.mkdtemp(prefix="cookbook-"))
    folder.chmod(0o755)
    monkeypatch.setenv("TMPDIR", str(folder))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


class Cookbook:
    """The programs of examples/, by the names of their folders."""

    def __call__(
        self,
        name: str,
        *arguments: str,
        loop: LoopName = "ferrio",
        timeout: float = PATIENCE,
        stdin: str = "",
        options: Sequence[str] = (),
        **environment: str,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program to its end. Fails, and shows all output, unless it exits with 0.

        `options` are those of `ferrio run`.
        """
        command = command_line(name, arguments, loop, options)
        try:
            done = subprocess.run(
                command,
                cwd=ROOT,
                env=os.environ | environment,
                input=stdin,
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired as expired:
            output = text_of(expired.stdout) + text_of(expired.stderr)
            pytest.fail(f"{' '.join(command)} runs for more than {timeout} s:\n{output}")
        if done.returncode != 0:
            pytest.fail(
                f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
            )
        return done

    def start(
        self, name: str, *arguments: str, loop: LoopName = "ferrio", **environment: str
    ) -> Running:
        """Start a program; it is ended with the `with` block if it is still there."""
        return Running(command_line(name, arguments, loop), environment)


class Running:
    """A program that runs beside the test."""

    def __init__(self, command: Sequence[str], environment: dict[str, str]) -> None:
        self.command = command
        # What it prints comes at once, although it goes into a pipe.
        environment = os.environ | {"PYTHONUNBUFFERED": "1"} | environment
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self._stdout = Pump(self.process.stdout)
        self._stderr = Pump(self.process.stderr)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._stdout.join()
        self._stderr.join()
        if self.process.stdin is not None:
            self.process.stdin.close()

    def line(self, timeout: float = PATIENCE) -> str:
        """The next line of its standard output, without the newline.

        Fails, and shows all output, if none comes within `timeout` seconds.
        """
        try:
            line = self._stdout.lines.get(timeout=timeout)
        except queue.Empty:
            self._fail(f"printed no line for {timeout} s")
        if line is None:
            self.process.wait()
            self._fail(f"ended with {self.process.returncode}, and no line was left to read")
        return line

    def until(self, pattern: str, timeout: float = PATIENCE) -> re.Match[str]:
        """Reads lines up to the first that `pattern` is found in; the match."""
        while True:
            if found := re.search(pattern, self.line(timeout)):
                return found

    def write(self, text: str) -> None:
        """Writes to its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def send_signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def finish(self, timeout: float = PATIENCE) -> subprocess.CompletedProcess[str]:
        """Waits for its end and returns what it has printed, from the beginning on."""
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._fail(f"has not ended after {timeout} s")
        self._stdout.join()
        self._stderr.join()
        return subprocess.CompletedProcess(
            self.command, status, self._stdout.text(), self._stderr.text()
        )

    def _fail(self, what: str) -> None:
        output = self._stdout.text() + self._stderr.text()
        pytest.fail(f"{' '.join(self.command)} {what}:\n{output}")


class Pump(threading.Thread):
    """Empties a pipe, so that the program never waits for the test."""

    def __init__(self, pipe: IO[str]) -> None:
        super().__init__(daemon=True)
        self._pipe = pipe
        self._seen: list[str] = []
        #: Lines not yet asked for; None is the end.
        self.lines: queue.Queue[str | None] = queue.Queue()
        self.start()

    def run(self) -> None:
        with self._pipe:
            for line in self._pipe:
                self._seen.append(line)
                self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def text(self) -> str:
        return "".join(self._seen)


def command_line(
    name: str, arguments: Sequence[str], loop: LoopName, options: Sequence[str] = ()
) -> list[str]:
    program = ["run", "--loop", loop, *options, f"examples/{name}"]
    return [sys.executable, "-m", "ferrio", *program, *arguments]


def text_of(output: str | bytes | None) -> str:
    # What TimeoutExpired carries is bytes, whatever was asked for.
    return output.decode(errors="replace") if isinstance(output, bytes) else output or ""

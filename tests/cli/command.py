"""Runs the same program as `python PROGRAM` and as `ferrio run PROGRAM`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

#: The console script of the environment that the tests run in.
FERRIO = str(Path(sys.executable).parent / "ferrio")

#: Seconds that no program here should take; what hangs is reported rather than waited for.
PATIENCE = 60


@dataclass(frozen=True)
class Outcome:
    """All that the parent of a process learns about it."""

    status: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Command:
    """A command line without the program: `python`, or a form of `ferrio run`."""

    words: Sequence[str]
    environment: dict[str, str] = field(default_factory=dict)

    def run(self, program: Sequence[str], *, cwd: Path, stdin: str = "") -> Outcome:
        done = subprocess.run(
            [*self.words, *program],
            cwd=cwd,
            env=clean_environment() | self.environment,
            input=stdin.encode(),
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
        return Outcome(done.returncode, decoded(done.stdout), decoded(done.stderr))

    def start(self, program: Sequence[str], *, cwd: Path) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*self.words, *program],
            cwd=cwd,
            env=clean_environment() | self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # communicate() knows nothing of what a buffer holds beyond a line that was read.
            bufsize=0,
        )


def python(*options: str) -> Command:
    return Command([sys.executable, *options])


def ferrio_run(*options: str) -> Command:
    return Command([FERRIO, "run", *options])


def python_m_ferrio_run(*interpreter_options: str) -> Command:
    return Command([sys.executable, *interpreter_options, "-m", "ferrio", "run"])


def clean_environment() -> dict[str, str]:
    """The environment without what would make the interpreter behave in its own way."""
    keep = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    return keep | {"PYTHONDONTWRITEBYTECODE": "1"}


def decoded(output: bytes) -> str:
    # Escapes instead of an error: output is to be compared byte by byte, whatever it is. Only what
    # differs between two runs of the very same command is made the same.
    text = output.decode("utf-8", "backslashreplace")
    text = re.sub(r"0x[0-9a-f]{8,}", "0xADDRESS", text)
    return re.sub(r"repeated \d+ more times", "repeated N more times", text)

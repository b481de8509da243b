"""Programs that need a process of their own, on the loop under test."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests import loops

SECONDS = 30


def loop_import(request: pytest.FixtureRequest) -> str:
    """A line that imports the factory of the loop under test as `new_loop`."""
    module, _, attribute = loops.check_name(request.config.getoption("--loop")).partition(":")
    return f"from {module} import {attribute} as new_loop"


def output_of(folder: Path, program: str, *arguments: str) -> str:
    """What the program prints. It has to end by itself, with success."""
    path = folder / "program.py"
    path.write_text(textwrap.dedent(program))
    try:
        done = subprocess.run(
            [sys.executable, *arguments, path],
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired as expired:
        pytest.fail(f"does not end\n{expired.stdout!r}\n{expired.stderr!r}")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout

"""gdb, attached to a program that waits: the loop's native frames between the interpreter's."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import asyncio
async def main():
    print("ready", flush=True)
    await asyncio.sleep(1000)
asyncio.run(main())
"""


def test_gdb_shows_native_frames() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "ferrio", "run", "-c", PROGRAM], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            # It looks for no symbols elsewhere.
            quiet = ["-nx", "-iex", "set debuginfod enabled off"]
            done = subprocess.run(
                ["gdb", *quiet, "-p", str(process.pid), "-batch", "-ex", "bt"],
                capture_output=True,
                text=True,
                check=False,
                timeout=100,
            )
        finally:
            process.kill()
    if "Operation not permitted" in done.stderr:
        pytest.skip("this system does not let a process be traced")
    frames = [line for line in done.stdout.splitlines() if line.startswith("#")]
    assert any("_ferrio" in frame for frame in frames), done.stdout + done.stderr
    # Beneath the loop is what has called it.
    assert "_ferrio" not in frames[-1]

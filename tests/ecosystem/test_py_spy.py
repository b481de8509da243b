"""py-spy, with native frames."""

from __future__ import annotations

import struct
import subprocess
import sys
import textwrap
from pathlib import Path

import ferrio
import pytest

from .programs import loop_import


@pytest.mark.skipif(sys.platform != "linux", reason="reads a file of Linux's format")
def test_code_begins_at_a_page_of_the_file() -> None:
    """Where it does not, the libunwind in py-spy takes it for somewhere else."""
    content = Path(ferrio._ferrio.__file__).read_bytes()
    assert content[:5] == b"\x7fELF\x02", "not a 64-bit library"
    (headers,) = struct.unpack_from("<Q", content, 32)
    size, count = struct.unpack_from("<HH", content, 54)
    loaded = []
    for index in range(count):
        kind, flags, offset, address = struct.unpack_from("<IIQQ", content, headers + index * size)
        is_executable = flags & 1
        if kind == 1 and is_executable:
            loaded.append((offset % 4096, address % 4096))
    assert loaded == [(0, 0)]


def test_py_spy_shows_native_frames(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    program = f"""
import asyncio
{loop_import(request)}

async def main():
    print("ready", flush=True)
    await asyncio.sleep(1000)

with asyncio.Runner(loop_factory=new_loop) as runner:
    runner.run(main())
"""
    path = tmp_path / "program.py"
    path.write_text(textwrap.dedent(program))
    spy = Path(sys.executable).with_name("py-spy")
    with subprocess.Popen([sys.executable, path], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            done = subprocess.run(
                [spy, "dump", "--native", "--pid", str(process.pid)],
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )
        finally:
            process.kill()
    if "Permission denied" in done.stderr or "Operation not permitted" in done.stderr:
        pytest.skip("this system does not let a process be traced")
    assert done.returncode == 0, done.stderr
    assert "run_until_complete" in done.stdout or "runners.py" in done.stdout
    assert "MainThread" in done.stdout

"""pyinstrument: what it says of coroutines that wait."""

from __future__ import annotations

from pathlib import Path

import pytest

from .programs import loop_import, output_of


def test_pyinstrument_sees_who_waits(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    pytest.importorskip("pyinstrument", reason="has no wheel for this version of Python")
    program = f"""
import asyncio
{loop_import(request)}
from pyinstrument import Profiler

async def waits():
    await asyncio.sleep(0.1)

async def main():
    with Profiler(async_mode="enabled") as profiler:
        await waits()
    lines = profiler.output_text(show_all=True).splitlines()
    print(any(" waits " in line for line in lines), any("[await]" in line for line in lines))

with asyncio.Runner(loop_factory=new_loop) as runner:
    runner.run(main())
"""
    assert output_of(tmp_path, program) == "True True\n"

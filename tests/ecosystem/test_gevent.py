"""gevent: a loop in a process that it has patched."""

from __future__ import annotations

from pathlib import Path

import pytest

from .greenlets import GreenletTests
from .programs import loop_import, output_of


@pytest.fixture
def patch(request: pytest.FixtureRequest) -> str:
    return f"""
from gevent import monkey
monkey.patch_all()
import asyncio
import gevent
from gevent import sleep, spawn
{loop_import(request)}
"""


class TestGevent(GreenletTests):
    pass


def test_an_exception_out_of_the_wait_ends_the_run(tmp_path: Path, patch: str) -> None:
    """gevent throws a timeout into the greenlet that waits, which is the loop's."""
    body = """
async def main():
    await asyncio.sleep(1000)

loop = new_loop()
task = loop.create_task(main())
try:
    with gevent.Timeout(0.05):
        loop.run_until_complete(task)
except gevent.Timeout:
    print("timed out")
task.cancel()
try:
    loop.run_until_complete(task)
except asyncio.CancelledError:
    print("cancelled")
loop.close()
"""
    assert output_of(tmp_path, patch + body) == "timed out\ncancelled\n"

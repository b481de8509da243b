"""Loops made, used once and closed; and the import before all that."""

from __future__ import annotations

import asyncio
import subprocess
import sys

from ..loops import distribution
from .operation import Bench, Run, operation


@operation("new_event_loop and close")
def loop_create_close(bench: Bench) -> Run:
    def run(times: int) -> None:
        for _ in range(times):
            bench.new_event_loop().close()

    yield run


@operation("asyncio.Runner around a coroutine that does nothing")
def runner_run_trivial(bench: Bench) -> Run:
    async def nothing() -> None:
        pass

    def run(times: int) -> None:
        for _ in range(times):
            with asyncio.Runner(loop_factory=bench.new_event_loop) as runner:
                runner.run(nothing())

    yield run


@operation("start Python, import asyncio and the loop")
def import_time(bench: Bench) -> Run:
    names = ["asyncio"]
    if bench.loop_name == "aiofastnet":
        names.append("uvloop")
    if (name := distribution(bench.loop_name)) not in names:
        names.append(name)
    # -I and -S would leave out site-packages, where the loops are.
    argv = [sys.executable, "-P", "-c", f"import {', '.join(names)}"]

    def run(times: int) -> None:
        for _ in range(times):
            subprocess.run(argv, check=True)

    yield run

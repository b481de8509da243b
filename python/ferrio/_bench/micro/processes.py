"""Child processes."""

from __future__ import annotations

import asyncio
import shutil

from .operation import Bench, Clock, Run, operation

# Not /bin/true: where it is depends on the system.
TRUE = shutil.which("true") or "true"


def spawn(bench: Bench) -> Run:
    async def main(times: int) -> None:
        for _ in range(times):
            process = await asyncio.create_subprocess_exec(TRUE)
            status = await process.wait()
            if status != 0:
                raise ChildProcessError(f"{TRUE} ended with {status}")

    yield lambda times: bench.complete(main(times))


@operation("start a process that does nothing, wait for it: CPU time, the child's included")
def subprocess_spawn(bench: Bench) -> Run:
    yield from spawn(bench)


@operation("the same, as time passes", clock=Clock.WALL)
def subprocess_spawn_elapsed(bench: Bench) -> Run:
    yield from spawn(bench)

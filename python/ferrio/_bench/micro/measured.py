"""The measured process: one operation on one loop, in batches.

`main(["LOOP", "OPERATION", "SECONDS"])` writes nanoseconds per operation, on both clocks. A batch
is long against the resolution of the CPU clock and short against the disturbances of a machine,
whose batches the median leaves out. With `runs:N` for SECONDS it performs `run(N)` once and
measures nothing: for those who count instructions.
"""

from __future__ import annotations

import contextlib
import gc
import json
import statistics
import time
from collections.abc import Callable

from .. import allocator
from .catalogue import OPERATIONS
from .operation import Bench, Elapsed

BATCH_SECONDS = 0.02
FEWEST_BATCHES = 3


def timed(run: Callable[[int], Elapsed | None], times: int) -> Elapsed:
    cpu, wall = cpu_time(), time.perf_counter()
    part = run(times)
    return part or Elapsed(cpu_time() - cpu, time.perf_counter() - wall)


def cpu_time() -> float:
    """Of this process, exact, and of the children it has waited for."""
    try:
        import resource
    except ImportError:
        return time.process_time()
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def times_per_batch(run: Callable[[int], Elapsed | None]) -> int:
    """How often an operation fits into a batch; finding out warms it up."""
    times = 1
    while True:
        elapsed = timed(run, times).wall
        if elapsed >= BATCH_SECONDS / 2:
            return max(1, round(times * BATCH_SECONDS / elapsed))
        # At most tenfold at once: the first run is slower than those that follow.
        times *= max(2, min(10, int(BATCH_SECONDS / max(elapsed, 1e-9))))


def measure(run: Callable[[int], Elapsed | None], seconds: float) -> tuple[list[Elapsed], int]:
    """Batches, and how many runs each of them was."""
    times = times_per_batch(run)
    # What exists so far is not the operation's garbage.
    gc.collect()
    gc.freeze()
    batches: list[Elapsed] = []
    end = time.perf_counter() + seconds
    while len(batches) < FEWEST_BATCHES or time.perf_counter() < end:
        batches.append(timed(run, times))
    return batches, times


def main(argv: list[str]) -> None:
    loop_name, name, extent = argv
    allocator.settle()
    bench = Bench(loop_name)
    operation = OPERATIONS[name]
    with contextlib.contextmanager(operation.prepare)(bench) as run:
        if extent.startswith("runs:"):
            run(int(extent.removeprefix("runs:")))
            return
        batches, times = measure(run, float(extent))
    per_batch = times * operation.per_run
    report = {
        "cpu_ns": statistics.median(batch.cpu for batch in batches) / per_batch * 1e9,
        "wall_ns": statistics.median(batch.wall for batch in batches) / per_batch * 1e9,
        "batches": len(batches),
    }
    print(json.dumps(report), flush=True)

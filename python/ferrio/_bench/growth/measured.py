"""The measured process: so many timers or tasks on one loop.

`main(["LOOP", "timers", "SIZE", "SECONDS"])` writes nanoseconds of CPU time for each of them, by
name, and bytes of memory. A pass does everything once with all of them; passes are repeated until
the time is up, and medians reported: one pass of a million, hundreds of a thousand. Memory is that
of the first pass, in which nothing has been freed yet.

The garbage collector runs only where it is what is measured. By itself it would run at moments that
have to do with the number of objects alone: a look at a million of them falls into one stretch or
into the next, and hides what the loop does in either.
"""

from __future__ import annotations

import gc
import json
import statistics
import time

from .. import allocator, loops
from .tasks import one_pass as tasks
from .timers import one_pass as timers

PASSES = {"timers": timers, "tasks": tasks}


def main(argv: list[str]) -> None:
    loop_name, what, size, seconds = argv
    one_pass = PASSES[what]
    allocator.settle()
    loop = loops.factory(loop_name)()
    gc.disable()
    # What exists so far is not theirs, for the collector to look at.
    gc.collect()
    gc.freeze()
    end = time.perf_counter() + float(seconds)
    passes = [loop.run_until_complete(one_pass(int(size)))]
    while time.perf_counter() < end:
        passes.append(loop.run_until_complete(one_pass(int(size))))
    report: dict[str, float] = {"passes": len(passes)}
    for name in passes[0]:
        report[name] = statistics.median(each[name] for each in passes)
    report["memory_bytes"] = passes[0]["memory_bytes"]
    print(json.dumps(report), flush=True)

"""Runs programs that it is sent, in one configuration: a line of JSON in, a line of JSON out.

python -m tests.fuzzing.programs.worker CONFIGURATION
"""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from . import network  # noqa: F401 - not while a program runs
from .stage import perform

# By name: what differs from asyncio alone.
REFERENCE = "asyncio"
CONFIGURATIONS = {
    REFERENCE: "asyncio's loop and classes",
    "loop": "ferrio's loop, asyncio's classes",
    "aio": "ferrio's loop, and ferrio.aio in place of asyncio",
    "replaced": "ferrio.install(replace=True)",
    "c-tasks": "ferrio's loop with FERRIO_C_TASKS=1",
    "c-tasks-replaced": "the same with ferrio.install(replace=True)",
    "classes": "asyncio's loop, ferrio.aio in place of asyncio",
}


def configured(name: str) -> tuple[Callable[[], Any], Any]:
    """The factory of loops, and what stands for asyncio."""
    if name == REFERENCE:
        return asyncio.SelectorEventLoop, asyncio
    if name.startswith("c-tasks"):
        os.environ["FERRIO_C_TASKS"] = "1"
    import ferrio

    if name.endswith("replaced"):
        ferrio.install(replace=True)
    if name in ("aio", "classes"):
        from ferrio import aio

        return (asyncio.SelectorEventLoop if name == "classes" else ferrio.new_event_loop), aio
    return ferrio.new_event_loop, asyncio


def main() -> None:
    faulthandler.enable()
    # Whoever started this may have had them ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    factory, aio = configured(sys.argv[1])
    # Each program is followed by full collections, which need not visit what it has not made.
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        request = json.loads(line)
        answer = perform(request.pop("source"), factory, aio, **request)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()

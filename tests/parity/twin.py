"""`twin`: makes a test out of a body, which runs on both loops and compares their traces."""

from __future__ import annotations

import asyncio
import difflib
import functools
import gc
import importlib
import inspect
import logging
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests import loops

from .trace import Trace

Loop = asyncio.AbstractEventLoop

# A body that takes longer has hung. Long enough for a machine that is busy otherwise.
TIMEOUT_SECONDS = 30
# For threads of children that a body has left behind.
PATIENCE_SECONDS = 2


def twin(body: Callable[..., Any]) -> Callable[..., None]:
    """Turns `body(trace, ...)` into a test.

    A coroutine function is run by a `Runner` on each loop. A plain function that takes `loop` gets
    a new loop, which is closed afterwards; one that takes `factory` makes its own. One that takes
    `aio` gets asyncio on the reference loop, and ferrio's namespace on ferrio. Further parameters
    are fixtures.
    """

    @functools.wraps(body)
    def test(request: pytest.FixtureRequest, **fixtures: Any) -> None:
        subject = request.config.getoption("--loop")
        expected = run(body, loops.REFERENCE, fixtures)
        actual = run(body, subject, fixtures)
        assert expected.channels, "the body recorded nothing"
        if actual.channels != expected.channels:
            pytest.fail(difference(expected, actual, subject), pytrace=False)

    signature = inspect.signature(body)
    kept = [p for name, p in signature.parameters.items() if name not in PROVIDED]
    request = inspect.Parameter("request", inspect.Parameter.KEYWORD_ONLY)
    test.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[*(p.replace(kind=p.KEYWORD_ONLY) for p in kept), request]
    )
    return test


# What a body gets from here and not from pytest.
PROVIDED = ("trace", "loop", "factory", "aio")


def namespace(loop: str) -> Any:
    """The classes that go with a loop: ferrio's with ferrio's, asyncio's with all others."""
    return importlib.import_module("ferrio.aio") if loop == loops.DEFAULT else asyncio


def run(body: Callable[..., Any], loop_name: str, fixtures: dict[str, Any]) -> Trace:
    trace = Trace()
    factory = loops.factory_named(loop_name)
    wanted = inspect.signature(body).parameters
    if "aio" in wanted:
        fixtures = {**fixtures, "aio": namespace(loop_name)}
    with observed(trace):
        if inspect.iscoroutinefunction(body):
            with asyncio.Runner(loop_factory=factory) as runner:
                runner.run(bounded(body(trace, **fixtures)))
        elif "factory" in wanted:
            body(trace, factory=factory, **fixtures)
        else:
            loop = factory()
            try:
                body(trace, loop=loop, **fixtures)
            finally:
                loop.close()
        del fixtures
        # What is only noticed when an object dies belongs to the body that made it; a thread that
        # waits for a child has hold of its transport until a moment after it has told of its end.
        for thread in threading.enumerate():
            if "waitpid" in thread.name:
                thread.join(PATIENCE_SECONDS)
        gc.collect()
    return trace


async def bounded(coroutine: Any) -> Any:
    async with asyncio.timeout(TIMEOUT_SECONDS):
        return await coroutine


@contextmanager
def observed(trace: Trace) -> Iterator[None]:
    """Records what goes to the log, to `warnings` and to the hooks for exceptions nobody caught."""
    logger = logging.getLogger("asyncio")
    recorder = Recorder(trace)
    hook = sys.unraisablehook
    sys.unraisablehook = lambda args: trace.on("unraisable", args.err_msg, args.exc_value)
    logger.addHandler(recorder)
    logger.propagate = False
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
        for warning in caught:
            text = str(warning.message)
            # A socket without a transport to warn for it is asyncio's way of holding one.
            if not text.startswith("unclosed <socket"):
                trace.on("warnings", warning.category, text.partition("\n  File ")[0])
    finally:
        logger.removeHandler(recorder)
        logger.propagate = True
        sys.unraisablehook = hook
        # asyncio leaves it on where a loop in debug mode was run from a foreign thread.
        sys.set_coroutine_origin_tracking_depth(0)


class Recorder(logging.Handler):
    def __init__(self, trace: Trace) -> None:
        super().__init__()
        self._trace = trace

    def emit(self, record: logging.LogRecord) -> None:
        is_slow_callback = record.getMessage().startswith("Executing ")
        if is_slow_callback and not self._trace.shows_slow_callbacks:
            return
        # Tracebacks are cut off: they name the loop's own files.
        lines = []
        for line in record.getMessage().splitlines():
            if line.startswith(("  File ", "Object created at", "Source traceback")):
                break
            lines.append(line)
        error = record.exc_info[1] if record.exc_info else None
        self._trace.on("log", record.levelname, lines, error)


def difference(expected: Trace, actual: Trace, subject: str) -> str:
    parts = []
    for channel in sorted({*expected.channels, *actual.channels}):
        ours, theirs = actual.channels.get(channel, []), expected.channels.get(channel, [])
        if ours != theirs:
            parts += [f"channel {channel!r}:"]
            parts += difflib.ndiff(theirs, ours)
    legend = f"(- on {loops.REFERENCE}, + on {subject})"
    return "\n".join([f"the traces differ {legend}", *parts])

"""`serve_until_signal`: what people write by hand around the servers of each service."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, TypeAlias

from . import _shutdown

logger = logging.getLogger("ferrio")

Serving: TypeAlias = asyncio.AbstractServer | Coroutine[Any, Any, object] | asyncio.Task[Any]

#: Seconds between two looks at what is still connected: nothing tells when that ends on 3.11.
LOOK = 0.02


@dataclass
class Shutdown:
    """How `serve_until_signal` has come to its end."""

    signal: signal.Signals | None
    """What ended it; None if all tasks had ended by themselves."""
    drained: bool
    """Did all connections and tasks end before they had to be cancelled?"""
    cancelled: list[str] = field(default_factory=list)
    """The names of tasks that were cancelled."""
    stuck: list[str] = field(default_factory=list)
    """The names of tasks that did not stop even so; the log says where they stand."""


async def serve_until_signal(
    *serving: Serving,
    drain: float = 10.0,
    cancel: float = 5.0,
    signals: Iterable[signal.Signals] = (signal.SIGTERM, signal.SIGINT),
    stopping: asyncio.Event | None = None,
) -> Shutdown:
    """Run servers and tasks until a signal comes, and end them in good order.

    At the first signal the servers stop accepting, and `stopping` is set. Their connections get
    `drain` seconds to come to an end. Then what is left, the tasks of connections included, is
    cancelled and gets `cancel` seconds for that; who does not stop is logged with its stack. A
    second signal ends the process at once. A task that fails ends the others as a signal would.

        async def main():
            server = await asyncio.start_server(handle, port=8000)
            await ferrio.serve_until_signal(server, collect_garbage_every_hour())

        ferrio.run(main())

    Args:
        *serving: Servers, as of `start_server` and `loop.create_server`; coroutines and tasks,
            such as workers.
        drain: Seconds for what is under way.
        cancel: Seconds for what was cancelled.
        signals: Which signals to wait for.
        stopping: Set when the end begins, for tasks that want to finish something: they get `drain`
            seconds, too. Without it tasks are cancelled as soon as connections have ended.

    Raises:
        ExceptionGroup: Tasks have failed: all their exceptions.
        ValueError: A time is negative, or there is nothing to serve.
        RuntimeError: It is not called in the main thread.
    """
    if not serving:
        raise ValueError("serve_until_signal() needs a server or a task")
    if not (drain >= 0 and cancel >= 0):
        raise ValueError(f"times must not be negative, got drain={drain!r}, cancel={cancel!r}")
    loop = asyncio.get_running_loop()
    # Not ours to end.
    before = asyncio.all_tasks() - {each for each in serving if isinstance(each, asyncio.Task)}
    servers: list[Any] = [each for each in serving if hasattr(each, "wait_closed")]
    first: asyncio.Future[signal.Signals | None] = loop.create_future()
    with _Signals(loop, signals, first):
        tasks = [task_of(each) for each in serving if not hasattr(each, "wait_closed")]
        for task in tasks:
            task.add_done_callback(_ender(first, tasks, bool(servers)))
        try:
            for server in servers:
                await server.start_serving()
            received = await first
        except BaseException:
            # Cancelled, or a server that cannot serve: nobody is there to drain for.
            for server in servers:
                server.close()
            _shutdown.report(await _shutdown.cancel(_new_since(before), cancel), cancel)
            raise
        done = Shutdown(received, drained=True)
        await _wind_down(done, servers, tasks, before, drain, cancel, stopping)
    if failed := [error for task in tasks if (error := _error_of(task)) is not None]:
        raise BaseExceptionGroup("tasks of serve_until_signal() have failed", failed)
    return done


def task_of(each: Any) -> asyncio.Task[Any]:
    """A task to wait for.

    Raises:
        TypeError: It is nothing that can be served.
    """
    if isinstance(each, asyncio.Task):
        return each
    if asyncio.iscoroutine(each):
        return asyncio.create_task(each)
    raise TypeError(f"a server, a coroutine or a task is needed, got {each!r}")


async def _wind_down(
    done: Shutdown,
    servers: list[Any],
    tasks: list[asyncio.Task[Any]],
    before: set[asyncio.Task[Any]],
    drain: float,
    cancel: float,
    stopping: asyncio.Event | None,
) -> None:
    loop = asyncio.get_running_loop()
    for server in servers:
        server.close()
    if stopping is not None:
        stopping.set()
    connected = sum(map(connections, servers))
    logger.info(
        "%s: stopping; %d connections and %d tasks are under way, for at most %g s",
        done.signal.name if done.signal else "a task has ended",
        connected,
        sum(not task.done() for task in tasks),
        drain,
    )
    until = loop.time() + drain

    def is_under_way() -> bool:
        if any(map(connections, servers)):
            return True
        # Who has not been told cannot know, so there is nothing to wait for.
        return stopping is not None and not all(task.done() for task in tasks)

    while is_under_way() and (left := until - loop.time()) > 0:
        await asyncio.sleep(min(LOOK, left))
    done.drained = not is_under_way()
    for server in servers:
        if connections(server) and hasattr(server, "close_clients"):
            server.close_clients()
    remaining = _new_since(before)
    done.cancelled = sorted(task.get_name() for task in remaining)
    stuck = await _shutdown.cancel(remaining, cancel)
    done.stuck = _shutdown.report(stuck, cancel)


def connections(server: Any) -> int:
    """How many connections of a server there are: its own count, of which asyncio has two kinds."""
    clients = getattr(server, "_clients", None)
    if clients is not None:
        return len(clients)
    count: int = getattr(server, "_active_count", 0)
    return count


def _new_since(before: set[asyncio.Task[Any]]) -> set[asyncio.Task[Any]]:
    """The tasks that were made meanwhile: those of connections, too, and of tasks."""
    return {task for task in asyncio.all_tasks() - before if not task.done()}


def _error_of(task: asyncio.Task[Any]) -> BaseException | None:
    if not task.done() or task.cancelled():
        return None
    return task.exception()


def _ender(
    first: asyncio.Future[signal.Signals | None], tasks: list[asyncio.Task[Any]], serves: bool
) -> Callable[[asyncio.Task[Any]], None]:
    """What looks at each task that ends: a failure ends all, and so does the last one's end."""

    def has_ended(task: asyncio.Task[Any]) -> None:
        is_last = not serves and all(each.done() for each in tasks)
        if not first.done() and (_error_of(task) is not None or is_last):
            first.set_result(None)

    return has_ended


class _Signals:
    """Handlers of signals: the first one is a result, the second one the end of the process."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        signals: Iterable[signal.Signals],
        first: asyncio.Future[signal.Signals | None],
    ) -> None:
        self._loop = loop
        self._signals = [signal.Signals(number) for number in signals]
        self._first = first
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> None:
        try:
            for number in self._signals:
                before = signal.getsignal(number)
                self._loop.add_signal_handler(number, self._received, number)
                self._before[number] = before
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *exception: object) -> None:
        for number, before in self._before.items():
            self._loop.remove_signal_handler(number)
            if before is not None:
                signal.signal(number, before)

    def _received(self, number: signal.Signals) -> None:
        if self._first.done():
            end_at_once(number)
        else:
            self._first.set_result(number)
            # A loop that is blocked does not call handlers: the second one is not for it to see.
            for each in self._signals:
                self._loop.remove_signal_handler(each)
                signal.signal(each, end_at_once)


def end_at_once(number: int, frame: FrameType | None = None) -> None:
    """Die by a signal, whatever is under way."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    # The first process of a container does not die by signals.
    os._exit(128 + number)


__all__ = ["Shutdown", "serve_until_signal"]

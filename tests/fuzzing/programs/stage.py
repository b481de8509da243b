"""What a random program runs on: the objects that it uses, and the trace of all that it can see."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import socket
import sys
import time
import warnings
from collections.abc import Callable, Coroutine
from typing import Any

from tests.parity.trace import Trace
from tests.parity.twin import observed

# Between two deadlines of a program, and the turns of the loop that it has meanwhile. Who needs
# longer for them is late, and is run again with more time.
SLOT_SECONDS = 0.006
SLOT_TURNS = 15
# Runs of the loop that a program gets: callbacks may stop it or raise out of it.
RUNS = 12
# How often somebody who does not want to end is cancelled.
CANCELLATIONS = 4
SOURCE = "<program>"
# Reports of what was left unfinished, as it dies.
DEATHS = ("was never retrieved", "was destroyed but it is pending")


class ProgramError(Exception):
    """What programs raise."""


class ProgramExit(BaseException):
    """The same, past `except Exception`."""


class Recording(Trace):
    """A trace in which exceptions are written with all that hangs on them."""

    def __init__(self, *, has_io: bool) -> None:
        super().__init__()
        self._has_io = has_io
        # Once the loop is closed: in what order garbage goes is the collector's business. When it
        # goes before that is up to who refers to it: asyncio's closures to each other, frames in
        # the tracebacks of exceptions. Native code has neither.
        self.is_over = False

    def on(self, channel: str, *event: object) -> None:
        is_death = channel == "warnings" or any(word in str(event) for word in DEATHS)
        if (self.is_over or is_death) and channel not in ("run", "late"):
            super().on("afterwards", channel, *event)
            self.channels["afterwards"].sort()
            return
        # Without sockets there is one order of everything. The log says where it stands.
        if not self._has_io and channel not in ("main", "late"):
            event = (channel, *event)
            channel = "main"
        super().on(channel, *event)

    def on_warning(self, message: Any, category: Any, *where: Any) -> None:
        """Keeps nothing of what it is about alive, which a list of warnings would."""
        if not str(message).startswith("unclosed <socket"):
            self.on("warnings", category, str(message).partition("\n")[0])

    def describe(self, value: object, *, is_word: bool = False) -> str:
        if isinstance(value, BaseException):
            return self._exception(value, 4)
        if isinstance(value, Coroutine):
            # What is `async def` in asyncio is an object of another type in ferrio.
            named: Any = value
            return f"<coroutine {named.__qualname__}>"
        return super().describe(value, is_word=is_word)

    def _exception(self, error: BaseException, depth: int) -> str:
        text = f"{type(error).__name__}({self._scrub(str(error))!r})"
        if isinstance(error, BaseExceptionGroup):
            parts = ", ".join(self._exception(part, depth) for part in error.exceptions)
            text = f"{type(error).__name__}({error.message!r}: {parts})"
        if depth == 0:
            return f"{text}..."
        if error.__cause__ is not None:
            text += f" from {self._exception(error.__cause__, depth - 1)}"
        if error.__context__ is not None and error.__context__ is not error.__cause__:
            amid = "hiding" if error.__suppress_context__ else "amid"
            text += f" {amid} {self._exception(error.__context__, depth - 1)}"
        return text


class Step:
    """Records how a step of the program ends, and goes on after it where that is allowed."""

    def __init__(self, stage: Stage, label: str, swallows: tuple[type[BaseException], ...]) -> None:
        self._stage = stage
        self._label = label
        self._swallows = swallows

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> bool:
        if error is None:
            return False
        self._stage.note(self._label, error)
        return isinstance(error, self._swallows)


class Stage:
    """`S` of a program. What is numbered is taken modulo what there is."""

    def __init__(self, loop: asyncio.AbstractEventLoop, aio: Any, trace: Recording) -> None:
        self.loop = loop
        self.aio = aio
        self.trace = trace
        self.slot_seconds = SLOT_SECONDS
        self.latest = 0
        self.ticking: Any = None
        self.deadlines = 0
        self.is_late = False
        self.start = loop.time()
        self.tasks: list[Any] = []
        self.futures: list[Any] = []
        self.handles: list[Any] = []
        self.timeouts: list[Any] = []
        self.kept: list[Any] = []
        self.counts: dict[str, int] = {}
        self.unnamed: dict[str, str] = {}
        self.var: contextvars.ContextVar[Any] = contextvars.ContextVar("var", default="none")
        self.contexts: list[contextvars.Context] = []
        self.budget = 1500

    def start_clock(self, latest: int) -> None:
        """Has time pass. The last slot is `latest`."""
        self.latest = latest
        self.ticking = asyncio.Task(self.clock(), loop=self.loop, name="clock")
        self.ticking._log_destroy_pending = False

    def fill(self) -> None:
        """Makes what a program has one of each of; in the loop."""
        aio = self.aio
        self.lock = aio.Lock()
        self.event = aio.Event()
        self.condition = aio.Condition()
        self.semaphore = aio.Semaphore(2)
        self.bounded = aio.BoundedSemaphore(1)
        self.barrier = aio.Barrier(2)
        self.queue = aio.Queue(2)
        self.priority = aio.PriorityQueue()
        self.lifo = aio.LifoQueue(1)
        self.reader = aio.StreamReader(limit=8, loop=self.loop)
        self.futures = [self.loop.create_future() for _ in range(3)]
        for number in range(2):
            context = contextvars.copy_context()
            context.run(self.var.set, f"context {number}")
            self.contexts.append(context)

    # What a program says.

    def note(self, label: str, *values: object) -> None:
        self.budget -= 1
        if self.budget < 0:
            raise ProgramExit("the program does too much")
        try:
            task = asyncio.current_task()
        except RuntimeError:
            task = None
        channel = self.channel(task) if task is not None else label.partition(".")[0]
        self.trace.on(channel if self.trace._has_io else "main", label, self.var.get(), *values)

    def channel(self, task: Any) -> str:
        """A task's own. Those that asyncio names are numbered as they are first heard of."""
        name: str = task.get_name()
        if not name.startswith("Task-"):
            return name
        return self.unnamed.setdefault(name, f"unnamed#{len(self.unnamed)}")

    def step(self, label: str) -> Step:
        return Step(self, label, (Exception,))

    def stubborn(self, label: str) -> Step:
        """Goes on although it was cancelled."""
        return Step(self, label, (Exception, asyncio.CancelledError))

    # What it has.

    def future(self, number: int) -> Any:
        return self.futures[number % len(self.futures)]

    def task(self, number: int) -> Any:
        return self.tasks[number % len(self.tasks)] if self.tasks else self.future(number)

    def handle(self, number: int) -> Any:
        if not self.handles:
            self.keep_handle(self.loop.call_soon(self.note, "handle"))
        return self.handles[number % len(self.handles)]

    def keep_handle(self, handle: Any) -> Any:
        self.handles.append(handle)
        return handle

    def keep_task(self, task: Any) -> Any:
        self.tasks.append(task)
        return task

    def keep_future(self, future: Any) -> Any:
        self.futures.append(future)
        return future

    def keep(self, value: Any) -> Any:
        self.kept.append(value)
        return value

    def kept_last(self) -> Any:
        return self.kept[-1] if self.kept else None

    def timeout(self) -> Any:
        if not self.timeouts:
            self.timeouts.append(self.aio.timeout(None))
        return self.timeouts[-1]

    def entered(self, timeout: Any) -> Any:
        self.timeouts.append(timeout)
        return timeout

    def context(self, number: int) -> contextvars.Context:
        return self.contexts[number % len(self.contexts)]

    def name(self, of: str) -> str:
        number = self.counts[of] = self.counts.get(of, 0) + 1
        return f"{of}#{number}"

    def at(self, slot: int) -> float:
        """A deadline. Each slot of a program is used at one place, which may be reached often: who
        comes later has to wait longer."""
        self.deadlines = min(self.deadlines + 1, 50)
        return self.start + (slot + self.deadlines / 250) * self.slot_seconds

    def until(self, slot: int) -> float:
        return max(0.0, self.at(slot) - self.loop.time())

    async def clock(self) -> None:
        """Has time pass between two turns of the loop, so that what is due when does not depend on
        how busy the machine is."""
        self.start = self.loop.time()
        for slot in range(1, self.latest + 2):
            for _ in range(SLOT_TURNS):
                await Awaitable(lambda: iter([None]))
            now = self.loop.time()
            boundary = self.start + slot * self.slot_seconds
            self.is_late |= now > boundary - self.slot_seconds / 8
            time.sleep(max(0.0, boundary + self.slot_seconds / 4 - now))
        await Awaitable(lambda: iter([None]))

    def spawn(self, function: Callable[..., Any], **options: Any) -> Any:
        name = self.name(function.__name__)
        return self.keep_task(self.loop.create_task(function(), name=name, **options))

    def error(self, kind: int) -> BaseException:
        kinds: list[Callable[[], BaseException]] = [
            lambda: ProgramError("of the program"),
            lambda: ValueError("wrong"),
            lambda: asyncio.CancelledError("by hand"),
            lambda: ProgramExit("past Exception"),
            lambda: ExceptionGroup("several", [ProgramError("one"), KeyError("two")]),
            lambda: TimeoutError(),
            lambda: StopIteration(3),
            lambda: StopAsyncIteration(),
            lambda: KeyboardInterrupt("pressed"),
            lambda: SystemExit(3),
            lambda: GeneratorExit(),
            lambda: MemoryError("pretended"),
        ]
        return kinds[kind % len(kinds)]()

    def throw(self, kind: int) -> None:
        raise self.error(kind)

    def finally_raise(self, kind: int) -> None:
        """Raises amid another exception."""
        try:
            raise KeyError("before")
        except KeyError:
            raise self.error(kind)  # noqa: B904 - the context is what this is for

    def handler(self, loop: Any, context: dict[str, Any]) -> None:
        self.trace.on("handler", *self.reported(context))

    def raising_handler(self, loop: Any, context: dict[str, Any]) -> None:
        self.trace.on("handler", *self.reported(context))
        raise ProgramError("out of the handler")

    def reported(self, context: dict[str, Any]) -> list[Any]:
        hidden = ("exception", "message", "source_traceback", "handle")
        return [
            context.get("message"),
            context.get("exception"),
            sys.exception(),
            sorted(context),
            *(self.brief(value) for key, value in sorted(context.items()) if key not in hidden),
        ]

    def brief(self, value: Any) -> Any:
        return "TRANSPORT" if hasattr(value, "get_extra_info") else value

    # What it awaits.

    async def turns(self, count: int) -> int:
        for _ in range(count):
            await self.aio.sleep(0)
        return count

    async def ticker(self, count: int) -> None:
        for number in range(count):
            self.note("tick", number)
            await asyncio.sleep(0)

    async def finish(self) -> None:
        """Waits for what still runs, then cancels it, one by one, and shows what is left."""
        for _ in range(30):
            if not self.others():
                break
            await asyncio.sleep(0)
        while self.ticking and not self.ticking.done():
            await Awaitable(lambda: iter([None]))
        for _ in range(CANCELLATIONS):
            for task in self.others():
                if not task.done():
                    self.note("finish", task.get_name(), task.cancel("the program is over"))
                    await asyncio.sleep(0)
                    # Who leaves a condition wants its lock, which somebody may have kept.
                    if self.condition.locked():
                        self.condition.release()
            await asyncio.sleep(0)
        for thing in (
            *(self.lock, self.event, self.condition, self.semaphore, self.bounded, self.barrier),
            *(self.queue, self.priority, self.lifo, self.reader, *self.futures, *self.handles),
        ):
            self.note("left", repr(thing))
        for task in self.tasks:
            self.note("left", task, task.done() and (task.cancelled() or task.exception()))
        self.note("left", [task.get_name() for task in self.others()])

    def others(self) -> list[Any]:
        mine = (asyncio.current_task(), self.ticking)
        others = [task for task in asyncio.all_tasks() if task not in mine]
        return sorted(others, key=_age)


def _age(task: Any) -> tuple[str, int]:
    name = task.get_name()
    kind, _, number = name.replace("-", "#").partition("#")
    return kind, int(number) if number.isdigit() else 0


class Group:
    """Puts two tasks into a task group, as the block begins."""

    def __init__(self, stage: Stage, group: Any, first: Any, second: Any) -> None:
        self._stage = stage
        self._group = group
        self._functions = (first, second)

    async def __aenter__(self) -> None:
        for function in self._functions:
            stage = self._stage
            task = self._group.create_task(function(), name=stage.name(function.__name__))
            stage.keep_task(task)

    async def __aexit__(self, *exception: object) -> None:
        pass


class Awaitable:
    """`__await__` gives what it was made with."""

    def __init__(self, made: Callable[[], Any]) -> None:
        self._made = made

    def __await__(self) -> Any:
        return self._made()


def perform(
    source: str, factory: Callable[[], Any], aio: Any, *, has_io: bool, debug: bool, pace: int = 1
) -> dict[str, list[str]]:
    """Runs a program on a new loop; returns what it saw, by channel.

    Where the channel "late" is there, the machine was too slow for `pace` times the usual time.
    """
    trace = Recording(has_io=has_io)
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        with observed(trace):
            warnings.showwarning = trace.on_warning  # type: ignore[assignment]
            _perform(source, factory, aio, trace, debug, pace)
            # What ends as it is collected may leave garbage of its own.
            for _ in range(4):
                gc.collect()
    finally:
        sys.unraisablehook = sys.__unraisablehook__
        if was_enabled:
            gc.enable()
    return trace.channels


def _perform(
    source: str, factory: Callable[[], Any], aio: Any, trace: Recording, debug: bool, pace: int
) -> None:
    loop = factory()
    loop.set_debug(debug)
    loop.slow_callback_duration = 1000
    asyncio.set_event_loop(loop)
    from .network import Network

    stage = Network(loop, aio, trace)
    stage.slot_seconds *= pace
    names: dict[str, Any] = {
        "S": stage,
        "asyncio": aio,
        "socket": socket,
        "Awaitable": Awaitable,
        "Group": Group,
        "__name__": "program",
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        exec(compile(source, SOURCE, "exec"), names)
    try:
        main = loop.create_task(names["main"](), name="main")
        for _ in range(RUNS):
            try:
                trace.on("run", "returned", loop.run_until_complete(main))
            except BaseException as error:
                trace.on("run", "ended", error)
            if main.done():
                break
        for step in (loop.shutdown_asyncgens, loop.shutdown_default_executor):
            try:
                loop.run_until_complete(step())
            except BaseException as error:
                trace.on("run", step.__name__, error)
    finally:
        if stage.is_late:
            trace.on("late", "late")
        stage.close()
        asyncio.set_event_loop(None)
        loop.close()
        trace.is_over = True

"""`StreamReader`: every way to read at every way to be fed, and what is left in the buffer."""

from __future__ import annotations

import asyncio
import gc
import inspect
import sys
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import loops

from .trace import Trace
from .twin import namespace, twin

Reader = asyncio.StreamReader


class Pausable:
    """As much of a transport as a reader knows."""

    def __init__(self, note: Callable[..., None], can_pause: bool = True) -> None:
        self.note = note
        self.can_pause = can_pause

    def __repr__(self) -> str:
        return "<pausable>"

    def pause_reading(self) -> None:
        self.note("pause_reading")
        if not self.can_pause:
            raise NotImplementedError

    def resume_reading(self) -> None:
        self.note("resume_reading")


# Random histories.


@pytest.fixture(scope="module")
def both_loops() -> Iterator[list[tuple[Any, asyncio.AbstractEventLoop]]]:
    made = [
        (namespace(name), loops.factory_named(name)()) for name in (loops.REFERENCE, loops.DEFAULT)
    ]
    yield made
    for _, loop in made:
        loop.close()


# Few letters, so that separators are met with, and cut in two.
TEXT = st.text("ab\n", max_size=12).map(str.encode)
SEPARATOR = st.text("ab\n", min_size=1, max_size=3).map(str.encode)
READS: st.SearchStrategy[Any] = st.one_of(
    st.tuples(st.just("read"), st.integers(-1, 10)),
    st.tuples(st.just("readexactly"), st.integers(-1, 10)),
    st.tuples(st.just("readline")),
    st.tuples(st.just("__anext__")),
    st.tuples(st.just("readuntil"), SEPARATOR),
)
if sys.version_info >= (3, 13):
    READS |= st.tuples(st.just("readuntil"), st.lists(SEPARATOR, min_size=1, max_size=3).map(tuple))
STEPS = st.one_of(
    READS,
    st.tuples(st.just("feed"), TEXT),
    st.tuples(st.just("feed"), st.binary(min_size=500, max_size=1100)),
    st.tuples(st.just("cancel")),
    st.tuples(st.just("turn")),
)
RARE_STEPS = st.one_of(
    st.tuples(st.just("eof")),
    st.tuples(st.just("exception")),
    st.tuples(st.just("look")),
    st.tuples(st.just("cut"), st.integers(0, 5)),
    st.tuples(st.just("hold")),
    st.tuples(st.just("release")),
)
HISTORIES = st.tuples(
    st.integers(1, 30) | st.just(65536),
    st.lists(STEPS | STEPS | STEPS | RARE_STEPS, max_size=30),
)


async def play(aio: Any, history: tuple[int, list[tuple[Any, ...]]]) -> list[Any]:
    limit, steps = history
    seen: list[Any] = []
    reader = aio.StreamReader(limit=limit, loop=asyncio.get_running_loop())
    reader.set_transport(Pausable(lambda event: seen.append(event)))
    tasks: list[asyncio.Task[Any]] = []
    held: list[bytearray] = []

    async def read(method: str, *args: Any) -> None:
        seen.append(("begins", method, *args))
        try:
            seen.append(("reads", await getattr(reader, method)(*args)))
        except (Exception, asyncio.CancelledError) as error:
            context = error.__context__
            seen.append((repr(error), getattr(error, "partial", None), repr(context)))

    for name, *args in steps:
        match name:
            case "feed":
                try:
                    reader.feed_data(*args)
                except AssertionError as error:
                    seen.append(repr(error))
            case "eof":
                reader.feed_eof()
            case "exception":
                reader.set_exception(ZeroDivisionError("over"))
            case "cancel" if tasks:
                tasks.pop().cancel()
            case "cancel" | "turn":
                for _ in range(3):
                    await asyncio.sleep(0)
            case "look":
                seen.append(bytes(reader._buffer))
            case "cut":
                del reader._buffer[: args[0]]
            case "hold":
                held.append(reader._buffer)
            case "release":
                held.clear()
            case _:
                tasks.append(asyncio.create_task(read(name, *args)))
        text = repr(reader)
        seen.append(text.partition(" waiter=")[0])
        seen.append((reader.at_eof(), reader._waiter is not None, reader._paused))
    for _ in range(3):
        await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    seen.append((bytes(reader._buffer), repr(reader.exception())))
    return seen


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(history=HISTORIES)
def test_any_history(
    both_loops: list[tuple[Any, asyncio.AbstractEventLoop]],
    history: tuple[int, list[tuple[Any, ...]]],
) -> None:
    expected, actual = (loop.run_until_complete(play(aio, history)) for aio, loop in both_loops)
    assert actual == expected


# Promises, one by one.


def make(aio: Any, **options: Any) -> Any:
    return aio.StreamReader(loop=asyncio.get_running_loop(), **options)


METHODS: list[tuple[str, tuple[Any, ...]]] = [
    ("read", ()),
    ("read", (0,)),
    ("read", (3,)),
    ("read", (100,)),
    ("readexactly", (3,)),
    ("readexactly", (100,)),
    ("readexactly", (-1,)),
    ("readexactly", (0,)),
    ("readline", ()),
    ("readuntil", ()),
    ("readuntil", (b"o",)),
    ("readuntil", (b"absent",)),
    ("readuntil", (b"",)),
    ("readuntil", ("text",)),
    ("readuntil", (5,)),
    ("readuntil", (bytearray(b"wo"),)),
    ("readuntil", (memoryview(b"wo"),)),
    ("readuntil", ((b"wo", b"o"),)),
    ("readuntil", ((),)),
    ("readuntil", ((b"",),)),
    ("read", (1.5,)),
    ("read", ("x",)),
    ("read", (1, 2)),
    ("readexactly", (2.0,)),
    ("readexactly", ()),
    ("readline", (1,)),
]


@pytest.mark.parametrize("limit", [4, 65536])
@pytest.mark.parametrize(("method", "args"), METHODS)
@twin
async def test_every_method_on_a_full_buffer(
    trace: Trace, aio: Any, method: str, args: tuple[Any, ...], limit: int
) -> None:
    reader = make(aio, limit=limit)
    reader.set_transport(Pausable(trace))
    reader.feed_data(b"hello wo")
    reader.feed_data(b"rld\nand more")
    reader.feed_eof()
    for _ in range(3):
        with trace.raises("ends"):
            trace(method, await getattr(reader, method)(*args))
        trace("left", bytes(reader._buffer))


@twin
async def test_keywords(trace: Trace, aio: Any) -> None:
    reader = make(aio)
    reader.feed_data(b"one|two\n")
    trace("read", await reader.read(n=1))
    trace("exactly", await reader.readexactly(n=2))
    trace("until", await reader.readuntil(separator=b"|"))
    with trace.raises():
        await reader.read(size=1)
    with trace.raises():
        await reader.readuntil(sep=b"|")


@twin
async def test_one_chunk_is_handed_on_as_it_came(trace: Trace, aio: Any) -> None:
    reader = make(aio)
    chunk = bytes(range(256)) * 4
    reader.feed_data(chunk)
    data = await reader.read(65536)
    # asyncio copies: only the value is the same for both.
    trace("same", data == chunk, data is chunk or aio is asyncio)


@twin
async def test_what_can_be_fed(trace: Trace, aio: Any) -> None:
    reader = make(aio)
    for data in (b"", bytearray(b"array"), memoryview(b"view"), [65, 66], "text", None, 5):
        with trace.raises("feed"):
            reader.feed_data(data)
        trace("holds", bytes(reader._buffer))
    reader.feed_eof()
    with trace.raises("after the end"):
        reader.feed_data(b"")


@twin
async def test_limits(trace: Trace, aio: Any) -> None:
    for limit in (1, 2**100, 1.5, 0, -1, True):
        with trace.raises("made"):
            reader = make(aio, limit=limit)
            trace("limit", reader._limit, repr(reader))
            reader.set_transport(Pausable(trace))
            reader.feed_data(b"abc")
            reader.feed_data(b"\n")
            trace("reader", repr(reader))
            trace("line", await reader.readline())
            trace("reader", repr(reader))


@twin
async def test_a_transport_that_cannot_pause(trace: Trace, aio: Any) -> None:
    reader = make(aio, limit=1)
    reader.set_transport(Pausable(trace, can_pause=False))
    with trace.raises("twice"):
        reader.set_transport(Pausable(trace))
    reader.feed_data(b"more than two")
    reader.feed_data(b"and more")
    trace("reader", repr(reader))
    trace("read", await reader.read(100))


@twin
async def test_a_transport_that_feeds_while_it_is_resumed(trace: Trace, aio: Any) -> None:
    reader = make(aio, limit=2)

    more = [b"first\n", b"second\n"]

    class Eager(Pausable):
        def resume_reading(self) -> None:
            super().resume_reading()
            if more:
                reader.feed_data(more.pop(0))
            else:
                reader.feed_eof()

    reader.set_transport(Eager(trace))
    reader.feed_data(b"12345")
    trace("read", await reader.read())


@twin
async def test_the_buffer_is_a_bytearray(trace: Trace, aio: Any) -> None:
    reader = make(aio)
    trace("empty", reader._buffer, len(reader._buffer))
    reader.feed_data(b"one\ntwo\nthree\n")
    buffer = reader._buffer
    trace("same", buffer is reader._buffer, buffer)
    del buffer[:4]
    trace("line", await reader.readline(), buffer)
    buffer += b"four\n"
    reader.feed_data(b"five\n")
    trace("until", await reader.readuntil(b"four\n"), buffer)
    with memoryview(buffer), trace.raises("while viewed"):
        await reader.readline()
    trace("line", await reader.readline(), buffer)
    reader.feed_data(b"six\n")
    trace("again", buffer)
    buffer.clear()
    del buffer
    reader.feed_data(b"seven\n")
    trace("line", await reader.readline(), reader.at_eof())
    reader._buffer = bytearray(b"eight\n")
    trace("line", await reader.readline())


@twin
async def test_private_attributes_can_be_set(trace: Trace, aio: Any) -> None:
    reader = make(aio)
    for name in ("_limit", "_loop", "_eof", "_waiter", "_exception", "_transport", "_paused"):
        trace(name, getattr(reader, name))
    waiter = asyncio.get_running_loop().create_future()
    reader._waiter = waiter
    reader.feed_data(b"x")
    trace("woken", waiter.done(), reader._waiter)
    reader._eof = True
    reader._limit = 10
    reader._paused = True
    reader._transport = Pausable(trace)
    reader.anything = 5
    trace("reader", repr(reader), reader.anything)
    trace("read", await reader.read(1), reader._paused, reader.at_eof())


@twin
async def test_waiting(trace: Trace, aio: Any) -> None:
    reader = make(aio)
    for method, args in (("read", (5,)), ("read", ()), ("readexactly", (5,)), ("readline", ())):
        waiting = asyncio.ensure_future(getattr(reader, method)(*args))
        await asyncio.sleep(0)
        trace("reader", repr(reader))
        for other in ("read", "readexactly", "readline", "readuntil"):
            with trace.raises(other):
                await getattr(reader, other)(*([5] if other == "readexactly" else []))
        waiting.cancel()
        with trace.raises("cancelled"):
            await waiting
        trace("waiter", reader._waiter)


@twin
async def test_a_woken_and_cancelled_read_leaves_what_came(trace: Trace, aio: Any) -> None:
    reader = make(aio)
    for method, args in (("read", (5,)), ("readexactly", (5,)), ("readline", ())):
        waiting = asyncio.ensure_future(getattr(reader, method)(*args))
        await asyncio.sleep(0)
        reader.feed_data(b"12345\n")
        waiting.cancel()
        with trace.raises("cancelled"):
            await waiting
        trace("left", await reader.read(100))


@pytest.mark.parametrize("args", [(5,), ()])
@twin
async def test_another_was_quicker(trace: Trace, aio: Any, args: tuple[int, ...]) -> None:
    reader = make(aio)
    first = asyncio.ensure_future(reader.read(*args))
    await asyncio.sleep(0)
    second = asyncio.ensure_future(reader.read(5))
    reader.feed_data(b"12345")
    trace("second", await second)
    trace("first", await first)


@twin
async def test_exceptions_end_reading(trace: Trace, aio: Any) -> None:
    for error in (
        ValueError("some"),
        aio.IncompleteReadError(b"part", 10),
        aio.LimitOverrunError("over", 2),
    ):
        reader = make(aio)
        reader.feed_data(b"12345")
        waiting = [asyncio.ensure_future(reader.readline())]
        await asyncio.sleep(0)
        reader.set_exception(error)
        trace("exception", reader.exception(), repr(reader))
        for method, args in (
            ("read", (5,)),
            ("read", (0,)),
            ("readexactly", (0,)),
            ("readline", ()),
        ):
            waiting.append(asyncio.ensure_future(getattr(reader, method)(*args)))
        for result in await asyncio.gather(*waiting, return_exceptions=True):
            trace("result", result)
        trace("left", bytes(reader._buffer))


@twin
async def test_coroutines_look_like_asyncios(trace: Trace, aio: Any) -> None:
    def is_function(method: Any) -> list[bool]:
        answers = [aio.iscoroutinefunction(method)]
        # Up to 3.11 inspect knows `async def` alone.
        if sys.version_info >= (3, 12):
            answers.append(inspect.iscoroutinefunction(method))
        return answers

    reader = make(aio)
    for method, args in (("read", ()), ("readexactly", (1,)), ("readline", ()), ("readuntil", ())):
        function = getattr(reader, method)
        trace(method, is_function(function))
        coroutine = function(*args)
        trace("is", aio.iscoroutine(coroutine), coroutine.__qualname__)
        coroutine.close()
    reader.read(5)
    trace("of the class", is_function(aio.StreamReader.readline))


@twin
async def test_iteration(trace: Trace, aio: Any) -> None:
    reader = make(aio)
    trace("iterator", aiter(reader) is reader)
    reader.feed_data(b"one\n\ntw")
    lines = []

    async def collect() -> None:
        async for line in reader:
            lines.append(line)
            trace("line", line)

    task = asyncio.ensure_future(collect())
    for data in (b"", b"o\n", b"last"):
        await asyncio.sleep(0)
        reader.feed_data(data)
    reader.feed_eof()
    await task
    with trace.raises("end"):
        await anext(reader)


class Overriding:
    """What subclasses do: each method says that it was called."""

    NAMES = (
        "_maybe_resume_transport",
        "_wakeup_waiter",
        "exception",
        "feed_data",
        "feed_eof",
        "read",
        "readline",
        "readuntil",
        "set_exception",
    )


def overriding(base: type[Any], name: str, note: Callable[..., None]) -> type[Any]:
    def method(self: Any, *args: Any) -> Any:
        note("calls", name, *args)
        return getattr(base, name)(self, *args)

    return type("Subclass", (base,), {name: method})


@pytest.mark.parametrize("place", ["subclass", "instance", "class"])
@pytest.mark.parametrize("name", Overriding.NAMES)
@twin
async def test_overridden_steps_are_called(trace: Trace, aio: Any, name: str, place: str) -> None:
    cls = overriding(aio.StreamReader, name, trace)
    patched = None
    if place == "subclass":
        reader = cls(limit=4, loop=asyncio.get_running_loop())
    else:
        reader = make(aio, limit=4)
        if place == "instance":
            setattr(reader, name, getattr(cls, name).__get__(reader))
        else:
            patched = pytest.MonkeyPatch()
            original = getattr(aio.StreamReader, name)

            def method(self: Any, *args: Any) -> Any:
                trace("calls", name, *args)
                return original(self, *args)

            patched.setattr(aio.StreamReader, name, method)
    try:
        reader.set_transport(Pausable(trace))
        for method_name, args in (("readline", ()), ("read", ()), ("readexactly", (3,))):
            waiting = asyncio.ensure_future(getattr(reader, method_name)(*args))
            await asyncio.sleep(0)
            reader.feed_data(b"ab\n")
            reader.feed_data(b"more than the limit\n")
            await asyncio.sleep(0)
            trace("done", waiting.done())
            if method_name == "read":
                reader.feed_eof()
            with trace.raises("ends"):
                trace("read", await waiting)
            reader._eof = False
        with trace.raises("iteration"):
            async for line in reader:
                trace("line", line)
        reader.feed_data(b"line\n")
        reader.feed_eof()
        async for line in reader:
            trace("line", line)
        reader.set_exception(ValueError())
        with trace.raises("ends"):
            await reader.readline()
    finally:
        if patched is not None:
            patched.undo()


@twin
async def test_a_subclass_that_waits_its_own_way(trace: Trace, aio: Any) -> None:
    class Logged(aio.StreamReader):  # type: ignore[misc]
        async def _wait_for_data(self, func_name: str) -> None:
            trace("waits for", func_name)
            await super()._wait_for_data(func_name)

    reader = Logged(loop=asyncio.get_running_loop())
    waiting = asyncio.ensure_future(reader.readline())
    for data in (b"one", b" line\n"):
        await asyncio.sleep(0)
        reader.feed_data(data)
    trace("line", await waiting)
    reader.read(5)


@twin
def test_made_without_a_loop(trace: Trace, loop: Any, aio: Any) -> None:
    async def inside() -> None:
        reader = aio.StreamReader()
        trace("loop", reader._loop is loop, repr(reader))

    loop.run_until_complete(inside())
    for debug in (False, True):
        loop.set_debug(debug)
        reader = aio.StreamReader(100, loop)
        source = reader._source_traceback
        trace("source", source is not None, source and source[-1].name)


def test_classes_are_asyncios() -> None:
    aio = namespace(loops.DEFAULT)
    loop = loops.factory_named(loops.DEFAULT)()
    reader = aio.StreamReader(loop=loop)
    assert isinstance(reader, asyncio.StreamReader)
    assert issubclass(aio.StreamWriter, asyncio.StreamWriter)
    assert issubclass(aio.StreamReaderProtocol, asyncio.Protocol)
    loop.close()


def test_readers_and_cycles_are_collected() -> None:
    aio = namespace(loops.DEFAULT)
    loop = loops.factory_named(loops.DEFAULT)()
    gc.collect()
    gc.disable()
    try:
        reader = aio.StreamReader(loop=loop)
        reader.feed_data(b"x" * 1000)
        alone = weakref.ref(reader)
        del reader
        assert alone() is None
        reader = aio.StreamReader(loop=loop)
        reader.itself = reader
        reader.set_transport([reader])
        reader.set_exception(ValueError(reader))
        cycle = weakref.ref(reader)
        del reader
        waiting = aio.StreamReader(loop=loop)
        task = loop.create_task(waiting.readline())
        loop.run_until_complete(asyncio.sleep(0))
        task.cancel()
        loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
        cancelled = weakref.ref(waiting)
        del task, waiting
        assert cancelled() is None
    finally:
        gc.enable()
    gc.collect()
    assert cycle() is None
    loop.close()

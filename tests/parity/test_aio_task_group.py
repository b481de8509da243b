"""`TaskGroup`: asyncio's on asyncio's loop and ferrio's on ferrio, of the version at hand."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from .test_aio_tasks import Broken, chain, outcome, raises, returns, settle, stubborn
from .trace import Trace
from .twin import twin

since_314 = pytest.mark.skipif(sys.version_info < (3, 14), reason="came with 3.14")
since_315 = pytest.mark.skipif(sys.version_info < (3, 15), reason="came with 3.15")


async def finish(trace: Trace, name: str, awaitable: Awaitable[Any]) -> None:
    """As `outcome`, with what is in an exception group."""
    task = asyncio.ensure_future(awaitable)
    try:
        trace(name, "returned", await task)
    except BaseException as error:
        trace(name, "raised", *chain(error))
        if isinstance(error, BaseExceptionGroup):
            for part in error.exceptions:
                trace(name, "part", *chain(part))
    if isinstance(task, asyncio.Task):
        trace(name, "cancelling", task.cancelling())


@twin
async def test_tasks_are_waited_for(trace: Trace, aio: Any) -> None:
    group = aio.TaskGroup()
    trace(repr(group), isinstance(group, asyncio.TaskGroup))
    async with group as entered:
        trace("same", entered is group, repr(group))
        one = group.create_task(returns(1, 3), name="one")
        two = group.create_task(returns(2))
        trace(repr(group), one.get_name(), len(group._tasks), two in group._tasks)
    trace(repr(group), one.result(), two.result(), group._tasks)
    with trace.raises("finished"):
        group.create_task(returns(1))
    with trace.raises("again"):
        async with group:
            pass
    unentered = aio.TaskGroup()
    with trace.raises("not entered"):
        unentered.create_task(returns(1))
    gc.collect()


SCENES: dict[str, Callable[[Any, Trace], Awaitable[None]]] = {}


def scene(body: Callable[[Any, Trace], Awaitable[None]]) -> Callable[[Any, Trace], Awaitable[None]]:
    SCENES[body.__name__] = body
    return body


@scene
async def one_fails(aio: Any, trace: Trace) -> None:
    async with aio.TaskGroup() as group:
        group.create_task(raises(Broken(1), 1))
        group.create_task(stubborn(trace, "other"))
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError as error:
            trace("body cancelled", error.args, repr(group))
            with trace.raises("shutting down"):
                group.create_task(returns(1))
            raise


@scene
async def two_fail(aio: Any, trace: Trace) -> None:
    async with aio.TaskGroup() as group:
        group.create_task(raises(Broken(1), 2))
        group.create_task(raises(Broken(2), 2))


@scene
async def body_fails(aio: Any, trace: Trace) -> None:
    async with aio.TaskGroup() as group:
        group.create_task(stubborn(trace, "task"))
        await asyncio.sleep(0)
        raise Broken("body")


@scene
async def both_fail(aio: Any, trace: Trace) -> None:
    async with aio.TaskGroup() as group:
        group.create_task(raises(Broken("task"), 1))
        await settle(1)
        raise Broken("body")


@scene
async def body_is_cancelled(aio: Any, trace: Trace) -> None:
    async with aio.TaskGroup() as group:
        group.create_task(stubborn(trace, "task"))
        task = asyncio.current_task()
        assert task is not None
        task.cancel("by itself")
        await asyncio.sleep(3600)


@scene
async def cancelled_and_fails(aio: Any, trace: Trace) -> None:
    async with aio.TaskGroup() as group:
        group.create_task(raises(Broken("task"), 1))
        task = asyncio.current_task()
        assert task is not None
        task.cancel("by itself")
        await asyncio.sleep(3600)


@scene
async def a_task_is_cancelled(aio: Any, trace: Trace) -> None:
    async with aio.TaskGroup() as group:
        task = group.create_task(asyncio.sleep(3600))
        other = group.create_task(returns(1, 3))
        await asyncio.sleep(0)
        task.cancel()
    trace("other", other.result(), task.cancelled())


@scene
async def raises_cancelled_error(aio: Any, trace: Trace) -> None:
    async with aio.TaskGroup() as group:
        group.create_task(returns(1, 2))
        raise asyncio.CancelledError("raised")


@scene
async def raises_own_cancelled_error(aio: Any, trace: Trace) -> None:
    class Own(asyncio.CancelledError):
        pass

    async with aio.TaskGroup() as group:
        group.create_task(returns(1, 2))
        raise Own("raised")


@scene
async def generator_exit(aio: Any, trace: Trace) -> None:
    try:
        async with aio.TaskGroup():
            raise GeneratorExit("body")
    except BaseException as error:
        # Here, for what the coroutine of a task does with one is another matter.
        trace("raised", *chain(error))


@scene
async def nested(aio: Any, trace: Trace) -> None:
    async with aio.TaskGroup() as outer:
        outer.create_task(raises(Broken("outer"), 4))
        async with aio.TaskGroup() as inner:
            inner.create_task(stubborn(trace, "inner"))
            inner.create_task(raises(Broken("inner"), 5))


@scene
async def within_a_timeout(aio: Any, trace: Trace) -> None:
    async with aio.timeout(0), aio.TaskGroup() as group:
        group.create_task(stubborn(trace, "task"))


@scene
async def while_something_is_handled(aio: Any, trace: Trace) -> None:
    try:
        raise Broken("handled")
    except Broken:
        async with aio.TaskGroup() as group:
            group.create_task(raises(Broken("task")))


@scene
async def ends_early(aio: Any, trace: Trace) -> None:
    async with aio.TaskGroup() as group:
        task = group.create_task(asyncio.sleep(3600))
        group._abort()
        trace(repr(group))
    trace("aborted", task.cancelled())


@pytest.mark.parametrize("name", SCENES)
@twin
async def test_scenes(trace: Trace, aio: Any, name: str) -> None:
    await finish(trace, name, SCENES[name](aio, trace))
    await settle()


@pytest.mark.parametrize("name", SCENES)
@pytest.mark.parametrize("turns", range(1, 8))
@twin
async def test_scenes_cancelled_from_outside(trace: Trace, aio: Any, name: str, turns: int) -> None:
    task = asyncio.ensure_future(SCENES[name](aio, trace))
    await settle(turns)
    trace("cancel", task.cancel("from outside"))
    await finish(trace, name, task)
    await settle()


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
@twin
def test_what_ends_the_program(trace: Trace, aio: Any, factory: Any, error: Any) -> None:
    async def ends() -> None:
        raise error(3)

    async def main() -> None:
        async with aio.TaskGroup() as group:
            group.create_task(ends())
            group.create_task(stubborn(trace, "other"))

    loop = factory()
    task = loop.create_task(main())
    with trace.raises("ran"):
        loop.run_until_complete(task)
    with trace.raises("ran on"):
        loop.run_until_complete(task)
    loop.close()


@twin
async def test_names_and_contexts(trace: Trace, aio: Any) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="outer")
    context = contextvars.copy_context()
    context.run(variable.set, "inner")

    async def asks() -> str:
        return variable.get()

    async with aio.TaskGroup() as group:
        named = group.create_task(asks(), name="named", context=context)
        plain = group.create_task(asks(), name=None, context=None)
        numbered = group.create_task(asks(), name=7)
    trace(named.result(), named.get_name(), plain.result(), numbered.get_name())

    async def misused() -> None:
        async with aio.TaskGroup() as group:
            for arguments, keywords in (((), {}), ((1, 2), {}), ((None,), {"nonsense": 1})):
                try:
                    group.create_task(*arguments, **keywords)
                except (TypeError, AttributeError) as error:
                    trace("refused", type(error))

    await finish(trace, "misused", misused())


@since_314
@twin
async def test_eager_start(trace: Trace, aio: Any) -> None:
    async with aio.TaskGroup() as group:
        task = group.create_task(returns(1), eager_start=True)
        trace("done at once", task.done(), len(group._tasks))
    trace(task.result())


@since_315
@pytest.mark.parametrize("when", ["before", "in the body", "by a task", "at the end", "afterwards"])
@twin
async def test_cancel(trace: Trace, aio: Any, when: str) -> None:
    async def body() -> str:
        group = aio.TaskGroup()
        if when == "before":
            group.cancel()
            trace("before", repr(group))

        async def cancels() -> None:
            await settle(2)
            group.cancel()

        async with group:
            group.create_task(stubborn(trace, "task"))
            if when == "by a task":
                group.create_task(cancels())
            if when == "in the body":
                group.cancel()
                group.cancel()
            if when == "at the end":
                asyncio.get_running_loop().call_later(0.001, group.cancel)
            elif when == "afterwards":
                group._abort()
            else:
                await asyncio.sleep(3600)
                trace("not reached")
        group.cancel()
        return repr(group)

    await finish(trace, when, body())


@twin
async def test_subclasses(trace: Trace, aio: Any) -> None:
    class Own(aio.TaskGroup):  # type: ignore[misc]
        def __init__(self, word: str) -> None:
            super().__init__()
            self.word = word

        async def __aenter__(self) -> Any:
            trace("enter", self.word)
            return await super().__aenter__()

        def create_task(self, coro: Any, **kwargs: Any) -> Any:
            trace("create", sorted(kwargs))
            return super().create_task(coro, **kwargs)

        def _abort(self) -> None:
            trace("abort")
            super()._abort()

        def _on_task_done(self, task: Any) -> None:
            trace("done", task.cancelled())
            super()._on_task_done(task)

    async def body() -> None:
        async with Own("word") as group:
            group.create_task(returns(1))
            group.create_task(raises(Broken(1), 1), name="fails")
            group.create_task(asyncio.sleep(3600))

    await finish(trace, "own", body())


@twin
async def test_the_parent_is_done_already(trace: Trace, aio: Any) -> None:
    """A task fails after its group was left without waiting."""
    asyncio.get_running_loop().set_exception_handler(trace.exception_handler)
    ready = asyncio.Event()

    async def late() -> None:
        await ready.wait()
        raise Broken("late")

    async def body() -> Any:
        group = aio.TaskGroup()
        await group.__aenter__()
        group.create_task(late())
        return group

    group = await asyncio.ensure_future(body())
    ready.set()
    await settle()
    trace(repr(group))


@twin
async def test_outside_of_a_task(trace: Trace, aio: Any) -> None:
    ended = asyncio.Event()

    def callback() -> None:
        with trace.raises("enter"):
            aio.TaskGroup().__aenter__().send(None)
        ended.set()

    asyncio.get_running_loop().call_soon(callback)
    await ended.wait()


@twin
async def test_nothing_is_left_without_the_collector(trace: Trace, aio: Any) -> None:
    gc.collect()
    gc.disable()
    try:
        async with aio.TaskGroup() as group:
            alive = weakref.ref(group)
            task = group.create_task(returns(1, 2))
            task_alive = weakref.ref(task)
        del group, task
        await settle()
        trace("is gone", alive() is None, task_alive() is None)
    finally:
        gc.enable()


@twin
async def test_cycles_are_collected(trace: Trace, aio: Any) -> None:
    group = aio.TaskGroup()
    await group.__aenter__()
    group.itself = group
    alive = weakref.ref(group)
    del group
    gc.collect()
    trace("is gone", alive() is None)


@twin
async def test_used_by_hand(trace: Trace, aio: Any) -> None:
    async def body() -> None:
        group = aio.TaskGroup()
        await group.__aenter__()
        group.create_task(returns(1))
        trace("exit", await group.__aexit__(None, None, None))

    await finish(trace, "by hand", body())
    await outcome(trace, "not entered", aio.TaskGroup().__aexit__(None, None, None))


@twin
async def test_attributes_that_programs_set(trace: Trace, aio: Any) -> None:
    loop = asyncio.get_running_loop()
    async with aio.TaskGroup() as group:
        forgotten = group.create_task(asyncio.sleep(60))
        tasks, group._tasks = group._tasks, set()
        trace(repr(group), forgotten in tasks)
    trace("left", forgotten.done())
    forgotten.cancel()
    await asyncio.wait([forgotten])
    other = aio.TaskGroup()
    other._loop, other._parent_task, other._entered = loop, asyncio.current_task(), True
    other._errors = [ValueError("set")]
    trace(repr(other), other._errors, other._parent_task is asyncio.current_task())
    trace("made", await other.create_task(returns(1)))
    other._base_error = KeyError("base")
    other._on_completed_fut = None
    with trace.raises("base error"):
        await other.__aexit__(None, None, None)
    finished = aio.TaskGroup()
    finished._entered = finished._exiting = True
    with trace.raises("finished"):
        finished.create_task(returns(1))

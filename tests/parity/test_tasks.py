"""Tasks on the loop: creation, factories, names, eager start, cancellation, contexts."""

from __future__ import annotations

import asyncio
import contextvars
import sys
from collections.abc import Generator
from typing import Any

import pytest

from .trace import Trace
from .twin import Loop, twin

since_312 = pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with 3.12")
since_314 = pytest.mark.skipif(sys.version_info < (3, 14), reason="eager_start came with 3.14")


async def steps(trace: Trace, name: str, count: int = 3) -> str:
    for number in range(count):
        trace(name, number)
        await asyncio.sleep(0)
    return name


@twin
async def test_tasks_take_turns(trace: Trace) -> None:
    tasks = [asyncio.create_task(steps(trace, name)) for name in "abc"]
    trace("created")
    trace("results", [await task for task in tasks])


@twin
async def test_steps_and_callbacks_share_one_queue(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    loop.call_soon(trace, "callback 1")
    task = asyncio.create_task(steps(trace, "task", 1))
    loop.call_soon(trace, "callback 2")
    await asyncio.sleep(0)
    loop.call_soon(trace, "callback 3")
    await task


@twin
async def test_done_callbacks_run_in_order_in_the_next_turn(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    for number in range(3):
        future.add_done_callback(lambda f, n=number: trace("done", n, f.result()))  # type: ignore[misc]
    future.add_done_callback(removed := lambda f: trace("removed"))
    trace("removed", future.remove_done_callback(removed))
    future.set_result("result")
    trace("set")
    await asyncio.sleep(0)
    trace("a turn later")
    future.add_done_callback(lambda f: trace("late callback"))
    trace("added late")
    await asyncio.sleep(0)


@twin
async def test_done_callbacks_run_in_their_contexts(trace: Trace) -> None:
    variable = contextvars.ContextVar("variable", default="unset")
    future = asyncio.get_running_loop().create_future()
    given = contextvars.copy_context()
    given.run(variable.set, "given")
    future.add_done_callback(lambda f: trace("explicit", variable.get()), context=given)
    variable.set("current")
    future.add_done_callback(lambda f: trace("copied", variable.get()))
    variable.set("later")
    future.set_result(None)
    await asyncio.sleep(0)


@twin
async def test_names_of_tasks(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    named = loop.create_task(asyncio.sleep(0), name="a name")
    unnamed = loop.create_task(asyncio.sleep(0))
    numbered = loop.create_task(asyncio.sleep(0), name=5)  # type: ignore[arg-type]
    trace("names", named.get_name(), numbered.get_name(), unnamed.get_name().startswith("Task-"))
    unnamed.set_name("set later")
    trace("name", unnamed.get_name())
    await asyncio.gather(named, unnamed, numbered)


@twin
async def test_tasks_run_in_the_context_they_were_given(trace: Trace) -> None:
    variable = contextvars.ContextVar("variable", default="unset")

    async def look(what: str) -> None:
        trace(what, variable.get())
        variable.set(f"set by {what}")
        await asyncio.sleep(0)
        trace(what, variable.get())

    loop = asyncio.get_running_loop()
    given = contextvars.copy_context()
    given.run(variable.set, "given")
    await loop.create_task(look("explicit"), context=given)
    trace("the given context", given[variable])
    await loop.create_task(look("copied"))
    trace("outside", variable.get())


@twin
async def test_current_and_all_tasks(trace: Trace) -> None:
    async def look() -> None:
        current = asyncio.current_task()
        assert current is not None
        trace("current", current.get_name())
        trace("all", sorted(task.get_name() for task in asyncio.all_tasks() if task is not main))

    main = asyncio.current_task()
    loop = asyncio.get_running_loop()
    tasks = [asyncio.create_task(look(), name=name) for name in ("one", "two")]
    loop.call_soon(lambda: trace("in a callback", asyncio.current_task(loop)))
    await asyncio.gather(*tasks)
    trace("afterwards", asyncio.all_tasks() == {main})


@twin
async def test_factory_is_given_what_the_caller_gave(trace: Trace) -> None:
    loop = asyncio.get_running_loop()

    def factory(loop: Loop, coroutine: Any, **kwargs: Any) -> asyncio.Task[Any]:
        trace("factory", sorted(kwargs))
        return asyncio.Task(coroutine, loop=loop, **kwargs)

    loop.set_task_factory(factory)
    trace("set", loop.get_task_factory() is factory)
    await loop.create_task(asyncio.sleep(0))
    await loop.create_task(asyncio.sleep(0), name="name")
    await loop.create_task(asyncio.sleep(0), context=contextvars.copy_context())
    await asyncio.create_task(asyncio.sleep(0), name="name")
    await asyncio.gather(asyncio.sleep(0), asyncio.sleep(0))
    await asyncio.wait_for(asyncio.sleep(0), 1)
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(0), name="in a group")
    loop.set_task_factory(None)
    trace("reset", loop.get_task_factory())


@twin
async def test_factory_may_give_any_future(trace: Trace) -> None:
    class Mine(asyncio.Task[Any]):
        pass

    loop = asyncio.get_running_loop()
    loop.set_task_factory(lambda loop, coroutine, **kw: Mine(coroutine, loop=loop, **kw))
    task = loop.create_task(asyncio.sleep(0, "result"))
    trace("type", type(task), await task)
    loop.set_task_factory(None)


@twin
def test_factory_must_be_callable(trace: Trace, loop: Loop) -> None:
    for wrong in (5, "text", object()):
        with trace.raises():
            loop.set_task_factory(wrong)  # type: ignore[arg-type]


@twin
async def test_a_factory_that_fails_fails_create_task(trace: Trace) -> None:
    loop = asyncio.get_running_loop()

    def factory(loop: Loop, coroutine: Any, **kwargs: Any) -> Any:
        raise ValueError("no tasks today")

    loop.set_task_factory(factory)
    coroutine = asyncio.sleep(0)
    trace.call(loop.create_task, coroutine)
    loop.set_task_factory(None)
    coroutine.close()


@twin
async def test_create_task_refuses_what_is_no_coroutine(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    for value in (None, 5, print, loop.create_future()):
        trace.call(loop.create_task, value)
    coroutine = asyncio.sleep(0)
    trace.call(loop.create_task, coroutine, unknown=5)
    coroutine.close()


@since_312
@twin
async def test_eager_tasks_start_at_once(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    loop.set_task_factory(asyncio.eager_task_factory)
    task = loop.create_task(steps(trace, "eager"))
    trace("created")
    trace("result", await task)
    done = loop.create_task(steps(trace, "no await", 0))
    trace("done at once", done.done())
    trace("in all_tasks", done in asyncio.all_tasks())


@since_312
@twin
async def test_an_eager_task_that_fails_holds_its_exception(trace: Trace) -> None:
    async def fail() -> None:
        raise ValueError("at once")

    loop = asyncio.get_running_loop()
    loop.set_task_factory(asyncio.eager_task_factory)
    task = loop.create_task(fail())
    trace("done", task.done(), task.exception())


@since_312
@twin
async def test_current_task_inside_an_eager_start(trace: Trace) -> None:
    async def look() -> None:
        current = asyncio.current_task()
        assert current is not None
        trace("inside", current.get_name())
        await asyncio.sleep(0)
        trace("inside", current is asyncio.current_task())

    loop = asyncio.get_running_loop()
    loop.set_task_factory(asyncio.eager_task_factory)
    before = asyncio.current_task()
    task = loop.create_task(look(), name="eager")
    trace("outside is as before", asyncio.current_task() is before)
    await task


@since_314
@twin
async def test_eager_start_without_and_against_the_factory(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    task = loop.create_task(steps(trace, "eager by keyword"), eager_start=True)
    trace("created")
    await task
    loop.set_task_factory(asyncio.eager_task_factory)
    task = loop.create_task(steps(trace, "lazy by keyword"), eager_start=False)
    trace("created")
    await task


@twin
async def test_cancel_before_the_first_step(trace: Trace) -> None:
    task = asyncio.create_task(steps(trace, "never"))
    trace("cancel", task.cancel("message"))
    with trace.raises():
        await task
    trace("state", task.done(), task.cancelled(), task.cancel())


@twin
async def test_cancel_while_waiting(trace: Trace) -> None:
    async def wait() -> None:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError as error:
            trace("inside", error)
            raise
        finally:
            await asyncio.sleep(0)
            trace("cleaned up")

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel("reason")
    with trace.raises():
        await task


@twin
async def test_a_task_can_refuse_to_be_cancelled(trace: Trace) -> None:
    async def stubborn() -> str:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            assert task is not None
            trace("counts", task.cancelling(), task.uncancel())
        await asyncio.sleep(0)
        return "still here"

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    task.cancel()
    trace("result", await task, task.cancelled())


@twin
async def test_cancelling_the_awaiter_cancels_the_awaited(trace: Trace) -> None:
    async def inner() -> None:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            trace("inner cancelled")
            raise

    inner_task = asyncio.create_task(inner())
    outer_task = asyncio.create_task(asyncio.wait_for(inner_task, 10))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    outer_task.cancel()
    with trace.raises("outer"):
        await outer_task
    trace("inner", inner_task.cancelled())


@twin
async def test_shield_keeps_the_inner_task(trace: Trace) -> None:
    inner = asyncio.create_task(asyncio.sleep(0.01, "kept"))
    outer = asyncio.ensure_future(asyncio.shield(inner))
    await asyncio.sleep(0)
    outer.cancel()
    with trace.raises("outer"):
        await outer
    trace("inner", await inner)


@twin
async def test_task_group_cancels_the_rest(trace: Trace) -> None:
    async def fail() -> None:
        await asyncio.sleep(0.001)
        raise ValueError("one fails")

    async def wait(name: str) -> None:
        try:
            await asyncio.sleep(10)
        finally:
            ended.add(name)

    ended: set[str] = set()
    with trace.raises():
        async with asyncio.TaskGroup() as group:
            group.create_task(wait("a"))
            group.create_task(fail())
            group.create_task(wait("b"))
    # The group keeps its tasks in a set: their order is nobody's promise.
    trace("ended", ended)


@twin
async def test_gather_and_wait_order(trace: Trace) -> None:
    async def after(milliseconds: int) -> int:
        await asyncio.sleep(milliseconds / 1000)
        if milliseconds == 20:
            raise ValueError(milliseconds)
        return milliseconds

    results = await asyncio.gather(*map(after, (30, 20, 10)), return_exceptions=True)
    trace("gather", results)
    tasks = [asyncio.create_task(after(ms)) for ms in (30, 1, 20)]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    trace("first", [task.result() for task in done], len(pending))
    await asyncio.wait(pending)
    for next_one in asyncio.as_completed([after(15), after(5)]):
        trace("as completed", await next_one)
    tasks[2].exception()


@twin
async def test_a_bare_yield_is_one_turn(trace: Trace) -> None:
    class Bare:
        def __await__(self) -> Generator[None]:
            yield

    async def count(name: str) -> None:
        for number in range(3):
            trace(name, number)
            await Bare()

    await asyncio.gather(count("a"), count("b"))


@twin
async def test_yielding_nonsense_fails_the_task(trace: Trace) -> None:
    class Yields:
        def __init__(self, value: object) -> None:
            self.value = value

        def __await__(self) -> Generator[Any]:
            yield self.value

    async def wait_for(value: object) -> None:
        await Yields(value)

    for value in (5, "text", object):
        with trace.raises():
            await asyncio.create_task(wait_for(value))
    future = asyncio.get_running_loop().create_future()
    with trace.raises("a future without await"):
        await asyncio.create_task(wait_for(future))


@twin
async def test_awaiting_a_future_of_another_loop_fails(trace: Trace) -> None:
    other = asyncio.SelectorEventLoop()
    future = other.create_future()

    async def wait() -> None:
        await future

    task = asyncio.create_task(wait(), name="task")
    try:
        await task
    except RuntimeError as error:
        trace("refused", "attached to a different loop" in str(error))
    other.close()


@twin
async def test_a_task_cannot_await_itself(trace: Trace) -> None:
    async def wait() -> None:
        await task

    task = asyncio.create_task(wait(), name="self")
    try:
        await task
    except RuntimeError as error:
        trace("refused", str(error).split(":")[0])


@twin
def test_futures_of_the_loop(trace: Trace, loop: Loop) -> None:
    future = loop.create_future()
    trace("loop", future.get_loop() is loop, isinstance(future, asyncio.Future))
    with trace.raises("pending"):
        future.result()
    future.set_result(5)
    with trace.raises("again"):
        future.set_result(6)
    trace("result", future.result(), future.exception())
    failed = loop.create_future()
    for wrong in (StopIteration(), "text", int):
        with trace.raises("set_exception"):
            failed.set_exception(wrong)  # type: ignore[arg-type]
    failed.cancel()


@twin
async def test_run_coroutine_threadsafe(trace: Trace) -> None:
    loop = asyncio.get_running_loop()

    async def work() -> str:
        await asyncio.sleep(0)
        trace("ran on the loop", asyncio.get_running_loop() is loop)
        return "result"

    def ask() -> str:
        return asyncio.run_coroutine_threadsafe(work(), loop).result(10)

    trace("result", await asyncio.to_thread(ask))

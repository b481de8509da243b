"""Tasks and futures that the loop makes, with each other and with those that others make.

On the reference all of them are asyncio's C types. On ferrio what comes from the loop is its own,
and nobody may be able to tell.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import io
import sys
import weakref
from collections.abc import Callable, Generator
from typing import Any

import pytest

from .trace import Trace
from .twin import Loop, twin

since_312 = pytest.mark.skipif(sys.version_info < (3, 12), reason="came with 3.12")
since_314 = pytest.mark.skipif(sys.version_info < (3, 14), reason="came with 3.14")

futures: Any = asyncio.futures
tasks: Any = asyncio.tasks

# Who makes the future, and who makes the task. 3.14's pure-Python tasks have a `current_task` of
# their own, which C code does not know.
FUTURES: dict[str, Callable[[Loop], Any]] = {
    "loop": lambda loop: loop.create_future(),
    "C": lambda loop: asyncio.Future(loop=loop),
    "Python": lambda loop: futures._PyFuture(loop=loop),
}
TASKS: dict[str, Callable[..., Any]] = {
    "loop": lambda coro, loop: loop.create_task(coro),
    "C": lambda coro, loop: asyncio.Task(coro, loop=loop),
}
if sys.version_info < (3, 14):
    TASKS["Python"] = lambda coro, loop: tasks._PyTask(coro, loop=loop)

every_pair = pytest.mark.parametrize(
    ("kind_of_task", "kind_of_future"), [(t, f) for t in TASKS for f in FUTURES]
)


class Broken(Exception):
    pass


async def settle(turns: int = 4) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)


def shown(future: Any) -> tuple[Any, ...]:
    """All there is to ask a future."""
    state = (future.done(), future.cancelled(), future._state, future._asyncio_future_blocking)
    if not future.done() or future.cancelled():
        return state
    return (*state, future.exception(), future._result, future._log_traceback)


@every_pair
@twin
async def test_outcomes_reach_who_waits(
    trace: Trace, kind_of_task: str, kind_of_future: str
) -> None:
    loop = asyncio.get_running_loop()

    async def waits(name: str, future: Any) -> Any:
        try:
            trace(name, "got", await future)
        except BaseException as error:
            trace(name, "raised", error)
            raise
        return name

    outcomes: dict[str, Callable[[Any], object]] = {
        "result": lambda future: future.set_result(name),
        "none": lambda future: future.set_result(None),
        "tuple": lambda future: future.set_result((1, 2)),
        "instance": lambda future: future.set_exception(Broken("broken")),
        "class": lambda future: future.set_exception(Broken),
        "cancel": lambda future: future.cancel(),
        "message": lambda future: future.cancel("a message"),
    }
    for name, finish in outcomes.items():
        future = FUTURES[kind_of_future](loop)
        task = TASKS[kind_of_task](waits(name, future), loop)
        trace(name, "created", shown(task), shown(future))
        await settle(1)
        trace(name, "waits", shown(task), shown(future), task._fut_waiter is future)
        trace(name, "callbacks", len(future._callbacks))
        finish(future)
        trace(name, "finished", shown(task), task._fut_waiter is future)
        with trace.raises("outcome"):
            trace("result", await task)
        trace(name, "end", shown(task), shown(future), task._fut_waiter)
        # An exception of an unfinished twin would be reported.
        with trace.raises("again"):
            trace("result", await future)


@every_pair
@twin
async def test_cancelling_goes_down_and_up(
    trace: Trace, kind_of_task: str, kind_of_future: str
) -> None:
    loop = asyncio.get_running_loop()

    async def stubborn(future: Any) -> str:
        try:
            await future
        except asyncio.CancelledError as error:
            trace("cancelled", error, error.args)
        await asyncio.sleep(0)
        return "survived"

    async def gentle(future: Any) -> None:
        try:
            await future
        finally:
            trace("finally", future.cancelled())

    for body in (stubborn, gentle):
        for message in ((), ("a message",)):
            future = FUTURES[kind_of_future](loop)
            task = TASKS[kind_of_task](body(future), loop)
            await settle(1)
            trace("cancel", task.cancel(*message), task.cancelling(), task._must_cancel)
            trace("again", task.cancel(*message), task.cancelling(), future.cancelled())
            with trace.raises("outcome"):
                trace("result", await task)
            trace("uncancel", task.uncancel(), task.uncancel(), task.uncancel())
            trace("late", task.cancel(), shown(task))


@every_pair
@twin
async def test_combinators(trace: Trace, kind_of_task: str, kind_of_future: str) -> None:
    loop = asyncio.get_running_loop()
    make_future, make_task = FUTURES[kind_of_future], TASKS[kind_of_task]

    async def returns(value: object) -> object:
        await asyncio.sleep(0)
        return value

    async def fails() -> None:
        await asyncio.sleep(0)
        raise Broken("broken")

    future = make_future(loop)
    loop.call_soon(future.set_result, "future")
    trace("gather", await asyncio.gather(make_task(returns(1), loop), future, returns(2)))
    with trace.raises("gather"):
        await asyncio.gather(make_task(fails(), loop), make_task(returns(1), loop))
    with_error = asyncio.gather(make_task(fails(), loop), returns(1), return_exceptions=True)
    trace("gather", await with_error)

    first, second = make_future(loop), make_future(loop)
    loop.call_soon(first.set_result, 1)
    done, pending = await asyncio.wait([first, second], return_when="FIRST_COMPLETED")
    trace("wait", first in done, second in pending)
    second.cancel()

    future = make_future(loop)
    inner = make_task(returns("inner"), loop)
    shield = make_task(waiting(asyncio.shield(inner)), loop)
    await settle(1)
    shield.cancel()
    with trace.raises("shield"):
        await shield
    trace("inner", await inner)

    with trace.raises("wait_for"):
        await asyncio.wait_for(future, 0)
    trace("future", future.cancelled())
    trace("wait_for", await asyncio.wait_for(make_task(returns(3), loop), 10))
    with trace.raises("timeout"):
        async with asyncio.timeout(0):
            await make_future(loop)

    parts = [make_task(returns(number), loop) for number in range(3)]
    trace("as_completed", sorted([await part for part in asyncio.as_completed(parts)]))

    with trace.raises("group"):
        async with asyncio.TaskGroup() as group:
            other = group.create_task(waiting(make_future(loop)))
            group.create_task(fails())
    trace("other", other.cancelled())


async def waiting(future: Any) -> Any:
    return await future


@every_pair
@twin
async def test_several_wait_in_order(trace: Trace, kind_of_task: str, kind_of_future: str) -> None:
    loop = asyncio.get_running_loop()
    future = FUTURES[kind_of_future](loop)

    async def waits(name: str) -> None:
        trace(name, await future)

    waiters = [TASKS[kind_of_task](waits(f"first {number}"), loop) for number in range(2)]
    await settle(1)
    future.add_done_callback(lambda f: trace("callback", f is future))
    removed = lambda f: trace("removed")  # noqa: E731
    future.add_done_callback(removed)
    future.add_done_callback(removed)
    waiters += [TASKS[kind_of_task](waits(f"second {number}"), loop) for number in range(2)]
    await settle(1)
    trace("removed", future.remove_done_callback(removed), len(future._callbacks))
    cancelled = waiters.pop(1)
    # Down to the future, which belongs to all of them.
    shielded = TASKS[kind_of_task](waiting(asyncio.shield(future)), loop)
    await settle(1)
    shielded.cancel()
    future.set_result("value")
    await asyncio.gather(*waiters, cancelled)
    with trace.raises("shielded"):
        await shielded


@every_pair
@twin
async def test_a_task_with_another_loops_future(
    trace: Trace, kind_of_task: str, kind_of_future: str
) -> None:
    loop = asyncio.get_running_loop()
    other = type(loop)()
    try:
        future = FUTURES[kind_of_future](other)
        task = TASKS[kind_of_task](waiting(future), loop)
        with pytest.raises(RuntimeError) as info:
            await task
        trace("raised", "attached to a different loop" in str(info.value))
        future.cancel()
    finally:
        other.close()


class Bare:
    """Yields what it is told to."""

    def __init__(self, *yielded: object) -> None:
        self.yielded = yielded

    def __await__(self) -> Generator[Any, Any, str]:
        yield from self.yielded
        return "end"


async def bare(*yielded: object) -> str:
    return await Bare(*yielded)


def a_generator() -> Generator[None, None, None]:
    yield


@pytest.mark.parametrize("kind_of_task", TASKS)
@twin
async def test_what_may_not_be_yielded(trace: Trace, kind_of_task: str) -> None:
    loop = asyncio.get_running_loop()
    trace("nothing", await TASKS[kind_of_task](bare(None, None), loop))
    for value in (1, "text", a_generator(), loop.create_future(), asyncio.Future()):
        with trace.raises("bad"):
            await TASKS[kind_of_task](bare(value), loop)

    async def on_itself() -> None:
        await task

    task = TASKS[kind_of_task](on_itself(), loop)
    with trace.raises("itself"):
        await task


@pytest.mark.parametrize("kind_of_task", TASKS)
@twin
async def test_current_task(trace: Trace, kind_of_task: str) -> None:
    loop = asyncio.get_running_loop()
    current = asyncio.current_task

    async def looks(name: str) -> None:
        for number in range(3):
            trace(name, number, current() is made[name], current(loop) is made[name])
            loop.call_soon(lambda: trace("callback", current()))
            await asyncio.sleep(0)

    made = {name: TASKS[kind_of_task](looks(name), loop) for name in "ab"}
    made["loop"] = loop.create_task(looks("loop"))
    made["C"] = asyncio.Task(looks("C"), loop=loop)
    await asyncio.gather(*made.values())
    trace("main", current() is not None, current() in made.values())
    loop.call_soon(lambda: trace("after", current()))
    await settle(1)


@twin
def test_no_task_is_current_outside_of_one(trace: Trace, loop: Loop) -> None:
    async def stops() -> None:
        await asyncio.sleep(0)
        loop.stop()

    task = loop.create_task(stops())
    loop.run_forever()
    trace("between", asyncio.current_task(loop), task.done())
    trace("all", len(asyncio.all_tasks(loop)))
    loop.run_until_complete(task)

    async def interrupts() -> None:
        raise KeyboardInterrupt

    task = loop.create_task(interrupts())
    with trace.raises("run_forever"):
        loop.run_forever()
    trace("interrupted", asyncio.current_task(loop), shown(task))
    loop.run_until_complete(asyncio.sleep(0))


@twin
async def test_all_tasks(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    before = asyncio.all_tasks()
    future = loop.create_future()
    made = [loop.create_task(waiting(future), name=f"task {n}") for n in range(3)]
    made.append(asyncio.Task(waiting(future), loop=loop, name="C"))
    trace("created", sorted(task.get_name() for task in asyncio.all_tasks() - before))
    await settle(1)
    made[0].cancel()
    trace("cancelled", sorted(task.get_name() for task in asyncio.all_tasks() - before))
    await settle(2)
    trace("gone", sorted(task.get_name() for task in asyncio.all_tasks() - before))
    del made[0]
    reference = weakref.ref(made[0])
    made.clear()
    await settle(2)
    # Cancelling the first has cancelled the future.
    trace("all gone", len(asyncio.all_tasks() - before), reference() is None)


@twin
async def test_names_and_contexts(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    variable = contextvars.ContextVar("variable", default="default")
    variable.set("mine")

    async def reads() -> tuple[str, str]:
        seen = variable.get()
        variable.set("changed")
        await asyncio.sleep(0)
        return seen, variable.get()

    class Named:
        def __str__(self) -> str:
            return "by str()"

    task = loop.create_task(reads(), name=Named())  # type: ignore[arg-type]
    trace("name", task.get_name(), await task)
    task.set_name(3)
    trace("name", task.get_name())
    context = contextvars.copy_context()
    context.run(variable.set, "given")
    task = loop.create_task(reads(), context=context)
    trace("context", await task, context[variable], variable.get())
    if sys.version_info >= (3, 12):
        trace("get_context", task.get_context() is context)
    task = loop.create_task(reads())
    trace("automatic", task.get_name().startswith("Task-"), await task)


@twin
async def test_bad_arguments(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    for bad in (None, 1, asyncio.sleep, loop.create_future()):
        with pytest.raises(TypeError, match="coroutine was expected"):
            loop.create_task(bad)  # type: ignore[arg-type]  # noqa: RUF006
        trace("refused", type(bad))
    future = loop.create_future()
    with trace.raises():
        future.set_exception(1)  # type: ignore[arg-type]
    with trace.raises():
        future.set_exception(StopIteration())
    trace("state", future.done(), type(future.exception()) if future.done() else None)
    future = loop.create_future()
    with trace.raises():
        future.result()
    with trace.raises():
        future.exception()
    future.set_result(1)
    with trace.raises():
        future.set_result(2)
    with trace.raises():
        future.set_exception(Broken())
    for call in (
        lambda: future.set_result(),  # type: ignore[call-arg]
        lambda: future.set_result(1, 2),  # type: ignore[call-arg]
        lambda: future.set_result(result=1),  # type: ignore[call-arg]
    ):
        with pytest.raises(TypeError):
            call()  # type: ignore[no-untyped-call]

    async def body() -> None:
        pass

    task = loop.create_task(body())
    with trace.raises():
        task.set_result(None)
    with trace.raises():
        task.set_exception(Broken())
    await task


@twin
async def test_an_iterator_of_a_future(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    for value in ("value", None, (1, 2), Broken("as a result")):
        future = loop.create_future()
        iterator: Any = future.__await__()
        trace("first", next(iterator) is future, future._asyncio_future_blocking)
        with trace.raises("not waited for"):
            iterator.send(None)
        future.set_result(value)
        try:
            iterator.send(1)
        except StopIteration as stop:
            trace("stop", stop.value)
    future = loop.create_future()
    iterator = iter(future)
    for arguments in ((Broken,), (Broken("instance"),), (1,), (Broken("x"), 1), ()):
        with pytest.raises((Broken, TypeError, DeprecationWarning)) as info:
            iterator.throw(*arguments)
        trace("throw", len(arguments), info.value)
    trace("close", iterator.close())
    with trace.raises("closed"):
        next(iterator)
    future.cancel()
    with trace.raises("cancelled"):
        next(iter(future))


@twin
def test_what_is_reported(trace: Trace, loop: Loop) -> None:
    loop.set_exception_handler(trace.exception_handler)

    async def fails() -> None:
        raise Broken("in a task")

    def forgotten() -> None:
        loop.create_future().set_exception(Broken("in a future"))
        quiet = loop.create_future()
        quiet.set_exception(Broken("asked for"))
        quiet.exception()
        loop.create_task(fails())

    loop.call_soon(forgotten)
    loop.run_until_complete(settle())
    gc.collect()

    future: Any = loop.create_future()
    pending: Any = loop.create_task(waiting(future))
    loop.run_until_complete(settle(1))
    del future, pending
    gc.collect()
    pending = loop.create_task(waiting(loop.create_future()))
    loop.run_until_complete(settle(1))
    pending._log_destroy_pending = False
    del pending
    gc.collect()
    trace("all", len(asyncio.all_tasks(loop)))


@twin
def test_what_a_callback_raises(trace: Trace, loop: Loop) -> None:
    loop.set_exception_handler(trace.exception_handler)
    future = loop.create_future()

    def callback(future: Any) -> None:
        raise Broken("in a callback")

    future.add_done_callback(callback)
    future.add_done_callback(lambda f: trace("next one runs"))
    future.set_result(None)
    loop.run_until_complete(settle(1))


@twin
def test_a_context_that_is_entered_already(trace: Trace, loop: Loop) -> None:
    trace_handler = lambda loop, context: trace("handler", context["exception"])  # noqa: E731
    # Not in the context that is entered: the handler would be in trouble, too.
    context = contextvars.copy_context()
    loop.set_exception_handler(trace_handler)

    async def body() -> str:
        return "ran"

    def in_context() -> None:
        with trace.raises():
            loop.run_until_complete(asyncio.sleep(0))

    task: Any = loop.create_task(body(), context=context)
    context.run(in_context)
    trace("task", task.done())
    task._log_destroy_pending = False
    coro = task.get_coro()
    del task
    coro.close()
    trace("usable", loop.run_until_complete(body()))


@twin
async def test_representations(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    trace("future", repr(future))
    task = loop.create_task(waiting(future), name="named")
    trace("task", repr(task))
    await settle(1)
    trace("waited for", repr(future), repr(task))
    future.add_done_callback(print)
    trace("two", repr(future))
    future.remove_done_callback(print)
    future.set_result("value")
    trace("done", repr(future), repr(task))
    await task
    trace("done", repr(task))
    cancelled = loop.create_future()
    cancelled.cancel()
    trace("cancelled", repr(cancelled))
    failed = loop.create_future()
    failed.set_exception(Broken("broken"))
    trace("failed", repr(failed), failed.exception())


@twin
async def test_stacks(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    task = loop.create_task(waiting(future))
    await settle(1)
    trace("suspended", [frame.f_code.co_name for frame in task.get_stack()])
    stream = io.StringIO()
    task.print_stack(file=stream)
    trace("printed", stream.getvalue().splitlines()[1:])
    trace("coro", task.get_coro().__qualname__)  # type: ignore[union-attr]
    future.set_exception(Broken("broken"))
    with trace.raises():
        await task
    trace("failed", [frame.f_code.co_name for frame in task.get_stack()])


@twin
async def test_subclasses(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    future_class: Any = type(loop.create_future())
    trace(
        "is a", issubclass(future_class, asyncio.Future), isinstance(future_class(), asyncio.Future)
    )

    class Counting(future_class):  # type: ignore[misc]
        calls = 0

        def add_done_callback(self, *args: Any, **kwargs: Any) -> None:
            self.calls += 1
            super().add_done_callback(*args, **kwargs)

        def result(self) -> Any:
            self.calls += 1
            return super().result()

    future = Counting()
    future.attribute = "kept"
    task = loop.create_task(waiting(future))
    await settle(1)
    future.set_result("value")
    trace("result", await task, future.calls, future.attribute)

    task_class: Any = type(task)

    class Slow(task_class):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.made = True

    async def body() -> str:
        await asyncio.sleep(0)
        return await waiting(inner)  # type: ignore[no-any-return]

    inner = loop.create_future()
    slow = Slow(body(), loop=loop, name="slow")
    loop.call_later(0, inner.set_result, "inner")
    trace("task", slow.made, slow.get_name(), await slow, isinstance(slow, asyncio.Task))
    blank: Any = task_class.__new__(task_class)
    trace("blank", blank.done(), blank.cancelled(), blank._coro, blank.get_name())
    for method in ("result", "exception", "cancel", "get_loop"):
        with trace.raises(method):
            trace("blank", getattr(blank, method)())
    blank = future_class.__new__(future_class)
    with trace.raises():
        blank.set_result(1)
    with trace.raises():
        iter(blank)


@twin
async def test_unbound_methods_of_asyncios_types(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    task = loop.create_task(waiting(future))
    trace("done", asyncio.Future.done(future), asyncio.Task.get_name(task) == task.get_name())
    await settle(1)
    asyncio.Future.set_result(future, "unbound")
    trace("result", await task, asyncio.Future.result(future), asyncio.Task.get_coro(task) is None)
    if sys.version_info >= (3, 12):
        trace("context", type(asyncio.Task.get_context(task)))
    with pytest.raises(TypeError):
        asyncio.Task.get_name(future)  # type: ignore[arg-type]


@twin
async def test_replaced_call_soon_sees_every_step(trace: Trace) -> None:
    loop: Any = asyncio.get_running_loop()
    original = loop.call_soon
    future = loop.create_future()
    task = loop.create_task(waiting(future))
    await settle(1)

    def call_soon(callback: Any, *args: Any, **kwargs: Any) -> Any:
        trace("call_soon", len(args), sorted(kwargs))
        return original(callback, *args, **kwargs)

    loop.call_soon = call_soon
    try:
        future.set_result("value")
        trace("result", await task)
        await asyncio.sleep(0)
    finally:
        del loop.call_soon
    await settle(1)


@twin
def test_debug_mode_turned_on_while_tasks_wait(trace: Trace, loop: Loop) -> None:
    future = loop.create_future()
    task = loop.create_task(waiting(future))
    loop.run_until_complete(settle(1))
    loop.set_debug(True)
    loop.call_soon(future.set_result, "value")
    trace("result", loop.run_until_complete(task))
    made = loop.create_task(settle())
    trace("traceback", made._source_traceback is not None, future._source_traceback)  # type: ignore[attr-defined]
    loop.run_until_complete(made)
    loop.set_debug(False)
    loop.run_until_complete(settle())


@twin
def test_on_a_closed_loop(trace: Trace, loop: Loop) -> None:
    future = loop.create_future()
    task: Any = loop.create_task(waiting(future))
    loop.run_until_complete(settle(1))
    loop.close()
    with trace.raises("set_result"):
        future.set_result("value")
    trace("state", future.done(), task.done())
    coro = waiting(None)
    with trace.raises("create_task"):
        loop.create_task(coro)
    coro.close()
    trace("create_future", loop.create_future().done())
    task._log_destroy_pending = False


@since_312
@twin
async def test_eager_tasks_of_the_loop(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    loop.set_task_factory(asyncio.eager_task_factory)
    future = loop.create_future()

    async def body() -> Any:
        trace("current", asyncio.current_task() is not outer)
        return await future

    outer = asyncio.current_task()
    task = loop.create_task(body())
    trace("started", task._fut_waiter is future, asyncio.current_task() is outer)  # type: ignore[attr-defined]
    future.set_result("value")
    trace("result", await task)
    loop.set_task_factory(None)
    task = loop.create_task(body())
    trace("lazy again", task.done(), await task)


@since_314
@twin
async def test_the_call_graph(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    future = loop.create_future()

    async def leaf() -> None:
        await future

    async def branch() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(leaf(), name="leaf 1")
            group.create_task(leaf(), name="leaf 2")

    task = loop.create_task(branch(), name="branch")
    await settle(2)
    graph: Any = asyncio.capture_call_graph(future)  # type: ignore[attr-defined]
    trace("waits", sorted(part.future.get_name() for part in graph.awaited_by))
    for part in graph.awaited_by:
        trace("by", [above.future.get_name() for above in part.awaited_by])
    future.set_result(None)
    await task
    trace("nobody", asyncio.capture_call_graph(future))  # type: ignore[attr-defined]


@twin
async def test_who_is_asked_for_a_result_is_asked_by_no_task(trace: Trace) -> None:
    """The task that waited has not been entered yet, and the one before it has been left."""
    loop = asyncio.get_running_loop()

    class Own(asyncio.Future):  # type: ignore[type-arg]
        def result(self) -> Any:
            task = asyncio.current_task()
            trace("asked by", task and task.get_name())
            return super().result()

    class OwnTask(asyncio.Task):  # type: ignore[type-arg]
        def result(self) -> Any:
            task = asyncio.current_task()
            trace("task asked by", task and task.get_name())
            return super().result()

    async def waits(future: Any) -> None:
        await future
        task = asyncio.current_task()
        trace("goes on in", task and task.get_name())

    async def nothing() -> None:
        pass

    future = Own(loop=loop)
    waiting = loop.create_task(waits(future), name="waits")
    await settle()
    before = loop.create_task(nothing(), name="before")
    future.set_result(1)
    await asyncio.wait([waiting, before])
    own: Any = OwnTask(nothing(), loop=loop, name="own")
    await asyncio.wait([loop.create_task(waits(own), name="waits for a task")])

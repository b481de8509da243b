"""Locks: who gets in when, what cancelling does at every await, and what one sees of it."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import gc
import inspect
import math
from collections.abc import Callable
from typing import Any

import pytest

from .trace import Trace
from .twin import twin

LOCKS = ("Lock", "Condition", "Semaphore", "BoundedSemaphore")
every_lock = pytest.mark.parametrize("name", LOCKS)
every_class = pytest.mark.parametrize("name", [*LOCKS, "Event", "Barrier"])


def make(aio: Any, name: str) -> Any:
    return aio.Barrier(2) if name == "Barrier" else getattr(aio, name)()


async def settle(turns: int = 4) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)


class Broken(BaseException):
    pass


# What is seen of them.


@twin
@every_class
async def test_classes(trace: Trace, aio: Any, name: str) -> None:
    lock, theirs = make(aio, name), getattr(asyncio, name)
    trace("is one of asyncio's:", isinstance(lock, theirs))
    trace(repr(lock))
    trace("attributes:", sorted(n for n in dir(theirs) if not n.startswith("__")))
    lacking = [n for n in (*dir(theirs), "_loop") if not hasattr(lock, n)]
    trace("lacking:", lacking)
    for method in ("acquire", "wait", "wait_for", "__aenter__", "__aexit__", "release", "locked"):
        function = getattr(theirs, method, None)
        if function is not None:
            ours = getattr(type(lock), method)
            trace(method, inspect.iscoroutinefunction(ours), asyncio.iscoroutinefunction(ours))


@twin
@every_class
async def test_arguments(trace: Trace, aio: Any, name: str) -> None:
    cls = getattr(aio, name)
    with trace.raises():
        cls(loop=None)
    if name != "Condition":
        with trace.raises():
            cls("x")
        with trace.raises():
            cls(None)
    if name in ("Semaphore", "BoundedSemaphore", "Barrier"):
        for number in (-1, 0, 1.5, True, math.inf, 1 << 70):
            with trace.raises(f"{number}"):
                trace(repr(cls(number)))
    lock = make(aio, name)
    for method in ("acquire", "wait", "__aenter__"):
        if hasattr(lock, method):
            with trace.raises(method):
                getattr(lock, method)(x=1)
    if hasattr(lock, "wait_for"):
        given: list[tuple[Any, Any]] = [((), {}), ((1,), {"predicate": 2}), ((), {"x": 2})]
        for args, kwargs in [*given, ((1, 2), {})]:
            with trace.raises("wait_for"):
                lock.wait_for(*args, **kwargs)
        lock.wait_for(predicate=lambda: True).close()
    if name != "Barrier" and hasattr(lock, "__aexit__"):
        given = [((), {}), ((1, 2), {}), ((1,), {"tb": 2}), ((1, 2, 3, 4), {})]
        for args, kwargs in given:
            with trace.raises("__aexit__"):
                lock.__aexit__(*args, **kwargs)
        lock.__aexit__(None, exc=None, tb=None).close()


@twin
@every_lock
async def test_never_awaited(trace: Trace, aio: Any, name: str) -> None:
    lock = make(aio, name)
    for method in ("acquire", "__aenter__", "wait"):
        if hasattr(lock, method):
            coroutine = getattr(lock, method)()
            trace(coroutine.__name__, coroutine.__qualname__)
            del coroutine
    lock.__aexit__(None, None, None)
    trace(repr(lock))


@twin
@every_lock
async def test_nothing_happens_before_the_first_step(trace: Trace, aio: Any, name: str) -> None:
    lock = make(aio, name)
    enter = lock.__aenter__()
    trace(lock.locked())
    trace("entered:", await enter)
    trace(lock.locked())
    leave = lock.__aexit__(None, None, None)
    trace(lock.locked())
    trace("left:", await leave)
    trace(lock.locked())


@twin
async def test_releasing_what_nobody_has(trace: Trace, aio: Any) -> None:
    for name in LOCKS:
        lock = make(aio, name)
        with trace.raises(name):
            lock.release()
        trace(repr(lock))
    condition = aio.Condition()
    with trace.raises("wait"):
        await condition.wait()
    for method in ("notify", "notify_all"):
        with trace.raises(method):
            getattr(condition, method)()


@twin
@pytest.mark.parametrize("value", [math.inf, 1.5, 1 << 70, True])
async def test_semaphores_of_other_numbers(trace: Trace, aio: Any, value: Any) -> None:
    semaphore = aio.Semaphore(value)
    for _ in range(2):
        await semaphore.acquire()
        trace(repr(semaphore), semaphore._value)
        semaphore.release()
        trace(repr(semaphore), semaphore._value)


# Turns.


@twin
@every_lock
async def test_first_come_first_served(trace: Trace, aio: Any, name: str) -> None:
    lock = make(aio, name)

    async def work(number: int) -> None:
        for round in range(3):
            async with lock:
                trace(number, round, repr(lock))
                await settle(number % 3)

    await asyncio.gather(*(work(number) for number in range(5)))


@twin
@every_lock
@pytest.mark.parametrize("turns", range(6))
async def test_cancelling_at_every_turn(trace: Trace, aio: Any, name: str, turns: int) -> None:
    """The holder lets go, and one who waits is cancelled before, with or after that."""
    lock = make(aio, name)

    async def work(number: int) -> None:
        try:
            async with lock:
                trace(number, "has it", repr(lock))
                await settle(2)
        except asyncio.CancelledError as error:
            trace(number, "cancelled", error)
            raise
        finally:
            trace(number, "over", repr(lock))

    tasks = [asyncio.create_task(work(number)) for number in range(4)]
    await settle(turns)
    tasks[1].cancel("enough")
    await settle(1)
    tasks[2].cancel()
    trace(await asyncio.gather(*tasks, return_exceptions=True))
    trace(repr(lock), lock.locked())


@twin
@every_lock
async def test_cancelled_in_the_turn_of_being_woken(trace: Trace, aio: Any, name: str) -> None:
    lock = make(aio, name)
    await lock.acquire()
    tasks = [asyncio.create_task(lock.acquire()) for _ in range(3)]
    await settle()
    lock.release()
    tasks[0].cancel()
    await settle()
    trace([task.done() for task in tasks], repr(lock))
    lock.release()
    await settle()
    trace([task.done() for task in tasks], repr(lock))
    lock.release()
    trace(await asyncio.gather(*tasks, return_exceptions=True), repr(lock))


@twin
@every_lock
async def test_jumping_a_queue_of_cancelled_ones(trace: Trace, aio: Any, name: str) -> None:
    lock = make(aio, name)
    await lock.acquire()
    tasks = [asyncio.create_task(lock.acquire()) for _ in range(2)]
    await settle()
    for task in tasks:
        task.cancel()
    lock.release()
    # They have not run since.
    inner = getattr(lock, "_lock", lock)
    trace(repr(lock), [waiter.cancelled() for waiter in inner._waiters])
    async with asyncio.timeout(30):
        await lock.acquire()
    trace(repr(lock), await asyncio.gather(*tasks, return_exceptions=True))


@twin
@every_lock
async def test_one_who_comes_late_waits_for_those_before(trace: Trace, aio: Any, name: str) -> None:
    lock = make(aio, name)
    await lock.acquire()

    async def late(number: int) -> None:
        await lock.acquire()
        trace("has it:", number)

    tasks = [asyncio.create_task(late(number)) for number in range(2)]
    await settle()
    lock.release()
    trace(lock.locked())
    tasks.append(asyncio.create_task(late(2)))
    await settle()
    lock.release()
    await settle()
    lock.release()
    await asyncio.gather(*tasks)


@twin
@every_lock
async def test_closed_while_waiting(trace: Trace, aio: Any, name: str) -> None:
    lock = make(aio, name)
    await lock.acquire()
    coroutine = lock.acquire()
    trace("waits:", coroutine.send(None).done(), repr(lock))
    coroutine.close()
    trace(repr(lock))
    coroutine = lock.__aenter__()
    coroutine.send(None)
    with trace.raises():
        coroutine.throw(Broken("thrown"))
    trace(repr(lock))
    coroutine = lock.acquire()
    coroutine.send(None)
    with trace.raises("woken too early"):
        coroutine.send(None)


@twin
async def test_semaphore_of_several(trace: Trace, aio: Any) -> None:
    semaphore = aio.Semaphore(2)

    async def work(number: int) -> None:
        async with semaphore:
            trace(number, repr(semaphore))
            await settle(number)

    tasks = [asyncio.create_task(work(number)) for number in range(6)]
    await settle(2)
    tasks[3].cancel()
    semaphore.release()
    semaphore.release()
    trace(repr(semaphore))
    trace(await asyncio.gather(*tasks, return_exceptions=True), repr(semaphore))


@twin
async def test_semaphore_woken_and_cancelled_with_room_left(trace: Trace, aio: Any) -> None:
    semaphore = aio.Semaphore(0)
    tasks = [asyncio.create_task(semaphore.acquire()) for _ in range(3)]
    await settle()
    semaphore.release()
    semaphore.release()
    tasks[0].cancel()
    tasks[1].cancel()
    trace(repr(semaphore), semaphore._value)
    await settle()
    trace(repr(semaphore), [task.done() for task in tasks], semaphore._value)
    tasks[2].cancel()
    trace(await asyncio.gather(*tasks, return_exceptions=True), semaphore._value)


@twin
async def test_event(trace: Trace, aio: Any) -> None:
    event = aio.Event()
    tasks = [asyncio.create_task(event.wait(), name=str(number)) for number in range(4)]
    for task in tasks:
        task.add_done_callback(lambda task: trace("done", task.get_name(), task.cancelled()))
    await settle()
    trace(repr(event), len(event._waiters))
    tasks[1].cancel()
    event.set()
    tasks[2].cancel()
    event.clear()
    trace(repr(event), event.is_set())
    trace(await asyncio.gather(*tasks, return_exceptions=True))
    trace(repr(event), len(event._waiters))
    event.set()
    trace(await event.wait(), repr(event))


@twin
async def test_event_set_by_one_who_was_woken(trace: Trace, aio: Any) -> None:
    event = aio.Event()

    async def wait(number: int) -> None:
        await event.wait()
        trace("woken", number)
        event.clear()
        event.set()
        tasks.append(asyncio.create_task(wait(number + 10)) if number < 20 else None)

    tasks: list[Any] = [asyncio.create_task(wait(number)) for number in range(3)]
    await settle()
    event.set()
    await settle(12)
    trace(repr(event))


# Conditions.


async def holding(trace: Trace, condition: Any, number: int) -> None:
    async with condition:
        try:
            trace(number, "told", await condition.wait())
        except BaseException as error:
            trace(number, error)
            raise
        finally:
            trace(number, "locked:", condition.locked())


@twin
@pytest.mark.parametrize("turns", range(5))
async def test_condition_cancelled_at_every_turn(trace: Trace, aio: Any, turns: int) -> None:
    condition = aio.Condition()
    tasks = [asyncio.create_task(holding(trace, condition, number)) for number in range(4)]
    await settle()
    await condition.acquire()
    condition.notify(2)
    trace(repr(condition))
    tasks[0].cancel("one")
    await settle(turns)
    tasks[0].cancel("two")
    tasks[1].cancel("three")
    await settle(1)
    condition.release()
    await settle()
    trace(repr(condition), [task.done() for task in tasks])
    async with condition:
        condition.notify_all()
    trace(await asyncio.gather(*tasks, return_exceptions=True), repr(condition))


@twin
async def test_condition_notifies_as_many_as_asked_for(trace: Trace, aio: Any) -> None:
    condition = aio.Condition()
    tasks = [asyncio.create_task(holding(trace, condition, number)) for number in range(9)]
    await settle()
    for number in (0, -1, True, 1.5, 1, 1 << 70):
        async with condition:
            with trace.raises(f"notify {number}"):
                condition.notify(number)
        await settle(12)
        trace(repr(condition))
    async with condition:
        for wrong in ("x", None):
            with trace.raises():
                condition.notify(wrong)
    await asyncio.gather(*tasks)


@twin
async def test_condition_wait_for(trace: Trace, aio: Any) -> None:
    condition = aio.Condition()
    value: Any = 0

    async def wait(wanted: int) -> None:
        async with condition:

            def predicate() -> Any:
                trace("asks", wanted, condition.locked())
                if value == "broken":
                    raise Broken(wanted)
                return value >= wanted and [value]

            trace(wanted, "got", await condition.wait_for(predicate))

    tasks = [asyncio.create_task(wait(wanted)) for wanted in (0, 2, 1, 5, 6)]
    for now in (0, 1, 2):
        value = now
        await settle()
        async with condition:
            condition.notify_all()
    await settle()
    tasks[3].cancel()
    await settle()
    value = 7
    async with condition:
        condition.notify()
    trace(await asyncio.gather(*tasks, return_exceptions=True), repr(condition))


@twin
async def test_condition_predicate_raises(trace: Trace, aio: Any) -> None:
    condition = aio.Condition()
    answers: list[Any] = [False, ValueError("no")]

    def predicate() -> bool:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return bool(answer)

    async def wait() -> None:
        async with condition:
            await condition.wait_for(predicate)

    task = asyncio.create_task(wait())
    await settle()
    async with condition:
        condition.notify()
    with trace.raises():
        await task
    trace(repr(condition))


@twin
async def test_condition_on_another_lock(trace: Trace, aio: Any) -> None:
    lock = aio.Lock()
    one, two = aio.Condition(lock), aio.Condition(lock=lock)
    trace(one._lock is lock, two._lock is lock)
    tasks = [asyncio.create_task(holding(trace, condition, 0)) for condition in (one, two)]
    await settle()
    async with lock:
        trace(one.locked(), two.locked(), repr(one))
        one.notify()
        two.notify()
    await asyncio.gather(*tasks)
    await one.acquire()
    trace(lock.locked())
    two.release()
    trace(lock.locked(), repr(lock))


@twin
async def test_condition_on_a_lock_of_the_program(trace: Trace, aio: Any) -> None:
    class Own:
        held = False

        def locked(self) -> bool:
            trace("locked?")
            return self.held

        async def acquire(self) -> str:
            trace("acquire")
            await asyncio.sleep(0)
            self.held = True
            return "own"

        def release(self) -> None:
            trace("release")
            self.held = False

    condition = aio.Condition(Own())
    trace(await condition.acquire())
    condition.release()
    task = asyncio.create_task(holding(trace, condition, 1))
    await settle()
    async with condition:
        condition.notify()
    await task
    with trace.raises():
        aio.Condition(object())


@twin
async def test_condition_subclass_methods_are_the_locks(trace: Trace, aio: Any) -> None:
    class Mine(aio.Condition):  # type: ignore[misc]
        async def acquire(self) -> bool:
            trace("mine is not called")
            return False

    condition = Mine()
    async with condition:
        trace(condition.locked())
    trace(condition.locked())


@twin
async def test_condition_waits_for_a_lock_that_is_held(trace: Trace, aio: Any) -> None:
    """Closing one who waits for a notification, while another has the lock."""
    condition = aio.Condition()
    await condition.acquire()
    coroutine = condition.wait()
    coroutine.send(None)
    await condition.acquire()
    with trace.raises("closed"):
        coroutine.close()
    trace(repr(condition._lock))
    condition.release()
    coroutine = condition.wait()
    with trace.raises():
        coroutine.send(None)


# Barriers.


@twin
@pytest.mark.parametrize("action", ["nothing", "cancel", "reset", "abort"])
@pytest.mark.parametrize("turns", range(4))
async def test_barrier(trace: Trace, aio: Any, action: str, turns: int) -> None:
    barrier = aio.Barrier(3)

    async def work(number: int) -> None:
        for _ in range(2):
            try:
                async with barrier as index:
                    trace(number, "through as", index, repr(barrier))
            except (asyncio.BrokenBarrierError, asyncio.CancelledError) as error:
                trace(number, error, repr(barrier))
                raise

    tasks = [asyncio.create_task(work(number)) for number in range(4)]
    await settle(turns)
    trace(repr(barrier), barrier.n_waiting, barrier.broken, barrier.parties, barrier._count)
    if action == "cancel":
        tasks[0].cancel()
    elif action != "nothing":
        trace(await getattr(barrier, action)())
    trace(repr(barrier), barrier._state)
    await settle(20)
    trace([task.done() for task in tasks], repr(barrier))
    for task in tasks:
        task.cancel()
    trace(await asyncio.gather(*tasks, return_exceptions=True), repr(barrier))
    await barrier.reset()
    trace(repr(barrier))


@twin
async def test_barrier_methods_are_called(trace: Trace, aio: Any) -> None:
    class Mine(aio.Barrier):  # type: ignore[misc]
        async def wait(self) -> Any:
            trace("mine")
            return await super().wait()

    barrier = Mine(1)
    async with barrier as index:
        trace("through as", index)
    trace(await barrier.__aexit__(1, 2, 3, 4))


# Overriding, and loops.


@twin
# A condition has the methods of its lock, see above.
@pytest.mark.parametrize("name", [name for name in LOCKS if name != "Condition"])
async def test_overridden_methods_are_called(trace: Trace, aio: Any, name: str) -> None:
    base: Any = getattr(aio, name)

    class Mine(base):  # type: ignore[misc]
        async def acquire(self) -> Any:
            trace("acquire")
            return await super().acquire()

        def release(self) -> None:
            trace("release")
            super().release()

        def locked(self) -> Any:
            trace("locked?")
            return super().locked()

    lock = Mine()

    async def work() -> None:
        async with lock:
            await asyncio.sleep(0)

    await asyncio.gather(work(), work())
    trace(repr(lock))


@twin
@every_lock
async def test_methods_set_on_the_instance_are_called(trace: Trace, aio: Any, name: str) -> None:
    lock = make(aio, name)
    acquire, release = lock.acquire, lock.release

    async def own() -> Any:
        trace("acquire")
        return await acquire()

    lock.acquire = own
    lock.release = lambda: (trace("release"), release())
    async with lock:
        trace(lock.locked())
    trace(lock.locked())
    if name != "Condition":
        del lock.acquire, lock.release
        async with lock:
            trace(lock.locked())


@twin
@every_lock
async def test_methods_set_on_the_class_are_called(trace: Trace, aio: Any, name: str) -> None:
    class Mine(getattr(aio, name)):  # type: ignore[misc]
        pass

    lock = Mine()
    async with lock:
        trace(lock.locked())
    if name == "Condition":
        return
    release = Mine.release
    Mine.release = lambda self: (trace("release"), release(self))
    async with lock:
        trace(lock.locked())
    del Mine.release
    async with lock:
        trace(lock.locked())


@twin
@every_lock
async def test_base_exceptions_out_of_overridden_methods(trace: Trace, aio: Any, name: str) -> None:
    class Mine(getattr(aio, name)):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.acquire = self.release = self.fail

        def fail(self) -> None:
            raise Broken("overridden")

    lock = Mine()
    with trace.raises("enter"):
        await lock.__aenter__()
    with trace.raises("leave"):
        await lock.__aexit__(None, None, None)


@twin
@every_class
def test_another_loop(
    trace: Trace, factory: Callable[[], asyncio.AbstractEventLoop], aio: Any, name: str
) -> None:
    lock = make(aio, name)

    async def wait() -> None:
        if name == "Barrier" or name == "Event":
            await lock.wait()
        else:
            if not lock.locked():
                await lock.acquire()
            await lock.acquire()

    async def bounded() -> None:
        await asyncio.wait_for(wait(), 0)

    for _ in range(2):
        with trace.raises(), asyncio.Runner(loop_factory=factory) as runner:
            runner.run(bounded())
        trace(repr(lock))


@twin
@every_class
def test_no_loop(trace: Trace, factory: Any, aio: Any, name: str) -> None:
    lock = make(aio, name)
    if name not in ("Event", "Barrier"):
        with contextlib.suppress(StopIteration):
            lock.acquire().send(None)
        coroutine = lock.acquire()
    else:
        coroutine = lock.wait()
    with trace.raises():
        coroutine.send(None)


@twin
async def test_futures_of_the_programs_own(trace: Trace, aio: Any) -> None:
    """Waiters are asked for by their methods, whoever has put them there."""

    class Waiter:
        def __init__(self, name: str, state: str) -> None:
            self.name, self.state = name, state

        def done(self) -> bool:
            trace(self.name, "done?")
            return self.state != "pending"

        def cancelled(self) -> bool:
            trace(self.name, "cancelled?")
            return self.state == "cancelled"

        def set_result(self, result: object) -> None:
            trace(self.name, "gets", result)
            self.state = "done"

    event = aio.Event()
    event._waiters.extend([Waiter("a", "done"), Waiter("b", "pending")])
    event.set()
    condition = aio.Condition()
    condition._waiters.extend([Waiter("c", "done"), Waiter("d", "pending"), Waiter("e", "pending")])
    async with condition:
        condition.notify()
    semaphore = aio.Semaphore(1)
    task = asyncio.create_task(semaphore.acquire())
    await settle()
    task = asyncio.create_task(semaphore.acquire())
    await settle()
    semaphore._waiters.appendleft(Waiter("f", "pending"))
    semaphore._waiters.appendleft(Waiter("g", "cancelled"))
    semaphore.release()
    trace(repr(semaphore), semaphore.locked())
    semaphore.release()
    await task
    trace(repr(semaphore))


@twin
@every_class
async def test_made_again(trace: Trace, aio: Any, name: str) -> None:
    lock = make(aio, name)
    if name in ("Event", "Barrier"):
        task = asyncio.create_task(lock.wait())
    else:
        await lock.acquire()
        task = asyncio.create_task(lock.acquire())
    await settle()
    trace(repr(lock))
    lock.__init__(*([3] if name == "Barrier" else []))
    trace(repr(lock))
    task.cancel()
    # It looks for itself among waiters that are no longer there.
    trace("failed:", bool(await asyncio.gather(task, return_exceptions=True)))


@every_class
def test_collected(name: str) -> None:
    """Whatever refers to itself by way of one of these goes with it."""
    import weakref

    from ferrio import aio

    class Thing:
        pass

    lock = make(aio, name)
    thing = Thing()
    lock.thing, thing.lock = thing, lock  # type: ignore[attr-defined]
    coroutine = lock.wait() if hasattr(lock, "wait") else lock.acquire()
    thing.coroutine = coroutine  # type: ignore[attr-defined]
    coroutine.close()
    watched = weakref.ref(thing)
    del lock, thing, coroutine
    gc.collect()
    assert watched() is None


@twin
async def test_condition_that_is_its_own_lock(trace: Trace, aio: Any) -> None:
    condition = aio.Condition()
    lock = condition._lock
    condition._lock = condition
    trace(condition._lock is condition, condition.locked(), repr(condition))
    async with condition:
        trace(condition.locked(), lock.locked())
        condition.notify_all()
    trace(condition.locked(), lock.locked())


@twin
async def test_condition_keeps_the_methods_of_its_lock(trace: Trace, aio: Any) -> None:
    condition = aio.Condition()
    first, other = condition._lock, aio.Lock()
    condition._lock = other
    await condition.acquire()
    trace(condition._lock is other, first.locked(), other.locked(), condition.locked())
    condition.release()
    trace(first.locked(), other.locked())


class Line:
    """What a program may keep waiters in, or items: it has the methods, and is no deque."""

    def __init__(self) -> None:
        self.all: list[Any] = []

    def __len__(self) -> int:
        return len(self.all)

    def __iter__(self) -> Any:
        return iter(self.all)

    def append(self, item: Any) -> None:
        self.all.append(item)

    def remove(self, item: Any) -> None:
        self.all.remove(item)

    def popleft(self) -> Any:
        return self.all.pop(0)


@twin
@every_lock
@pytest.mark.parametrize("container", [Line, collections.UserList, list])
async def test_waiters_are_kept_in_what_the_program_likes(
    trace: Trace, aio: Any, name: str, container: Any
) -> None:
    lock = make(aio, name)
    inner = getattr(lock, "_lock", lock)
    inner._waiters = container()
    await lock.acquire()
    tasks = [asyncio.create_task(lock.acquire()) for _ in range(3)]
    await settle()
    trace(type(inner._waiters).__name__, len(inner._waiters), repr(lock))
    tasks[0].cancel()
    for _ in tasks[1:]:
        lock.release()
        await settle()
    trace(await asyncio.gather(*tasks, return_exceptions=True), len(inner._waiters))


@twin
@every_lock
async def test_what_stands_in_collections_makes_the_waiters(
    trace: Trace, aio: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = collections.deque

    class Mine(real):  # type: ignore[misc, valid-type]
        pass

    makers: list[Any] = [lambda *args: real(*args), Line, Mine]
    for made in makers:
        monkeypatch.setattr(collections, "deque", made)
        lock = make(aio, name)
        await lock.acquire()
        tasks = [asyncio.create_task(lock.acquire()) for _ in range(2)]
        await settle()
        for _ in tasks:
            lock.release()
            await settle()
        trace(await asyncio.gather(*tasks), repr(lock))

"""`call_later` and `call_at`: order by deadline, ties, cancelling, extreme delays."""

from __future__ import annotations

import asyncio
import math
from typing import Any

from .trace import Trace
from .twin import Loop, twin


@twin
def test_timers_run_in_the_order_of_their_deadlines(trace: Trace, loop: Loop) -> None:
    for milliseconds in (50, 10, 40, 20, 30):
        loop.call_later(milliseconds / 1000, trace, milliseconds)
    loop.call_later(0.06, loop.stop)
    loop.run_forever()


@twin
def test_due_timers_run_in_the_order_of_their_deadlines_even_if_late(
    trace: Trace, loop: Loop
) -> None:
    now = loop.time()
    for late in (3, 1, 5, 2, 4):
        loop.call_at(now - late, trace, "late by", late)
    loop.call_later(0.001, loop.stop)
    loop.run_forever()


@twin
def test_equal_deadlines_all_run(trace: Trace, loop: Loop) -> None:
    # asyncio's heap leaves their order open.
    deadline = loop.time() + 0.01
    ran: set[int] = set()
    for number in range(20):
        loop.call_at(deadline, ran.add, number)
    loop.call_at(deadline + 0.005, loop.stop)
    loop.run_forever()
    trace("ran", ran)


@twin
def test_a_due_timer_runs_after_what_is_ready(trace: Trace, loop: Loop) -> None:
    loop.call_later(0, trace, "timer")
    loop.call_soon(trace, "soon")
    loop.call_later(0.01, loop.stop)
    loop.run_forever()


@twin
def test_a_timer_added_by_a_timer_runs_in_a_later_turn(trace: Trace, loop: Loop) -> None:
    def first() -> None:
        trace("first")
        loop.call_later(0, trace, "second")
        loop.call_soon(trace, "soon")

    loop.call_later(0, first)
    loop.call_later(0.02, loop.stop)
    loop.run_forever()


@twin
def test_negative_delay_is_due_at_once(trace: Trace, loop: Loop) -> None:
    loop.call_later(-1, trace, "negative")
    loop.call_later(-math.inf, trace, "minus infinity")
    loop.call_later(0.005, loop.stop)
    loop.run_forever()


@twin
def test_no_timer_is_early(trace: Trace, loop: Loop) -> None:
    early: list[Any] = []

    def check(deadline: float) -> None:
        if loop.time() < deadline - time_resolution:
            early.append(deadline - loop.time())

    # asyncio runs what is due within its clock's resolution.
    time_resolution = 1e-9
    for number in range(200):
        deadline = loop.time() + number / 10000
        loop.call_at(deadline, check, deadline)
    loop.call_later(0.03, loop.stop)
    loop.run_forever()
    trace("early", early)


@twin
def test_cancelled_timers_do_not_run(trace: Trace, loop: Loop) -> None:
    handles = [loop.call_later(0.005, trace, "timer", number) for number in range(6)]
    for handle in handles[::2]:
        handle.cancel()
        handle.cancel()
    trace("flags", [handle.cancelled() for handle in handles])
    loop.call_later(0.02, loop.stop)
    loop.run_forever()
    trace("afterwards", [handle.cancelled() for handle in handles])


@twin
def test_a_timer_can_cancel_another_of_the_same_deadline(trace: Trace, loop: Loop) -> None:
    deadline = loop.time() + 0.005
    loop.call_at(deadline, lambda: (trace("first"), victim.cancel()))  # type: ignore[has-type]
    victim = loop.call_at(deadline + 1e-7, trace, "victim")
    loop.call_later(0.02, loop.stop)
    loop.run_forever()


@twin
def test_thousands_of_cancelled_timers_leave_the_rest_alone(trace: Trace, loop: Loop) -> None:
    handles = [loop.call_later(0.01 + number / 1e6, int) for number in range(5000)]
    loop.call_later(0.01, trace, "kept")
    for handle in handles:
        handle.cancel()
    loop.call_later(0.03, loop.stop)
    loop.run_forever()


@twin
def test_timer_handles_tell_when(trace: Trace, loop: Loop) -> None:
    deadline = loop.time() + 100
    at, later = loop.call_at(deadline, print), loop.call_later(100, print)
    trace("timer handles", isinstance(at, asyncio.TimerHandle), isinstance(later, asyncio.Handle))
    trace("when", at.when() == deadline, 0 <= later.when() - deadline < 5)
    at.cancel()
    trace("when cancelled", at.when() == deadline)


@twin
def test_timer_handles_compare_by_deadline(trace: Trace, loop: Loop) -> None:
    now = loop.time()
    one, two, three = (loop.call_at(now + delay, print) for delay in (100, 200, 200))
    trace("order", one < two, one <= two, one > two, one >= two, two <= three, two < three)
    trace("equal", one == one, one == two, hash(one) == hash(one))
    handles = sorted((three, one, two), key=lambda h: h.when())
    # A sum of floats is off by as much as the clock of that moment makes it.
    trace("sorted", [round(handle.when() - now, 6) for handle in handles])
    with trace.raises():
        one < 5  # type: ignore[operator]  # noqa: B015


@twin
def test_repr_of_a_timer_handle(trace: Trace, loop: Loop) -> None:
    handle = loop.call_at(12345678.5, len, "abc")
    trace("repr", repr(handle))
    handle.cancel()
    trace("repr", repr(handle))


@twin
def test_far_away_deadlines_are_accepted_and_do_not_run(trace: Trace, loop: Loop) -> None:
    for delay in (1e6, 1e9, 1e12, 1e15, 1e100, math.inf):
        handle = loop.call_later(delay, trace, "far", delay)
        trace("accepted", delay, handle.when() >= delay)
    loop.call_later(0.01, loop.stop)
    loop.run_forever()


@twin
def test_a_far_deadline_does_not_hide_a_near_one(trace: Trace, loop: Loop) -> None:
    loop.call_later(1e12, trace, "far")
    loop.call_later(0.01, trace, "near")
    loop.call_later(0.02, loop.stop)
    loop.run_forever()


@twin
def test_integers_are_deadlines_too(trace: Trace, loop: Loop) -> None:
    loop.call_later(0, trace, "int delay")
    loop.call_at(int(loop.time()), trace, "int deadline")
    loop.call_later(True, loop.stop)
    loop.call_later(0.01, loop.stop)
    loop.run_forever()


@twin
def test_time_is_monotonic_and_does_not_stand_still(trace: Trace, loop: Loop) -> None:
    readings = [loop.time() for _ in range(1000)]
    trace("type", type(readings[0]))
    trace("monotonic", readings == sorted(readings))
    trace("fine", len(set(readings)) > 100)


@twin
async def test_sleeps_end_in_the_order_of_their_lengths(trace: Trace) -> None:
    async def sleep(milliseconds: int) -> None:
        await asyncio.sleep(milliseconds / 1000)
        trace("slept", milliseconds)

    await asyncio.gather(*(sleep(n) for n in (30, 10, 20, 0, -5)))


@twin
async def test_sleep_zero_yields_exactly_once(trace: Trace) -> None:
    async def count(name: str) -> None:
        for number in range(3):
            trace(name, number)
            await asyncio.sleep(0)

    await asyncio.gather(count("a"), count("b"), count("c"))


@twin
async def test_sleep_returns_its_result(trace: Trace) -> None:
    trace("result", await asyncio.sleep(0, "zero"), await asyncio.sleep(0.001, "later"))


@twin
async def test_timeouts_fire_and_can_be_moved(trace: Trace) -> None:
    with trace.raises("fired"):
        async with asyncio.timeout(0.01):
            await asyncio.sleep(10)
    async with asyncio.timeout(0.01) as scope:
        scope.reschedule(None)
        await asyncio.sleep(0.03)
    trace("moved", scope.expired())
    with trace.raises("wait_for"):
        await asyncio.wait_for(asyncio.sleep(10), 0.01)
    with trace.raises("past"):
        async with asyncio.timeout(-1):
            await asyncio.sleep(0)


class Clock:
    """A loop's clock that can be set forward."""

    def __init__(self, loop: Loop) -> None:
        self._real = loop.time
        self.ahead = 0.0
        self.is_broken = False

    def __call__(self) -> float:
        if self.is_broken:
            raise ValueError("no time")
        return self._real() + self.ahead

    def forward(self, seconds: float) -> None:
        self.ahead += seconds


@twin
def test_timers_go_by_the_clock_of_the_program(trace: Trace, loop: Loop) -> None:
    clock = Clock(loop)
    loop.time = clock  # type: ignore[method-assign]
    loop.call_later(3600, trace, "an hour later")
    loop.call_at(clock() + 7200, trace, "never")
    loop.call_later(0.01, trace, "a moment later")
    loop.call_later(0.02, clock.forward, 3600)
    loop.call_later(3600.04, loop.stop)
    loop.run_forever()
    trace("time", loop.time() - clock._real() > 3599)


@twin
def test_a_clock_of_a_subclass(trace: Trace, loop: Loop) -> None:
    class Late(type(loop)):  # type: ignore[misc]
        ahead = 1000.0

        def time(self) -> float:
            return float(super().time() + self.ahead)

    late = Late()
    try:
        handle = late.call_later(50, trace, "fifty seconds later")
        trace("when", handle.when() - late.time() > 49)
        late.call_soon(setattr, late, "ahead", 1060.0)
        late.call_later(60.01, late.stop)
        late.run_forever()
    finally:
        late.close()


@twin
def test_a_clock_that_fails(trace: Trace, loop: Loop) -> None:
    clock = Clock(loop)
    loop.time = clock  # type: ignore[method-assign]
    loop.call_later(0.01, trace, "later")
    clock.is_broken = True
    with trace.raises():
        loop.call_later(0, trace, "refused")
    with trace.raises():
        loop.run_forever()
    trace("running", loop.is_running())
    clock.is_broken = False
    loop.call_later(0.02, loop.stop)
    loop.run_forever()


@twin
async def test_call_later_goes_by_call_at(trace: Trace) -> None:
    loop: Any = asyncio.get_running_loop()
    call_at = loop.call_at

    def own(when: float, callback: Any, *args: Any, context: Any = None) -> Any:
        trace("call_at", args, context)
        return call_at(when, callback, *args, context=context)

    loop.call_at = own
    done = loop.create_future()
    loop.call_later(0.001, done.set_result, "rang")
    trace("done", await done)
    trace("slept", await asyncio.sleep(0.001, "well"))

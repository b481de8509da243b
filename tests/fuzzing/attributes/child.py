"""Calls attributes of native objects with odd arguments, in a process that may die of it.

    python -m tests.fuzzing.attributes.child SEED JOURNAL INDEX...

Each call follows from the seed and its index. The journal says which one is being made; the last
line tells what went wrong, if somebody was there to write it.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import faulthandler
import gc
import os
import pickle
import random
import resource
import signal
import sys
import threading
import warnings
import weakref
from collections.abc import Callable
from typing import Any

from .odd import Odd
from .zoo import ready, zoo

# Calls that share a zoo.
GROUP = 25
# A call that blocks, as it may, is interrupted; one that cannot be is a hang.
BLOCKED_SECONDS = 3.0
HANG_SECONDS = 60.0
FAILED = 70
# More is never needed, and a machine that runs out of memory helps nobody.
MEMORY_BYTES = 8 << 30


# What runs loops of its own, and what tells the interpreter which loop and which task this thread
# is in: after a lie no loop of anybody's runs there any more.
LEFT_ALONE = {
    *("run", "main", "test_utils"),
    *("_set_running_loop", "_enter_task", "_leave_task", "_swap_current_task"),
}


class Blocked(BaseException):
    """Raised in a call that waits."""


class Calls:
    def __init__(self, seed: str, journal: int) -> None:
        self._seed = seed
        self._journal = journal
        self.zoo: dict[str, Any] = {}

    def call(self, index: int) -> None:
        chance = random.Random(f"{self._seed}:{index}")
        name = chance.choice(list(self.zoo))
        thing = self.zoo[name]
        verb = chance.choices([v for _, v in VERBS], [weight for weight, _ in VERBS])[0]
        odd = Odd(chance, self.zoo)
        place = chance.choices(PLACES, [6, 3, 2, 1])[0]
        self.note(f"{index}: {verb.__name__} of {name}, {place.__name__}")
        act = Act(self, thing, odd)

        def deed() -> None:
            self.guarded(lambda: verb(act))

        signal.setitimer(signal.ITIMER_REAL, BLOCKED_SECONDS, BLOCKED_SECONDS)
        faulthandler.dump_traceback_later(HANG_SECONDS, exit=True)
        try:
            self.guarded(lambda: place(self.zoo["loop"], deed))
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            faulthandler.cancel_dump_traceback_later()

    def guarded(self, deed: Callable[[], Any]) -> Any:
        """Any exception may come but those that tell of a fault."""
        try:
            return deed()
        except BaseException as error:
            if type(error).__name__ == "PanicException" or type(error) is SystemError:
                self.fail(f"{type(error).__name__}: {error}")
            error.__traceback__ = None
        return None

    def note(self, text: str) -> None:
        os.write(self._journal, text.encode(errors="backslashreplace") + b"\n")

    def fail(self, text: str) -> None:
        self.note(f"failed: {text}")
        os._exit(FAILED)


class Act:
    """What a verb has at hand."""

    def __init__(self, calls: Calls, thing: Any, odd: Odd) -> None:
        self.calls = calls
        self.thing = thing
        self.odd = odd
        self.chance = odd.chance

    def attribute(self, of: Any) -> str:
        names = {*dir(type(of)), *dir(of)} - FORBIDDEN
        if crashes_again(of):
            names.discard("__init__")
        if self.chance.random() < 0.85:
            # Mostly what objects and classes do not have anyway.
            names = names - COMMON or names
        name = self.chance.choice(sorted(names))
        self.calls.note(f"  .{name}")
        return name

    def call(self, function: Any, *arguments: Any) -> Any:
        given = (*arguments, *self.odd.arguments())
        named = {}
        if self.chance.random() < 0.15:
            key = self.chance.choice(["timeout", "loop", "context", "name", "limit", "sock", "odd"])
            named = {key: self.odd.argument()}
        self.calls.note(f"  called with {', '.join(map(brief, given))} {brief(named)}")
        result = self.calls.guarded(lambda: function(*given, **named))
        self.consume(result)
        return result

    def consume(self, result: Any) -> None:
        """Does with it what one does: shows it, steps it, ends it."""
        self.calls.guarded(lambda: repr(result))
        for name in ("__await__", "__next__"):
            if hasattr(type(result), name) and self.chance.random() < 0.7:
                step = self.calls.guarded(getattr(result, name))
                self.calls.guarded(lambda: next(step))  # noqa: B023 - called at once
        if isinstance(type(result).__dict__.get("send"), object) and hasattr(result, "send"):
            deed = self.chance.choice(["send", "throw", "close"])
            given = self.odd.arguments()
            self.calls.guarded(lambda: getattr(result, deed)(*given))
        self.calls.zoo[f"result {self.chance.randint(0, 9)}"] = result


def brief(value: Any) -> str:
    """Names an argument without calling anything of its own."""
    kind = type(value)
    if kind in (int, float, str, bytes, bool, type(None)):
        text = object.__repr__(value) if kind is object else repr(value)
        return text[:60]
    return f"<{type.__getattribute__(kind, '__name__')}>"


# What ends the process, and is meant to.
FORBIDDEN = {"__abstractmethods__"}
COMMON = {*dir(object), *dir(type)} - {"__init__", "__new__", "__repr__"}


def call_attribute(act: Act) -> None:
    name = act.attribute(act.thing)
    function = getattr(act.thing, name)
    if name in ("run_forever", "run_until_complete"):
        act.calls.zoo["loop"].call_later(0.01, act.calls.zoo["loop"].stop)
    act.call(function)


def spares_class(act: Act) -> bool:
    """Mostly: a changed class is so for all that follows."""
    return isinstance(act.thing, type) and act.chance.random() < 0.8


def set_attribute(act: Act) -> None:
    if spares_class(act):
        return
    name = act.attribute(act.thing)
    # A debug build asserts that a class without instances of its own making never gets one.
    if name != "__new__":
        setattr(act.thing, name, act.odd.argument())


def delete_attribute(act: Act) -> None:
    if spares_class(act):
        return
    delattr(act.thing, act.attribute(act.thing))


def use_descriptor(act: Act) -> None:
    """Methods and fields of one class, on an instance of another."""
    kind = act.thing if isinstance(act.thing, type) else type(act.thing)
    owner = act.chance.choice([each for each in kind.__mro__ if each is not object] or [object])
    name = act.chance.choice(sorted(vars(owner)))
    act.calls.note(f"  {owner.__name__}.{name}")
    descriptor = vars(owner)[name]
    other = act.odd.argument()
    if name == "__init__" and crashes_again(other):
        return
    how = act.chance.choice(["__get__", "__set__", "__delete__", "call", "type call"])
    if (name, how) == ("__dict__", "__delete__"):
        # CPython 3.14 does not survive it by itself, in a class of functools.partial and a mixin.
        return
    if how == "call":
        act.call(descriptor, other)
    elif how == "type call":
        act.call(getattr(kind, name), other)
    elif how == "__set__":
        descriptor.__set__(other, act.odd.argument())
    elif how == "__delete__":
        descriptor.__delete__(other)
    else:
        act.consume(descriptor.__get__(other, act.chance.choice([None, type(other), kind])))


def make_another(act: Act) -> None:
    kind = act.thing if isinstance(act.thing, type) else type(act.thing)
    how = act.chance.choice(["call", "new", "bare", "subclass", "two bases"])
    if how == "call":
        act.call(kind)
    elif how == "new":
        new: Any = kind.__new__
        act.call(new, kind)
    elif how == "bare":
        # Made and never initialised: each method has to do with that.
        make: Any = kind.__new__
        bare = make(kind)
        act.calls.zoo[f"bare {kind.__name__}"] = bare
        act.call(getattr(bare, act.attribute(bare)))
    else:
        other = type(act.chance.choice(list(act.calls.zoo.values())))
        bases = (kind,) if how == "subclass" else (kind, other)
        overridden = act.chance.sample(sorted(dir(kind)), 2)
        body = {name: act.odd.argument() for name in overridden if not name.startswith("__")}
        derived = type("Derived", bases, body)
        act.calls.zoo[f"derived {kind.__name__}"] = derived
        act.call(derived)


def crashes_again(thing: Any) -> bool:
    """asyncio's own tasks crash once `__init__` of a living one has failed: it has no loop then."""
    return isinstance(thing, asyncio.Task)


def initialize_again(act: Act) -> None:
    if crashes_again(act.thing):
        return
    act.call(act.thing.__init__)


def change_class(act: Act) -> None:
    other = act.chance.choice(list(act.calls.zoo.values()))
    act.thing.__class__ = other if isinstance(other, type) else type(other)


def copy_it(act: Act) -> None:
    how: Any = act.chance.choice([copy.copy, copy.deepcopy, pickle.dumps, act.thing.__reduce_ex__])
    act.consume(how(act.thing) if how is not act.thing.__reduce_ex__ else how(2))


def refer_to_it(act: Act) -> None:
    gc.get_referents(act.thing)
    gc.get_referrers(act.thing)
    act.calls.zoo["reference"] = weakref.ref(act.thing, lambda _: act.odd.disturb())


def operate(act: Act) -> None:
    thing, other = act.thing, act.odd.argument()
    deeds: list[Callable[[], Any]] = [
        *(lambda: repr(thing), lambda: str(thing), lambda: hash(thing), lambda: dir(thing)),
        *(lambda: thing == other, lambda: thing < other, lambda: len(thing), lambda: bool(thing)),
        *(lambda: iter(thing), lambda: next(thing), lambda: other in thing, lambda: thing[other]),
        *(lambda: memoryview(thing), lambda: sys.getsizeof(thing), lambda: thing.__dict__),
        *(lambda: isinstance(thing, other), lambda: issubclass(type(thing), other)),
        *(lambda: thing.__await__(), lambda: format(thing, str(other)), lambda: thing(other)),
    ]
    act.consume(act.chance.choice(deeds)())


def give_to_loop(act: Act) -> None:
    """The loop's methods and asyncio's functions, with native objects."""
    from ferrio import aio

    place = act.chance.choice([act.calls.zoo["loop"], aio, asyncio.tasks, asyncio.futures])
    name = act.chance.choice([n for n in dir(place) if n not in LEFT_ALONE])
    act.calls.note(f"  {name}")
    function = getattr(place, name)
    if name in ("run_forever", "run_until_complete"):
        place.call_later(0.01, place.stop)
    if callable(function):
        act.call(function, act.thing)


def run_the_loop(act: Act) -> None:
    loop = act.calls.zoo["loop"]
    loop.call_later(0.002, loop.stop)
    loop.run_forever()


def close_it(act: Act) -> None:
    act.thing.close()
    act.odd.disturb()


def collect(act: Act) -> None:
    for name in act.chance.sample(sorted(act.calls.zoo), 3):
        if name != "loop":
            del act.calls.zoo[name]
    gc.collect()


VERBS: list[tuple[int, Callable[[Act], None]]] = [
    *((20, call_attribute), (4, set_attribute), (2, delete_attribute), (8, use_descriptor)),
    *((6, make_another), (2, initialize_again), (1, change_class), (2, copy_it)),
    *((1, refer_to_it), (4, operate), (8, give_to_loop), (4, run_the_loop), (1, close_it)),
    (1, collect),
]


def outside(loop: Any, deed: Callable[[], None]) -> None:
    deed()


def in_a_callback(loop: Any, deed: Callable[[], None]) -> None:
    loop.call_soon(deed)
    loop.call_soon(loop.stop)
    loop.run_forever()


def in_a_task(loop: Any, deed: Callable[[], None]) -> None:
    async def task() -> None:
        deed()
        await asyncio.sleep(0)

    loop.run_until_complete(loop.create_task(task()))


def in_a_thread(loop: Any, deed: Callable[[], None]) -> None:
    with contextlib.suppress(RuntimeError), ready(None):
        thread = threading.Thread(target=deed, daemon=True)
        thread.start()
        thread.join(1.0)


PLACES = [outside, in_a_callback, in_a_task, in_a_thread]


def interrupt(*_: Any) -> None:
    raise Blocked


def main() -> None:
    seed, path, *indices = sys.argv[1:]
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    faulthandler.enable()
    warnings.simplefilter("ignore")
    sys.unraisablehook = lambda unraisable: None
    threading.excepthook = lambda arguments: None
    signal.signal(signal.SIGALRM, interrupt)
    # Far from the numbers that odd arguments are.
    journal = os.open(path, os.O_WRONLY | os.O_APPEND)
    calls = Calls(seed, journal)
    group = -1
    for index in map(int, indices):
        if index // GROUP != group:
            group = index // GROUP
            calls.zoo.clear()
            gc.collect()
            calls.note("a new zoo")
            faulthandler.dump_traceback_later(HANG_SECONDS, exit=True)
            if (made := calls.guarded(zoo)) is None:
                # The classes themselves were changed, so that nothing can be made any more.
                break
            calls.zoo.update(made)
        try:
            calls.call(index)
        except Blocked:
            continue
    # The last zoo is there while the interpreter ends.
    calls.note("the end")


if __name__ == "__main__":
    main()

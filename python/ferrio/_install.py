"""Which loop asyncio makes when nobody names one: `install` and `uninstall`.

`install(replace=True)` also puts ferrio's classes and functions into asyncio: see `_replace`.

Up to Python 3.15 the answer is the event loop policy. It covers everything that makes a loop
without naming one: `asyncio.run`, `Runner`, `new_event_loop`, and `get_event_loop` where that still
makes loops. Its public functions warn since 3.14, so from there on the functions behind them are
called: a user of `install()` did not choose the mechanism and need not hear that it will go.

Python 3.16 has no policies. What remains is the function `asyncio.new_event_loop`, which `Runner`
looks up at each call, so that function is what gets replaced.
"""

from __future__ import annotations

import asyncio
import threading
from asyncio import events
from collections.abc import Callable
from typing import Any, Protocol

from . import _replace

Factory = Callable[[], asyncio.AbstractEventLoop]


class Mechanism(Protocol):
    """Where asyncio keeps its answer. `current` and `put` are exact inverses of each other."""

    def current(self) -> Any: ...
    def put(self, value: Any) -> None: ...
    def made_of(self, factory: Factory) -> Any: ...


class Policy:
    """The process's event loop policy, up to Python 3.15."""

    def current(self) -> Any:
        # The variable and not `get_event_loop_policy()`, which would make a policy where there is
        # none yet: afterwards there shall be none again.
        return getattr(events, "_event_loop_policy", None)

    def put(self, value: Any) -> None:
        set_policy = getattr(events, "_set_event_loop_policy", None)
        if set_policy is None:  # up to 3.13, where the public function does not warn
            set_policy = events.set_event_loop_policy
        set_policy(value)

    def made_of(self, factory: Factory) -> Any:
        from ._policy import EventLoopPolicy
        from ._runner import new_event_loop

        policy = EventLoopPolicy()
        if factory is new_event_loop:
            policy._loop_maker = factory
        else:
            policy._loop_factory = factory
        return policy


class Function:
    """The function `new_event_loop` itself, from Python 3.16."""

    def current(self) -> Any:
        return events.new_event_loop

    def put(self, value: Any) -> None:
        # Two names of the same function: the package's, and the one that Runner uses.
        events.new_event_loop = asyncio.new_event_loop = value

    def made_of(self, factory: Factory) -> Any:
        def new_event_loop() -> asyncio.AbstractEventLoop:
            """Create and return a new event loop object."""
            return factory()

        return new_event_loop


HAS_POLICIES = hasattr(events, "_event_loop_policy")


class Switch:
    """One change of asyncio's answer, and the way back."""

    def __init__(self, mechanism: Mechanism) -> None:
        self._mechanism = mechanism
        self._lock = threading.Lock()
        # What `on` put in place and what it found there; None before.
        self._change: tuple[Any, Any] | None = None

    @property
    def is_on(self) -> bool:
        """Has `on` been called, and nobody has taken it back since?"""
        return self._change is not None

    def on(self, factory: Factory) -> None:
        with self._lock:
            found = self._mechanism.current()
            if self._change is not None and self._change[0] is found:
                return
            ours = self._mechanism.made_of(factory)
            self._mechanism.put(ours)
            self._change = (ours, found)

    def off(self) -> None:
        with self._lock:
            # If something else stands there now, somebody put it there after us, and it is theirs
            # to take away.
            if self._change is not None and self._change[0] is self._mechanism.current():
                self._mechanism.put(self._change[1])
                self._change = None


switch = Switch(Policy() if HAS_POLICIES else Function())


def install(*, replace: bool = False) -> None:
    """Make every later loop of the process a ferrio loop.

    That is every loop made without naming a class or a factory: by `asyncio.run`, `asyncio.Runner`,
    `asyncio.new_event_loop`, and so by nearly all programs and frameworks. Loops that exist already
    are left alone.

    replace: True also has asyncio's own names mean what `ferrio.aio` has under them:
        `asyncio.sleep`, `asyncio.Lock`, `asyncio.TaskGroup` and so on. The classes inherit from
        asyncio's, so that `isinstance` and `except` say what they said; objects that exist already
        stay what they are, and so do names that a module has imported by `from asyncio import ...`
        before. False leaves these names as they are, replaced or not.

    Calling it again changes nothing, unless something else was installed in between: then ferrio is
    put back on top, and `uninstall` gives back that something. So it is with each replaced name.
    """
    from ._runner import new_event_loop

    switch.on(new_event_loop)
    if replace:
        _replace.replace()


def uninstall() -> None:
    """Put back exactly what `install` found, replaced names included.

    Does nothing if ferrio is not installed, or no longer is because something else was installed
    over it. One call undoes any number of calls of `install`.
    """
    switch.off()
    _replace.restore()

"""Programs that name a loop, under `ferrio run`: its user has said which loop it is to be.

Who asks for uvloop, as many do where it is installed, gets ferrio, or what `--loop` says. Whatever
else is named is given. Both are said in a line on standard error.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib.util
import sys
from asyncio import events
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from . import _install, _runner
from ._loop import Loop


@dataclass(frozen=True)
class Chosen:
    """The loop that the user has chosen."""

    name: str
    make: Callable[[], asyncio.AbstractEventLoop]

    def kind(self) -> type[asyncio.AbstractEventLoop]:
        """The class of what `make` makes."""
        if isinstance(self.make, type):
            return self.make
        if self.name == "ferrio":
            return Loop
        loop = self.make()
        loop.close()
        return type(loop)


chosen = Chosen("ferrio", _runner.new_event_loop)


def imported(module: ModuleType) -> None:
    """A module has been imported that names loops: `_ferrio_start.NAMED` lists them."""
    match module.__name__:
        case "uvloop":
            take_the_place_of_uvloop(module)
        case "uvicorn.loops.auto":
            choose_for_uvicorn(module)


def take_the_place_of_uvloop(uvloop: Any) -> None:
    """Have all that `uvloop` offers make loops of the chosen kind.

    Its `install`, `run` and `EventLoopPolicy` stay its own, and call what is replaced here.
    """

    kind = chosen.kind()

    class Meta(type(kind)):  # type: ignore[misc]
        def __call__(cls, *args: Any, **kwargs: Any) -> Any:
            # A subclass is made as it says.
            return new_event_loop() if cls is StandIn else super().__call__(*args, **kwargs)

        def __instancecheck__(cls, instance: object) -> bool:
            # `uvloop.run` makes sure that it runs on a loop of its own.
            return (
                isinstance(instance, kind)
                if cls is StandIn
                else super().__instancecheck__(instance)
            )

        def __subclasscheck__(cls, subclass: type) -> bool:
            return (
                issubclass(subclass, kind)
                if cls is StandIn
                else super().__subclasscheck__(subclass)
            )

    class StandIn(kind, metaclass=Meta):  # type: ignore[misc, valid-type]
        __doc__ = uvloop.Loop.__doc__

    def new_event_loop() -> asyncio.AbstractEventLoop:
        """Return a new event loop."""
        name = chosen.name
        say(f"the program asks for uvloop and gets {name} (--keep-loops gives it uvloop)")
        return chosen.make()

    StandIn.__module__ = new_event_loop.__module__ = "uvloop"
    StandIn.__name__ = StandIn.__qualname__ = "Loop"
    new_event_loop.__qualname__ = "new_event_loop"
    if hasattr(uvloop, "run"):
        uvloop.run.__kwdefaults__["loop_factory"] = new_event_loop
    uvloop.new_event_loop = new_event_loop
    uvloop.Loop = uvloop.loop.Loop = StandIn


def choose_for_uvicorn(auto: Any) -> None:
    """Have uvicorn's `--loop auto` mean the chosen one: without uvloop, it names asyncio's loop."""
    original = getattr(auto, "auto_loop_factory", None)
    if original is None or importlib.util.find_spec("uvloop") is not None:
        return  # an older uvicorn, which leaves it to asyncio; or it asks for uvloop

    @functools.wraps(original)
    def auto_loop_factory(*args: Any, **kwargs: Any) -> Callable[[], asyncio.AbstractEventLoop]:
        return chosen.make

    auto.auto_loop_factory = auto_loop_factory


class Watch:
    """Says so, once for each kind, when a loop runs that is not ferrio's."""

    def __init__(self) -> None:
        self._is_on = False
        self._original: Callable[[asyncio.AbstractEventLoop | None], None] | None = None

    def set(self, on: bool) -> None:
        self._is_on = on
        if not on or self._original is not None:
            return
        self._original = original = events._set_running_loop

        @functools.wraps(original)
        def _set_running_loop(loop: asyncio.AbstractEventLoop | None, /) -> None:
            original(loop)
            if loop is not None:
                self._look_at(loop)

        # Two names of one function. Who has bound it before, or calls C's, is not seen.
        events._set_running_loop = asyncio._set_running_loop = _set_running_loop

    def _look_at(self, loop: asyncio.AbstractEventLoop) -> None:
        # A program that has called `ferrio.uninstall()` knows.
        if self._is_on and _install.switch.is_on and not isinstance(loop, Loop):
            kind = type(loop)
            name = f"{kind.__module__}.{kind.__qualname__}"
            say(f"not on ferrio: the program has chosen a loop of its own, {name}")


watch = Watch()

_said: set[str] = set()


def say(what: str) -> None:
    """A line for the user, once."""
    if what in _said:
        return
    _said.add(what)
    # Where the program has put something else in place of sys.stderr, that is for its own words.
    if sys.__stderr__ is not None:
        # Nobody reads, or it is closed.
        with contextlib.suppress(OSError, ValueError):
            print(f"ferrio run: {what}", file=sys.__stderr__, flush=True)

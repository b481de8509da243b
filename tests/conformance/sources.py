"""Where test_asyncio's loops come from, and how another loop takes their place.

The suite obtains loops in a handful of ways: from the default policy (`asyncio.new_event_loop()`,
`asyncio.run()`, `IsolatedAsyncioTestCase`), from `asyncio.SelectorEventLoop`/`EventLoop` and, in
three modules, from `BaseEventLoop()` itself. Those are replaced before the test module is imported;
the tests themselves run as they are. `test_utils.TestLoop`, the suite's own simulated loop, stays.
"""

from __future__ import annotations

import asyncio
import asyncio.base_events
import asyncio.unix_events
import selectors
import unittest
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # `tests` may be another package: see tests/suites
    from tests.loops import Factory

# These modules call `BaseEventLoop()` for want of a cheaper loop, then ask it public questions.
# Elsewhere the name is only subclassed or patched, which must go to the real class.
BASE_LOOP_IS_A_SOURCE = {"test_base_events", "test_pep492", "test_runners"}

REPEAT = "repeat: the same loop under another selector's name"


class Sources:
    """Substitutes `factory` for the stdlib's loops in this process, and counts what it made."""

    def __init__(self, factory: Factory) -> None:
        self._factory = factory
        self.loops_made = 0
        loop = factory()
        self._type = type(loop)
        loop.close()

    def substitute(self, module: str = "") -> None:
        """Must come before test_asyncio's `module` is imported: it may copy the names."""
        unix: Any = asyncio.unix_events
        policy = getattr(unix, "_DefaultEventLoopPolicy", None) or unix._UnixDefaultEventLoopPolicy
        policy._loop_factory = self._make
        selector_loop = self._in_place_of(asyncio.SelectorEventLoop)
        for namespace in (asyncio, unix):
            for name in ("SelectorEventLoop", "EventLoop"):
                if hasattr(namespace, name):
                    setattr(namespace, name, selector_loop)
        if module in BASE_LOOP_IS_A_SOURCE:
            base_loop = self._in_place_of(asyncio.BaseEventLoop)
            setattr(asyncio, "BaseEventLoop", base_loop)  # noqa: B010 - a type, to mypy
            setattr(asyncio.base_events, "BaseEventLoop", base_loop)  # noqa: B010

    def _make(self, selector: Any = None) -> asyncio.AbstractEventLoop:
        if selector is not None:
            selector.close()
            # The suite runs the same tests for each kind of selector there is; all have this one.
            if not isinstance(selector, selectors.SelectSelector):
                raise unittest.SkipTest(REPEAT)
        self.loops_made += 1
        return self._factory()

    def _in_place_of(self, replaced: type) -> type:
        """A class that is called and asked `isinstance` like `replaced`, but makes our loops.

        They are instances of the loop's own class: a subclass made here would not be what users
        run.
        """
        make, loop_type = self._make, self._type

        class Impostor(type):
            def __call__(cls, *args: Any) -> Any:
                # A test's own subclass of the replaced class is what it says it is.
                return make(*args) if cls is impostor else super().__call__(*args)

            def __instancecheck__(cls, instance: object) -> bool:
                return (
                    isinstance(instance, loop_type)
                    if cls is impostor
                    else super().__instancecheck__(instance)
                )

        impostor = Impostor(replaced.__name__, (replaced,), {"__module__": replaced.__module__})
        return impostor

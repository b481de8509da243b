"""The stdlib's loop seen from outside: the measure of which tests are white-box.

Everything public works exactly as in asyncio, for it is asyncio: its modules are imported a second
time under another name. But what a test can only know from reading them is gone. Private attributes
of the loop, its transports and its servers do not exist for test code, and patching
`asyncio.selector_events.logger` patches a module that this loop does not use. A test that passes on
`asyncio` and fails here tests the stdlib's implementation, not asyncio's behaviour, and no other
loop can be asked to pass it.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
import types
from typing import Any

_PACKAGE = "opaque_asyncio"

# The modules that make up the loop; the others (events, tasks, transports...) are the public face
# and shared.
_COPIED = ("base_events", "base_subprocess", "selector_events", "sslproto", "unix_events")

# Not public, but asked of every loop: the suite's own tearDown reads it, and so do packages.
_KNOWN_TO_ALL = {"_default_executor"}

# Whose eyes are covered: the tests, and mock working for them.
_OUTSIDERS = ("test.", "unittest.", "_pytest.")


def _second_copy() -> dict[str, types.ModuleType]:
    package = types.ModuleType(_PACKAGE)
    package.__path__ = list(asyncio.__path__)
    sys.modules[_PACKAGE] = package
    for name, module in list(sys.modules.items()):
        stem = name.removeprefix("asyncio.")
        if name.startswith("asyncio.") and stem not in _COPIED:
            sys.modules[f"{_PACKAGE}.{stem}"] = module
            setattr(package, stem, module)
    return {stem: importlib.import_module(f"{_PACKAGE}.{stem}") for stem in _COPIED}


def _hide_private_attributes(cls: Any) -> None:
    """Test code sees no `_name` of an instance, except one that it has set itself."""
    get, put = cls.__getattribute__, cls.__setattr__

    def is_hidden(name: str) -> bool:
        caller = sys._getframe(2).f_globals.get("__name__", "")
        is_private = name.startswith("_") and not name.startswith("__")
        return is_private and name not in _KNOWN_TO_ALL and caller.startswith(_OUTSIDERS)

    def __getattribute__(self: Any, name: str) -> Any:
        if is_hidden(name):
            try:
                return get(self, "__dict__")[f"outside{name}"]
            except KeyError:
                raise AttributeError(f"{cls.__name__!r} object has no attribute {name!r}") from None
        return get(self, name)

    def __setattr__(self: Any, name: str, value: Any) -> None:
        put(self, f"outside{name}" if is_hidden(name) else name, value)

    cls.__getattribute__ = __getattribute__
    cls.__setattr__ = __setattr__


_modules: Any = types.SimpleNamespace(**_second_copy())
_Loop: Any = _modules.unix_events._UnixSelectorEventLoop


class Loop(_Loop):  # type: ignore[misc]
    """A `_UnixSelectorEventLoop` of which only the public side shows."""


_hide_private_attributes(Loop)
_hide_private_attributes(_modules.selector_events._SelectorTransport)
_hide_private_attributes(_modules.base_events.Server)


def new_event_loop() -> asyncio.AbstractEventLoop:
    loop: asyncio.AbstractEventLoop = Loop()
    return loop

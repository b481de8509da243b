"""asyncio, all of it, in Rust.

    ferrio.run(main())                                         as asyncio.run
    asyncio.run(main(), loop_factory=ferrio.new_event_loop)    the same through asyncio (3.12)
    asyncio.Runner(loop_factory=ferrio.new_event_loop)
    ferrio.install(); asyncio.run(main())                      every later loop of the process

Importing this package changes nothing in the process. (PYTEST_DONT_REWRITE: under `ferrio run` it
is imported before pytest.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._ferrio import __version__
from ._install import HAS_POLICIES, install, uninstall
from ._loop import Loop
from ._runner import new_event_loop, run
from ._server import Server
from ._tasks import Future, Task

if TYPE_CHECKING:
    from . import guest as guest
    from ._policy import EventLoopPolicy as EventLoopPolicy
    from ._until_signal import Shutdown as Shutdown
    from ._until_signal import serve_until_signal as serve_until_signal

__all__ = [
    "Future",
    "Loop",
    "Server",
    "Shutdown",
    "Task",
    "__version__",
    "guest",
    "install",
    "new_event_loop",
    "run",
    "serve_until_signal",
    "uninstall",
]

if HAS_POLICIES:
    __all__ += ["EventLoopPolicy"]


def __getattr__(name: str) -> Any:
    # Made when asked for: from 3.16 on its base class is gone, and until then few need it.
    if name == "EventLoopPolicy" and HAS_POLICIES:
        from ._policy import EventLoopPolicy

        globals()[name] = EventLoopPolicy
        return EventLoopPolicy
    if name in ("Shutdown", "serve_until_signal"):
        # Few programs need it, and it takes a while to import.
        from . import _until_signal

        return getattr(_until_signal, name)
    if name == "guest":
        import importlib

        return importlib.import_module(".guest", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

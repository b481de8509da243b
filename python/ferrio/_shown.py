"""Coroutines of the interpreter's own, to be looked at in the place of native ones.

Call graphs and stacks show frames, and a frame says by its code what it is and by its generator
that somebody awaits in it. A native coroutine has neither: who asks is given those of one that is
made for the purpose, waits for ever, and is called as asyncio's would be.
"""

from __future__ import annotations

import types
import weakref
from collections.abc import Generator, Sequence
from typing import Any

__all__ = ["shown"]


class _Forever:
    def __await__(self) -> Generator[None]:
        yield


async def _wait() -> None:
    # The name is looked up in the globals that `_coroutine` gives it.
    await _awaited  # type: ignore[name-defined] # noqa: F821


def _coroutine(qualname: str, awaited: Any) -> Any:
    code = _wait.__code__.replace(
        co_name=qualname.rpartition(".")[2],
        co_qualname=qualname,
        co_filename="<ferrio>",
        co_firstlineno=1,
    )
    return types.FunctionType(code, {"__name__": "ferrio", "_awaited": awaited})()


_chains: weakref.WeakKeyDictionary[Any, dict[tuple[str, ...], Any]] = weakref.WeakKeyDictionary()


def shown(native: Any, qualnames: Sequence[str]) -> Any:
    """The first of coroutines that await each other, with these names; kept as long as `native`."""
    chains = _chains.setdefault(native, {})
    key = tuple(qualnames)
    if key not in chains:
        awaited: Any = _Forever()
        for qualname in reversed(key):
            awaited = _coroutine(qualname, awaited)
        # Those that have not begun would complain, in the end, that nobody awaits them.
        awaited.send(None)
        chains[key] = awaited
    return chains[key]

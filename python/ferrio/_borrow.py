"""asyncio's functions, to which some names mean ours."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from typing import Any, TypeVar, cast

__all__ = ["Names", "borrow"]

Function = TypeVar("Function", bound=Callable[..., Any])


class Names(dict[str, Any]):
    """The globals of a module as it has them at each look-up, some of which stand for ours.

    A function whose globals are not exactly a dict asks them by `__getitem__`.

    Args:
        module: asyncio's.
        ours: What to give for which names, as long as nobody has put something else under them.
    """

    def __init__(self, module: types.ModuleType, ours: dict[str, Any]) -> None:
        # Where the interpreter itself looks: for what is built in, and for what a relative import
        # is relative to.
        found = ("__name__", "__package__", "__spec__", "__builtins__")
        super().__init__((name, module.__dict__[name]) for name in found)
        self._names = module.__dict__
        self._ours = {name: (self._names[name], mine) for name, mine in ours.items()}

    def __missing__(self, name: str) -> Any:
        found = self._names[name]
        if name in self._ours:
            theirs, mine = self._ours[name]
            if found is theirs:
                return mine
        return found


def borrow(function: Function, names: Names) -> Function:
    """The same function, in these names."""
    plain = cast(types.FunctionType, function)
    ours = types.FunctionType(
        plain.__code__, names, plain.__name__, plain.__defaults__, plain.__closure__
    )
    ours.__kwdefaults__ = plain.__kwdefaults__
    functools.update_wrapper(ours, plain)
    # It stands in the place of the other one, and does not wrap it.
    del ours.__dict__["__wrapped__"]
    return cast(Function, ours)

"""Copies and pickles of what has asyncio's attributes natively."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


def has_state(*names: str) -> Callable[[type[T]], type[T]]:
    """Decorates a class whose instances asyncio has with these attributes in their `__dict__`.

    `copy`, `pickle` and with them `dataclasses.asdict` find the attributes there. Of a native class
    they have to be told, or refuse its instances.
    """

    def decorate(cls: type[T]) -> type[T]:
        def getstate(self: T) -> object:
            state = {name: getattr(self, name) for name in names}
            # A default of the class until the object is used on a loop.
            if (loop := getattr(self, "_loop", None)) is not None:
                state["_loop"] = loop
            more: Any = object.__getstate__(self)
            if isinstance(more, tuple):
                in_dict, in_slots = more
                return state | (in_dict or {}), in_slots
            return state | (more or {})

        def setstate(self: T, state: Any) -> None:
            for attributes in state if isinstance(state, tuple) else (state,):
                for name, value in (attributes or {}).items():
                    setattr(self, name, value)

        for name, function in (("__getstate__", getstate), ("__setstate__", setstate)):
            function.__name__ = name
            function.__qualname__ = f"{cls.__qualname__}.{name}"
            setattr(cls, name, function)
        return cls

    return decorate

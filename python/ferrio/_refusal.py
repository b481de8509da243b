"""What is said of a call with the wrong arguments: the words of a function written in Python."""

from __future__ import annotations

import asyncio
import functools
import inspect
import types
from collections.abc import Iterator
from typing import Any

__all__ = ["refused", "refused_call"]


def refused(qualname: str, parameters: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The TypeError for a call of a function with these parameters, in the interpreter's words.

    They differ from version to version, down to what it believes to have been meant. None if there
    is nothing to be said against the call.
    """
    try:
        _function(qualname, parameters)(*args, **kwargs)
    except TypeError as error:
        return error.with_traceback(None)
    return None


@functools.lru_cache(maxsize=64)
def _function(qualname: str, parameters: str) -> Any:
    """One that does nothing."""
    names: dict[str, Any] = {}
    exec(f"def function({parameters}): pass", names)
    function = names["function"]
    function.__qualname__ = qualname
    return function


def refused_call(
    owner: type | None,
    instance: Any,
    name: str,
    signature: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """For a builtin that says `name($self, ...)` of itself, a method if it has an owner."""
    parameters = signature[signature.index("(") + 1 : -1].replace("$self", "self")
    if owner is None:
        return refused(name, parameters, args, kwargs)
    qualname = f"{owner.__name__.removeprefix('Base')}.{name}"
    theirs = _asyncios(type(instance), name)
    if theirs is not None:
        # What it takes may be another thing in each version.
        parameters = _parameters(theirs)
        if not isinstance(instance, asyncio.AbstractEventLoop):
            qualname = theirs.__qualname__
    elif name == "__init__":
        # A class says what it is called with.
        parameters = f"self, {parameters}"
    return refused(qualname, parameters, (instance, *args), kwargs)


def _asyncios(cls: type, name: str) -> types.FunctionType | None:
    """asyncio's method of this name, if a class of asyncio's is seen as a base of this one."""
    for base in _bases(cls):
        function = vars(base).get(name)
        if isinstance(function, types.FunctionType) and base.__module__ in _COMPLETE:
            return function
    return None


def _bases(cls: type) -> Iterator[type]:
    yield from (base for base in cls.__mro__ if base is not asyncio.AbstractEventLoop)
    if issubclass(cls, asyncio.AbstractEventLoop):
        yield from asyncio.SelectorEventLoop.__mro__


# Where those classes of asyncio are that are more than an interface.
_COMPLETE = {
    f"asyncio.{module}"
    for module in (
        "base_events",
        "events",
        "locks",
        "queues",
        "selector_events",
        "streams",
        "taskgroups",
        "timeouts",
        "unix_events",
    )
}


def _parameters(function: types.FunctionType) -> str:
    """As it would be written, without types and with nothing for defaults."""
    signature = inspect.signature(function)
    empty = inspect.Parameter.empty
    plain = [
        parameter.replace(annotation=empty, default=empty if parameter.default is empty else None)
        for parameter in signature.parameters.values()
    ]
    return str(signature.replace(parameters=plain, return_annotation=empty))[1:-1]

"""Functions that are seen as those of asyncio that they stand for."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

Method = TypeVar("Method", bound=Callable[..., Any])


def like(method: Method) -> Callable[[Callable[..., Any]], Method]:
    """Decorates a function that is called as `method` is, with name, signature and docs of that.

    asyncio's signatures differ between versions of Python. A function that hands its arguments on
    takes `*args, **kwargs`, and is to be seen, by people and type checkers, as what it stands for.
    """

    def decorate(function: Callable[..., Any]) -> Method:
        return cast(Method, functools.wraps(method)(function))

    return decorate


def refused(qualname: str, parameters: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The TypeError for a call of a function with these parameters, in the interpreter's words.

    They differ from version to version, down to what it believes to have been meant.
    """
    names: dict[str, Any] = {}
    exec(f"def function({parameters}): pass", names)
    function = names["function"]
    function.__qualname__ = qualname
    try:
        function(*args, **kwargs)
    except TypeError as error:
        return error.with_traceback(None)
    return None

"""Functions that are seen as what they stand for: one of asyncio's, or a coroutine function."""

from __future__ import annotations

import functools
import inspect
import sys
from asyncio import coroutines
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


def coroutine_function(native: Method) -> Method:
    """Wraps a native method that returns a coroutine, for `iscoroutinefunction` to say so.

    `unittest.mock` asks, to replace a coroutine function by something that can be awaited. A
    builtin cannot be marked. Not for methods that are called often: it costs a call.
    """

    @functools.wraps(native)
    def method(*args: Any, **kwargs: Any) -> Any:
        return native(*args, **kwargs)

    if sys.version_info >= (3, 12):
        inspect.markcoroutinefunction(method)
    else:
        method._is_coroutine = coroutines._is_coroutine  # type: ignore[attr-defined]
    return cast(Method, method)

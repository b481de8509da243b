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

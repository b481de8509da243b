"""What is awaited in the place of a native coroutine while a debugger listens for exceptions."""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from typing import Any

from ._ferrio import step_coroutine

__all__ = ["relay"]


def relay(coroutine: Coroutine[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """Goes on as the coroutine does, and returns what it returns."""
    value: Any = None
    error: BaseException | None = None
    while True:
        try:
            has_ended, value = step_coroutine(coroutine, value, error)
        finally:
            error = None
        if has_ended:
            return value
        try:
            value = yield value
        except GeneratorExit:
            coroutine.close()
            raise
        except BaseException as raised:
            value, error = None, raised

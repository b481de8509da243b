"""Fixtures that notice what a test leaves behind."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests import loops


def open_descriptors() -> set[str]:
    """Descriptors of this process, each with what it leads to."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:  # the listing's own
            continue
        found.add(f"{name} -> {target}")
    return found


def resident_kib(pid: int | str = "self") -> int:
    """Of a process: what it has in memory at the moment."""
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


def trim_malloc() -> None:
    """Has glibc give back what was freed: how much it keeps depends on all that went before."""
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


@pytest.fixture
def descriptors() -> Iterator[None]:
    """Fails the test if more descriptors are open at its end than at its start."""
    gc.collect()
    before = open_descriptors()
    yield
    gc.collect()
    left = open_descriptors() - before
    assert not left, f"left open: {sorted(left)}"


@dataclass(frozen=True)
class Load:
    """How much a test is to do: little in the suite, much with `--soak`."""

    is_soak: bool

    def __call__(self, short: int, long: int) -> int:
        return long if self.is_soak else short


@pytest.fixture(scope="session")
def load(request: pytest.FixtureRequest) -> Load:
    return Load(request.config.getoption("--soak"))


@pytest.fixture
def figures(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Called with what the test has measured in this run; shown when all tests are over."""
    return lambda text: record_property("figures", text)


@pytest.fixture
def loop(descriptors: None, new_loop: loops.Factory) -> Iterator[asyncio.AbstractEventLoop]:
    """A loop of the kind under test, closed at the end; all its descriptors must be gone then."""
    loop = new_loop()
    yield loop
    loop.close()


@pytest.fixture
def no_gc() -> Iterator[None]:
    """Only reference counts free objects during the test."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()
    gc.collect()


@pytest.fixture
def reported(loop: asyncio.AbstractEventLoop) -> list[dict[str, Any]]:
    """What the loop's exception handler is called with."""
    contexts: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda loop, context: contexts.append(context))
    return contexts

"""`EventLoopPolicy`, on the versions of Python that have policies."""

from __future__ import annotations

import asyncio
import concurrent.futures
import subprocess
import sys
import warnings
from asyncio import events
from collections.abc import Iterator

import ferrio
import pytest
from ferrio import _install

pytestmark = pytest.mark.skipif(not _install.HAS_POLICIES, reason="asyncio has no policies")


@pytest.fixture
def policy() -> Iterator[events.AbstractEventLoopPolicy]:
    mechanism = _install.Policy()
    before = mechanism.current()
    policy = ferrio.EventLoopPolicy()
    mechanism.put(policy)
    yield policy
    mechanism.put(before)


def test_is_asked_for_before_it_is_made() -> None:
    source = "import ferrio, sys; print('ferrio._policy' in sys.modules, ferrio.EventLoopPolicy)"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", source], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False <class 'ferrio.EventLoopPolicy'>\n"


def test_is_one_of_asyncios() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        assert issubclass(ferrio.EventLoopPolicy, asyncio.AbstractEventLoopPolicy)
        asyncio.set_event_loop_policy(ferrio.EventLoopPolicy())
        asyncio.set_event_loop_policy(None)


def test_makes_ferrio_loops(policy: events.AbstractEventLoopPolicy) -> None:
    async def loop_type() -> type:
        return type(asyncio.get_running_loop())

    loop = policy.new_event_loop()
    loop.close()
    assert type(loop) is ferrio.Loop
    assert asyncio.run(loop_type()) is ferrio.Loop


def test_keeps_a_current_loop_for_each_thread(policy: events.AbstractEventLoopPolicy) -> None:
    loop = policy.new_event_loop()
    try:
        policy.set_event_loop(loop)
        assert policy.get_event_loop() is loop

        with concurrent.futures.ThreadPoolExecutor(1) as other_thread:
            future = other_thread.submit(policy.get_event_loop)
            assert isinstance(future.exception(), RuntimeError)
        assert policy.get_event_loop() is loop
    finally:
        policy.set_event_loop(None)
        loop.close()
    with pytest.raises(RuntimeError, match="There is no current event loop in thread"):
        policy.get_event_loop()
    with pytest.raises(TypeError, match="loop must be an instance of AbstractEventLoop"):
        policy.set_event_loop(object())  # type: ignore[arg-type]


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="child watchers went with 3.14")
def test_has_the_child_watchers_of_its_version(policy: events.AbstractEventLoopPolicy) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        watcher = policy.get_child_watcher()
        assert watcher is policy.get_child_watcher()
        default = asyncio.DefaultEventLoopPolicy().get_child_watcher()
        assert type(watcher) is type(default)
        other = type(default)()
        policy.set_child_watcher(other)
        assert policy.get_child_watcher() is other
        policy.set_child_watcher(None)  # type: ignore[arg-type]
        default.close()


def test_may_be_subclassed() -> None:
    class Own(ferrio.EventLoopPolicy):
        pass

    loop = Own().new_event_loop()
    loop.close()
    assert type(loop) is ferrio.Loop


def test_the_class_of_its_loops_can_be_derived_from() -> None:
    """As ZEO does. What a program puts in its place makes the loops."""
    found = _install.Policy().current()
    ferrio.install()
    try:
        policy = _install.Policy().current()
        assert policy._loop_factory is ferrio.Loop

        class Derived(policy._loop_factory):  # type: ignore[misc, name-defined]
            pass

        policy._loop_factory = Derived
        loop = asyncio.new_event_loop()
        loop.close()
        assert type(loop) is Derived
    finally:
        ferrio.uninstall()
    assert _install.Policy().current() is found

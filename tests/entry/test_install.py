"""`install` and `uninstall`: every later loop is ferrio's, and afterwards all is as it was."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import warnings
from asyncio import events
from collections.abc import Iterator
from typing import Any

import ferrio
import pytest
from ferrio import _install

pytestmark = pytest.mark.filterwarnings("error")

has_policies = pytest.mark.skipif(not _install.HAS_POLICIES, reason="asyncio has no policies")


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    """Whatever a test leaves behind, the next one starts without it."""
    mechanism = _install.Policy() if _install.HAS_POLICIES else _install.Function()
    before = mechanism.current()
    yield
    mechanism.put(before)


def new_loop_type() -> type:
    loop = asyncio.new_event_loop()
    loop.close()
    return type(loop)


async def running_loop_type() -> type:
    return type(asyncio.get_running_loop())


def test_every_later_loop_is_ferrios() -> None:
    assert new_loop_type() is not ferrio.Loop
    ferrio.install()
    assert new_loop_type() is ferrio.Loop
    assert asyncio.run(running_loop_type()) is ferrio.Loop
    with asyncio.Runner() as runner:
        assert runner.run(running_loop_type()) is ferrio.Loop
    ferrio.uninstall()
    assert new_loop_type() is not ferrio.Loop
    assert asyncio.run(running_loop_type()) is not ferrio.Loop


def test_in_another_thread() -> None:
    found: list[type] = []
    ferrio.install()
    thread = threading.Thread(target=lambda: found.append(asyncio.run(running_loop_type())))
    thread.start()
    thread.join()
    assert found == [ferrio.Loop]


def test_a_running_loop_is_left_alone() -> None:
    async def main() -> type:
        ferrio.install()
        await asyncio.sleep(0)
        return type(asyncio.get_running_loop())

    before = new_loop_type()
    assert asyncio.run(main()) is before
    assert new_loop_type() is ferrio.Loop


def test_both_are_idempotent() -> None:
    before = new_loop_type()
    ferrio.uninstall()
    assert new_loop_type() is before
    ferrio.install()
    ferrio.install()
    assert new_loop_type() is ferrio.Loop
    ferrio.uninstall()
    assert new_loop_type() is before
    ferrio.uninstall()
    assert new_loop_type() is before


@has_policies
def test_exactly_what_was_there_comes_back() -> None:
    set_policy = _install.Policy().put
    set_policy(None)
    ferrio.install()
    ferrio.uninstall()
    # Not only a policy of the default kind: none, as in a fresh process.
    assert events._event_loop_policy is None  # type: ignore[attr-defined]

    mine = ferrio.EventLoopPolicy()
    set_policy(mine)
    ferrio.install()
    assert events._event_loop_policy is not mine  # type: ignore[attr-defined]
    ferrio.uninstall()
    assert events._event_loop_policy is mine  # type: ignore[attr-defined]


@has_policies
def test_what_others_put_on_top_is_theirs() -> None:
    set_policy = _install.Policy().put
    ferrio.install()
    theirs = ferrio.EventLoopPolicy()
    set_policy(theirs)
    ferrio.uninstall()
    assert events._event_loop_policy is theirs  # type: ignore[attr-defined]
    # Installed over it once more, it is what comes back.
    ferrio.install()
    assert events._event_loop_policy is not theirs  # type: ignore[attr-defined]
    ferrio.uninstall()
    assert events._event_loop_policy is theirs  # type: ignore[attr-defined]


@has_policies
def test_undone_although_others_came_and_went() -> None:
    set_policy = _install.Policy().put
    before = new_loop_type()
    ferrio.install()
    ours = events._event_loop_policy  # type: ignore[attr-defined]
    set_policy(None)
    set_policy(ours)
    ferrio.uninstall()
    assert new_loop_type() is before


@has_policies
def test_the_current_loop_of_before_is_current_again() -> None:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        ferrio.install()
        asyncio.set_event_loop(None)
        ferrio.uninstall()
        assert asyncio.get_event_loop() is loop
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def test_get_event_loop_under_install() -> None:
    ferrio.install()
    loop = asyncio.new_event_loop()
    try:
        asyncio.set_event_loop(loop)
        assert asyncio.get_event_loop() is loop
    finally:
        asyncio.set_event_loop(None)
        loop.close()
    with pytest.raises(RuntimeError, match="no current event loop"):
        asyncio.get_event_loop()


@pytest.mark.skipif(
    not (3, 11) <= sys.version_info < (3, 14), reason="get_event_loop makes loops up to 3.13"
)
def test_get_event_loop_makes_a_ferrio_loop() -> None:
    ferrio.install()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        loop = asyncio.get_event_loop()
    assert type(loop) is ferrio.Loop
    loop.close()


class TestWithoutPolicies:
    """The way of Python 3.16, which works with any older version too."""

    def test_on_and_off(self) -> None:
        original = asyncio.new_event_loop
        switch = _install.Switch(_install.Function())
        switch.on(ferrio.new_event_loop)
        try:
            assert new_loop_type() is ferrio.Loop
            assert asyncio.run(running_loop_type()) is ferrio.Loop
            switch.on(ferrio.new_event_loop)
        finally:
            switch.off()
        assert asyncio.new_event_loop is events.new_event_loop is original
        assert new_loop_type() is not ferrio.Loop
        switch.off()
        assert asyncio.new_event_loop is original

    def test_on_top_of_others(self, monkeypatch: pytest.MonkeyPatch) -> None:
        # Put back in the end, whatever stands there by then.
        monkeypatch.setattr(asyncio, "new_event_loop", asyncio.new_event_loop)
        monkeypatch.setattr(events, "new_event_loop", events.new_event_loop)
        switch = _install.Switch(_install.Function())
        switch.on(ferrio.new_event_loop)
        ours = asyncio.new_event_loop

        def theirs() -> Any:
            return ours()

        monkeypatch.setattr(asyncio, "new_event_loop", theirs)
        monkeypatch.setattr(events, "new_event_loop", theirs)
        switch.off()
        assert asyncio.new_event_loop is events.new_event_loop is theirs


def in_a_fresh_process(source: str, *options: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", *options, "-c", source],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_importing_changes_nothing() -> None:
    source = """
import asyncio, asyncio.events as events, logging, os, signal, sys, threading, warnings
watched = lambda: (
    [getattr(events, name, None) for name in ("_event_loop_policy", "new_event_loop")],
    asyncio.new_event_loop, asyncio.run, asyncio.Runner, asyncio.Task, asyncio.Future,
    [signal.getsignal(n) for n in range(1, 32)], signal.set_wakeup_fd(-1),
    sys.excepthook, sys.get_asyncgen_hooks(), sys.get_coroutine_origin_tracking_depth(),
    threading.active_count(), list(warnings.filters), logging.getLogger("asyncio").handlers,
    dict(os.environ), sys.path[:], os.listdir("/proc/self/fd") if os.path.isdir("/proc") else 0,
)
before = watched()
modules = set(sys.modules)
import ferrio
assert watched() == before
print(*sorted(name for name in set(sys.modules) - modules if not name.startswith("ferrio")))
"""
    # asyncio is imported before, so that it does not count; nothing else is needed.
    assert set(in_a_fresh_process(source).split()) <= {"__future__", "typing", "_typing"}


def test_importing_costs_little_more_than_asyncio() -> None:
    source = """
import asyncio, time
start = time.process_time()
import ferrio
print(time.process_time() - start)
"""
    assert min(float(in_a_fresh_process(source)) for _ in range(5)) < 0.03


def test_no_policy_is_made_by_installing() -> None:
    source = """
import asyncio, ferrio
ferrio.install()
async def main():
    return type(asyncio.get_running_loop()).__name__
print(asyncio.run(main()))
ferrio.uninstall()
print(getattr(asyncio.events, "_event_loop_policy", None))
"""
    assert in_a_fresh_process(source) == "Loop\nNone\n"

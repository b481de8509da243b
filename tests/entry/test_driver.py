"""`driver=` and FERRIO_DRIVER: what a loop waits for events with, and who says so."""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Callable
from typing import Any

import ferrio
import pytest

DRIVERS = ["epoll", "portable"] if sys.platform == "linux" else ["portable"]
DEFAULT = DRIVERS[0]

pytestmark = [
    pytest.mark.filterwarnings("error"),
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
]

Make = Callable[..., ferrio.Loop]


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(params=[ferrio.Loop, ferrio.new_event_loop])
def make(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Make:
    monkeypatch.delenv("FERRIO_DRIVER", raising=False)
    made: Make = request.param
    return made


def driver_of(make: Callable[[], ferrio.Loop]) -> str:
    loop = make()
    try:
        return loop._driver
    finally:
        loop.close()


class TestWhoSaysSo:
    def test_the_argument(self, make: Make, driver: str) -> None:
        assert driver_of(functools.partial(make, driver=driver)) == driver

    def test_the_environment(
        self, make: Make, driver: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FERRIO_DRIVER", driver)
        assert driver_of(make) == driver

    def test_the_argument_rather_than_the_environment(
        self, make: Make, driver: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FERRIO_DRIVER", "no such thing")
        assert driver_of(functools.partial(make, driver=driver)) == driver

    @pytest.mark.parametrize("said", [{}, {"FERRIO_DRIVER": ""}])
    def test_nobody(
        self, make: Make, said: dict[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, value in said.items():
            monkeypatch.setenv(name, value)
        assert driver_of(make) == DEFAULT
        assert driver_of(functools.partial(make, driver=None)) == DEFAULT


class TestNamesThatNoDriverHas:
    @pytest.mark.parametrize("name", ["kqueue", "Portable", "", "\udcff", 3, b"portable"])
    def test_the_argument(self, make: Make, name: Any) -> None:
        with pytest.raises(ValueError, match=r"there is no driver .* on this system") as caught:
            make(driver=name)
        assert all(f"'{driver}'" in str(caught.value) for driver in DRIVERS)
        assert f"'{DEFAULT}' (the default)" in str(caught.value)

    def test_the_environment(self, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FERRIO_DRIVER", "kqueue")
        with pytest.raises(ValueError, match=r"^FERRIO_DRIVER: there is no driver 'kqueue'"):
            make()


class TestSubclasses:
    def test_the_argument_is_for_the_class(self, driver: str) -> None:
        class Own(ferrio.Loop):
            pass

        assert driver_of(functools.partial(Own, driver=driver)) == driver

    @pytest.mark.skipif(len(DRIVERS) == 1, reason="this system has one driver only")
    def test_one_that_says_so_too_late_is_told_where_to(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("FERRIO_DRIVER", raising=False)

        class Late(ferrio.Loop):
            def __init__(self) -> None:
                super().__init__(driver="portable")

        class InTime(Late):
            def __new__(cls) -> InTime:
                return super().__new__(cls, driver="portable")

        with pytest.raises(TypeError, match=r"Late was made with the driver 'epoll'.*__new__"):
            Late()
        assert driver_of(InTime) == "portable"


@pytest.mark.parametrize("timeout", [None, 0.001])
def test_a_child_of_fork_and_its_parent_both_go_on(driver: str, timeout: float | None) -> None:
    """Each on what is its own, with timers, wake-ups and what was registered before."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)

    async def works(loop: asyncio.AbstractEventLoop) -> bytes:
        answer = asyncio.ensure_future(loop.sock_recv(ours, 1))
        await asyncio.sleep(timeout or 0)
        sender = threading.Thread(target=loop.call_soon_threadsafe, args=[theirs.send, b"x"])
        sender.start()
        received = await answer
        sender.join()
        return received

    loop = ferrio.new_event_loop(driver=driver)
    read: list[bytes] = []
    try:
        loop.add_reader(ours, lambda: read.append(ours.recv(1)))
        loop.run_until_complete(asyncio.sleep(timeout or 0))
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                loop.remove_reader(ours)
                status = int(loop.run_until_complete(works(loop)) != b"x")
                loop.close()
            finally:
                os._exit(status)
        assert os.waitpid(pid, 0)[1] == 0
        theirs.send(b"y")
        while not read:
            loop.run_until_complete(asyncio.sleep(timeout or 0))
        assert read == [b"y"]
        loop.remove_reader(ours)
        assert loop.run_until_complete(works(loop)) == b"x"
    finally:
        loop.close()
        ours.close()
        theirs.close()


def test_children_are_waited_for(driver: str) -> None:
    """By threads where the driver is the portable one, as in asyncio on systems without pidfd."""

    async def main() -> tuple[int, int]:
        ended = await asyncio.create_subprocess_exec("/bin/sh", "-c", "exit 7")
        killed = await asyncio.create_subprocess_exec("sleep", "1000")
        names = [thread.name for thread in threading.enumerate()]
        assert any(name.startswith("asyncio-waitpid") for name in names) == (driver != "epoll")
        killed.kill()
        return await ended.wait(), await killed.wait()

    with asyncio.Runner(loop_factory=lambda: ferrio.new_event_loop(driver=driver)) as runner:
        assert runner.run(main()) == (7, -signal.SIGKILL)


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="asyncio has no child watchers any more")
def test_a_child_watcher_of_the_programs_waits_where_there_are_no_descriptors() -> None:
    """It may wait for any child that there is, and take ours from a thread that waits for it."""

    async def one(code: int) -> int:
        process = await asyncio.create_subprocess_exec("/bin/sh", "-c", f"exit {code}")
        return await process.wait()

    async def main() -> list[int]:
        watcher.attach_loop(asyncio.get_running_loop())
        return await asyncio.gather(*map(one, range(10)))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        watcher: Any = asyncio.FastChildWatcher()  # type: ignore[attr-defined,unused-ignore]
        set_watcher: Any = asyncio.set_child_watcher  # type: ignore[attr-defined,unused-ignore]
        set_watcher(watcher)
        try:
            make = functools.partial(ferrio.new_event_loop, driver="portable")
            with asyncio.Runner(loop_factory=make) as runner:
                assert runner.run(main()) == list(range(10))
                watcher.attach_loop(None)
        finally:
            watcher.close()
            set_watcher(None)

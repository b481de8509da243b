"""`ferrio.run` and `ferrio.new_event_loop`, and the loop under asyncio's own entry points."""

from __future__ import annotations

import asyncio
import contextvars
import signal
import sys
import threading
from collections.abc import AsyncIterator
from typing import Any

import ferrio
import pytest

pytestmark = pytest.mark.filterwarnings("error")


async def loop_type() -> type:
    return type(asyncio.get_running_loop())


class TestNewEventLoop:
    def test_is_a_loop_and_nobodys_current_one(self) -> None:
        loop = ferrio.new_event_loop()
        try:
            assert type(loop) is ferrio.Loop
            assert isinstance(loop, asyncio.AbstractEventLoop)
            assert not loop.is_running()
            assert asyncio._get_running_loop() is None
        finally:
            loop.close()

    def test_as_loop_factory_of_runner(self) -> None:
        with asyncio.Runner(loop_factory=ferrio.new_event_loop) as runner:
            assert runner.run(loop_type()) is ferrio.Loop
            assert runner.run(loop_type()) is ferrio.Loop
            loop = runner.get_loop()
        assert loop.is_closed()

    @pytest.mark.skipif(sys.version_info < (3, 12), reason="asyncio.run took it up in 3.12")
    def test_as_loop_factory_of_run(self) -> None:
        assert asyncio.run(loop_type(), loop_factory=ferrio.new_event_loop) is ferrio.Loop

    def test_class_as_loop_factory(self) -> None:
        with asyncio.Runner(loop_factory=ferrio.Loop) as runner:
            assert runner.run(loop_type()) is ferrio.Loop


class TestRun:
    def test_result(self) -> None:
        assert ferrio.run(loop_type()) is ferrio.Loop

    def test_exception(self) -> None:
        async def main() -> None:
            raise LookupError("x")

        with pytest.raises(LookupError, match="x"):
            ferrio.run(main())

    @pytest.mark.parametrize("debug", [True, False])
    def test_debug(self, debug: bool) -> None:
        async def main() -> bool:
            return asyncio.get_running_loop().get_debug()

        assert ferrio.run(main(), debug=debug) is debug

    def test_debug_of_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async def main() -> bool:
            return asyncio.get_running_loop().get_debug()

        monkeypatch.setenv("PYTHONASYNCIODEBUG", "1")
        assert ferrio.run(main()) is True
        assert ferrio.run(main(), debug=False) is False

    def test_loop_factory(self) -> None:
        class Own(ferrio.Loop):
            pass

        assert ferrio.run(loop_type(), loop_factory=Own) is Own
        assert ferrio.run(loop_type(), loop_factory=None) is ferrio.Loop

    def test_what_is_no_coroutine(self) -> None:
        kind = TypeError if sys.version_info >= (3, 14) else ValueError
        with pytest.raises(kind):
            ferrio.run(loop_type)  # type: ignore[arg-type]

    @pytest.mark.skipif(
        sys.version_info < (3, 14), reason="asyncio.run takes awaitables since 3.14"
    )
    def test_awaitable(self) -> None:
        class Awaitable:
            def __await__(self) -> Any:
                yield from asyncio.sleep(0).__await__()
                return 5

        assert ferrio.run(Awaitable()) == 5  # type: ignore[arg-type,unused-ignore]

    def test_inside_a_loop(self) -> None:
        async def main() -> None:
            coroutine = loop_type()
            with pytest.raises(RuntimeError, match=r"^ferrio\.run\(\) cannot be called from a run"):
                ferrio.run(coroutine)
            coroutine.close()

        ferrio.run(main())

    def test_everything_is_wound_up(self) -> None:
        events: list[str] = []

        async def generator() -> AsyncIterator[int]:
            try:
                yield 1
            finally:
                await asyncio.sleep(0)
                events.append("generator closed")

        async def background() -> None:
            try:
                await asyncio.sleep(1000)
            finally:
                events.append("task cancelled")

        async def main() -> asyncio.AbstractEventLoop:
            task = asyncio.create_task(background())
            agen = generator()
            await anext(agen)
            await asyncio.to_thread(events.append, "thread")
            main.keep = task, agen  # type: ignore[attr-defined]
            return asyncio.get_running_loop()

        threads = threading.active_count()
        loop = ferrio.run(main())
        assert loop.is_closed()
        assert events == ["thread", "task cancelled", "generator closed"]
        assert threading.active_count() == threads

    def test_context_of_the_caller(self) -> None:
        variable = contextvars.ContextVar("variable", default=1)
        variable.set(2)

        async def main() -> int:
            value = variable.get()
            variable.set(3)
            return value

        assert ferrio.run(main()) == 2
        assert variable.get() == 2

    def test_in_a_thread(self) -> None:
        found: list[type] = []
        thread = threading.Thread(target=lambda: found.append(ferrio.run(loop_type())))
        thread.start()
        thread.join()
        assert found == [ferrio.Loop]

    def test_ctrl_c_cancels_main(self) -> None:
        cancelled: list[bool] = []

        async def main() -> None:
            asyncio.get_running_loop().call_later(0.01, signal.raise_signal, signal.SIGINT)
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                cancelled.append(True)
                raise

        handler = signal.getsignal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            ferrio.run(main())
        assert cancelled == [True]
        assert signal.getsignal(signal.SIGINT) is handler

    def test_the_current_loop_is_not_touched(self) -> None:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        try:
            ferrio.run(loop_type())
            assert asyncio.get_event_loop() is loop
        finally:
            asyncio.set_event_loop(None)
            loop.close()


def test_the_packages_names() -> None:
    assert set(ferrio.__all__) <= set(dir(ferrio))
    for name in ferrio.__all__:
        assert getattr(ferrio, name) is not None
    with pytest.raises(AttributeError, match="module 'ferrio' has no attribute 'nonsense'"):
        _ = ferrio.nonsense
    assert ferrio.Loop.__module__ == "ferrio"
    assert ferrio.run.__doc__
    assert ferrio.install.__doc__

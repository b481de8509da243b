"""anyio's asyncio backend on the loop under test, through `loop_factory`."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest
from anyio.abc import SocketAttribute, SocketStream

from tests import loops

LOCALHOST = "127.0.0.1"

Run = Callable[[Callable[[], Awaitable[Any]]], Any]


@pytest.fixture
def run(new_loop: loops.Factory) -> Run:
    def run(function: Callable[[], Awaitable[Any]]) -> Any:
        return anyio.run(function, backend="asyncio", backend_options={"loop_factory": new_loop})

    return run


def test_the_loop_is_ours(run: Run, new_loop: loops.Factory) -> None:
    async def main() -> type:
        return type(asyncio.get_running_loop())

    expected = new_loop()
    expected.close()
    assert run(main) is type(expected)


def test_tcp_with_many_clients(run: Run) -> None:
    async def echo(stream: SocketStream) -> None:
        async with stream:
            async for data in stream:
                await stream.send(data)

    async def main() -> None:
        listener = await anyio.create_tcp_listener(local_host=LOCALHOST)
        port = listener.extra(SocketAttribute.local_port)

        async def talk(number: int) -> None:
            async with await anyio.connect_tcp(LOCALHOST, port) as stream:
                for _ in range(10):
                    await stream.send(b"%06d" % number)
                    assert await stream.receive(6) == b"%06d" % number
                await stream.send_eof()
                with pytest.raises(anyio.EndOfStream):
                    await stream.receive()

        async with listener, anyio.create_task_group() as group:
            group.start_soon(listener.serve, echo)
            async with anyio.create_task_group() as clients:
                for number in range(40):
                    clients.start_soon(talk, number)
            group.cancel_scope.cancel()

    run(main)


def test_large_transfers(run: Run) -> None:
    data = bytes(range(256)) * (1 << 14)

    async def main() -> None:
        async def send_all(stream: SocketStream) -> None:
            async with stream:
                await stream.send(data)

        listener = await anyio.create_tcp_listener(local_host=LOCALHOST)
        port = listener.extra(SocketAttribute.local_port)
        async with listener, anyio.create_task_group() as group:
            group.start_soon(listener.serve, send_all)
            async with await anyio.connect_tcp(LOCALHOST, port) as stream:
                received = b"".join([chunk async for chunk in stream])
            assert received == data
            group.cancel_scope.cancel()

    run(main)


def test_happy_eyeballs_of_anyio(run: Run) -> None:
    async def main() -> None:
        listener = await anyio.create_tcp_listener(local_host=LOCALHOST)
        port = listener.extra(SocketAttribute.local_port)

        async def hang_up(stream: SocketStream) -> None:
            await stream.aclose()

        async with listener, anyio.create_task_group() as group:
            group.start_soon(listener.serve, hang_up)
            async with await anyio.connect_tcp("localhost", port) as stream:
                assert stream.extra(SocketAttribute.remote_address)[0] == LOCALHOST
            group.cancel_scope.cancel()

    run(main)


def test_threads(run: Run) -> None:
    async def main() -> None:
        def work(number: int) -> int:
            anyio.from_thread.run_sync(seen.append, number)
            return anyio.from_thread.run(double, number)

        async def double(number: int) -> int:
            await anyio.sleep(0)
            return 2 * number

        seen: list[int] = []
        async with anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(anyio.to_thread.run_sync, work, number)
        assert sorted(seen) == list(range(20))
        assert await anyio.to_thread.run_sync(work, 21) == 42

    run(main)


def test_blocking_portal(new_loop: loops.Factory) -> None:
    with anyio.from_thread.start_blocking_portal("asyncio", {"loop_factory": new_loop}) as portal:
        assert portal.call(asyncio.sleep, 0.01, "slept") == "slept"
        future = portal.start_task_soon(anyio.sleep, 30)
        future.cancel()


def test_cancel_scopes(run: Run) -> None:
    async def main() -> None:
        with anyio.move_on_after(0.02) as scope:
            await anyio.sleep(30)
        assert scope.cancelled_caught
        one, other = socket.socketpair()
        with one, other, pytest.raises(TimeoutError), anyio.fail_after(0.02):
            await anyio.wait_readable(one)

    run(main)


def test_waiting_for_sockets(run: Run) -> None:
    async def main() -> None:
        one, other = socket.socketpair()
        with one, other:
            one.setblocking(False)
            await anyio.wait_writable(one)
            async with anyio.create_task_group() as group:
                group.start_soon(anyio.wait_readable, one)
                await anyio.sleep(0.01)
                other.send(b"x")
            assert one.recv(10) == b"x"

    run(main)


def test_signals(run: Run) -> None:
    import os
    import signal

    async def main() -> None:
        with anyio.open_signal_receiver(signal.SIGUSR1, signal.SIGUSR2) as signals:
            for number in (signal.SIGUSR1, signal.SIGUSR2):
                os.kill(os.getpid(), number)
                assert await anext(signals) == number

    run(main)

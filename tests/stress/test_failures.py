"""Exceptions, BaseExceptions too, out of everything that the loop calls: it goes on and works."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import struct
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import pytest

Loop = asyncio.AbstractEventLoop
LOCALHOST = "127.0.0.1"


class Odd(BaseException):
    """Neither an Exception nor one that ends the run."""


ERRORS = [
    ValueError,
    Odd,
    asyncio.CancelledError,
    GeneratorExit,
    StopIteration,
    RecursionError,
    MemoryError,
]
ENDING = [KeyboardInterrupt, SystemExit]

by_name = pytest.mark.parametrize("error", ERRORS)
by_ending_name = pytest.mark.parametrize("error", ENDING)


def works(loop: Loop) -> bool:
    """Whether the loop still runs callbacks, timers, tasks and connections."""

    async def main() -> bytes:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.readexactly(4))
            writer.close()

        server = await asyncio.start_server(echo, LOCALHOST, 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"ping")
        answer = await reader.read()
        writer.close()
        server.close()
        await server.wait_closed()
        return answer

    return loop.run_until_complete(asyncio.wait_for(main(), 60)) == b"ping"


@by_name
@pytest.mark.parametrize("how", ["call_soon", "call_later", "call_soon_threadsafe", "add_reader"])
def test_a_failing_callback(
    loop: Loop, reported: list[Any], how: str, error: type[BaseException]
) -> None:
    def fail() -> None:
        loop.remove_reader(one)
        raise error("on purpose")

    one, other = socket.socketpair()
    with one, other:
        other.send(b"x")
        match how:
            case "call_soon":
                loop.call_soon(fail)
            case "call_later":
                loop.call_later(0.001, fail)
            case "call_soon_threadsafe":
                loop.call_soon_threadsafe(fail)
            case _:
                loop.add_reader(one, fail)
        loop.run_until_complete(asyncio.sleep(0.01))
    assert [type(context["exception"]) for context in reported] == [error]
    assert works(loop)


@by_ending_name
def test_a_callback_that_ends_the_run(
    loop: Loop, reported: list[Any], error: type[BaseException]
) -> None:
    def fail() -> None:
        raise error("on purpose")

    loop.call_soon(fail)
    with pytest.raises(error):
        loop.run_forever()
    assert reported == []
    assert works(loop)


METHODS = ["connection_made", "data_received", "eof_received", "connection_lost"]
FLOW_METHODS = ["pause_writing", "resume_writing"]


def failing_protocol(method: str, error: type[BaseException], lost: asyncio.Future[None]) -> type:
    """A protocol one of whose methods raises `error`; `lost` says that the connection is over."""

    class Failing(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def connection_lost(self, exc: BaseException | None) -> None:
            if not lost.done():
                lost.set_result(None)

    healthy = getattr(Failing, method)

    def fail(self: Failing, *args: Any) -> None:
        healthy(self, *args)
        if not failed:
            failed.append(True)
            raise error("on purpose")

    failed: list[bool] = []

    setattr(Failing, method, fail)
    return Failing


@by_name
@pytest.mark.parametrize("method", METHODS)
def test_a_failing_protocol_method(
    loop: Loop, reported: list[Any], method: str, error: type[BaseException]
) -> None:
    async def main() -> None:
        lost = loop.create_future()
        server = await loop.create_server(failing_protocol(method, error, lost), LOCALHOST, 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"data")
        writer.write_eof()
        with contextlib.suppress(ConnectionError):
            await asyncio.wait_for(reader.read(), 60)
        writer.close()
        await asyncio.wait_for(lost, 60)
        server.close()
        await server.wait_closed()

    loop.run_until_complete(main())
    assert error in {type(context.get("exception")) for context in reported}
    assert works(loop)


@by_ending_name
@pytest.mark.parametrize("method", METHODS)
def test_a_protocol_method_that_ends_the_run(
    loop: Loop, reported: list[Any], method: str, error: type[BaseException]
) -> None:
    lost = loop.create_future()

    async def main() -> None:
        server = await loop.create_server(failing_protocol(method, error, lost), LOCALHOST, 0)
        loop.call_later(5, lost.cancel)
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        try:
            writer.write(b"data")
            writer.write_eof()
            await lost
            await asyncio.sleep(5)
        finally:
            writer.transport.abort()
            server.close()

    task = loop.create_task(main())
    with pytest.raises(error):
        loop.run_until_complete(task)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        loop.run_until_complete(task)
    loop.run_until_complete(asyncio.sleep(0.02))
    assert works(loop)


@by_name
@pytest.mark.parametrize("method", FLOW_METHODS)
def test_failing_flow_control(
    loop: Loop, reported: list[Any], method: str, error: type[BaseException]
) -> None:
    async def main() -> None:
        lost = loop.create_future()
        server = await asyncio.start_server(drink, LOCALHOST, 0)
        transport, _ = await loop.create_connection(
            failing_protocol(method, error, lost), *server.sockets[0].getsockname()
        )
        transport.write(bytes(1 << 24))  # type: ignore[attr-defined]
        transport.close()
        await asyncio.wait_for(lost, 60)
        server.close()
        await server.wait_closed()

    async def drink(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.01)
        count = 0
        while data := await reader.read(1 << 20):
            count += len(data)
        assert count == 1 << 24
        writer.close()

    loop.run_until_complete(main())
    expected = {error}
    assert {type(context.get("exception")) for context in reported} == expected
    assert works(loop)


@by_name
def test_a_failing_server_factory(
    loop: Loop, reported: list[Any], error: type[BaseException]
) -> None:
    async def main() -> None:
        def fail() -> asyncio.Protocol:
            raise error("on purpose")

        server = await loop.create_server(fail, LOCALHOST, 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        assert await asyncio.wait_for(reader.read(), 60) == b""
        writer.close()
        server.close()
        await server.wait_closed()

    loop.run_until_complete(main())
    assert works(loop)


@pytest.mark.parametrize("error", [*ERRORS, *ENDING])
def test_a_failing_client_factory(loop: Loop, error: type[BaseException]) -> None:
    def fail() -> asyncio.Protocol:
        raise error("on purpose")

    async def main() -> None:
        server = await loop.create_server(asyncio.Protocol, LOCALHOST, 0)
        try:
            await loop.create_connection(fail, *server.sockets[0].getsockname())
        finally:
            server.close()

    with pytest.raises(BaseException) as caught:  # noqa: PT011
        loop.run_until_complete(main())
    assert type(caught.value) in (error, RuntimeError)
    loop.run_until_complete(asyncio.sleep(0.02))
    assert works(loop)


@by_name
def test_a_failing_task(loop: Loop, reported: list[Any], error: type[BaseException]) -> None:
    async def fail() -> None:
        await asyncio.sleep(0)
        raise error("on purpose")

    async def main() -> None:
        task = asyncio.create_task(fail())
        await asyncio.wait([task])
        assert task.cancelled() or task.exception() is not None

    loop.run_until_complete(main())
    assert works(loop)


@by_name
@pytest.mark.parametrize("method", ["get_buffer", "buffer_updated"])
def test_a_failing_buffered_protocol(
    loop: Loop, reported: list[Any], method: str, error: type[BaseException]
) -> None:
    async def main() -> None:
        lost = loop.create_future()

        class Buffered(asyncio.BufferedProtocol):
            def get_buffer(self, sizehint: int) -> bytearray:
                return bytearray(100)

            def buffer_updated(self, nbytes: int) -> None: ...

            def connection_lost(self, exc: BaseException | None) -> None:
                lost.set_result(None)

        def fail(self: Any, *args: Any) -> None:
            raise error("on purpose")

        setattr(Buffered, method, fail)
        server = await loop.create_server(Buffered, LOCALHOST, 0)
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"data")
        await asyncio.sleep(0.02)
        writer.close()
        await asyncio.wait_for(lost, 60)
        server.close()
        await server.wait_closed()

    loop.run_until_complete(main())
    assert works(loop)


@by_name
def test_a_failing_signal_handler(
    loop: Loop, reported: list[Any], error: type[BaseException]
) -> None:
    import os
    import signal

    def fail() -> None:
        raise error("on purpose")

    loop.add_signal_handler(signal.SIGUSR1, fail)
    os.kill(os.getpid(), signal.SIGUSR1)
    loop.run_until_complete(asyncio.sleep(0.02))
    loop.remove_signal_handler(signal.SIGUSR1)
    assert [type(context["exception"]) for context in reported] == [error]
    assert works(loop)


def test_a_flood_of_resets(loop: Loop, reported: list[Any]) -> None:
    """Half of the peers reset before they are accepted, half in the middle of a transfer."""

    async def main() -> None:
        lost = 0

        class Server(asyncio.Protocol):
            def connection_made(self, transport: Any) -> None:
                transport.write(bytes(100_000))

            def connection_lost(self, exc: BaseException | None) -> None:
                nonlocal lost
                lost += 1

        server = await loop.create_server(Server, LOCALHOST, 0, backlog=100)
        address = server.sockets[0].getsockname()
        for number in range(400):
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.setblocking(False)
            await loop.sock_connect(client, address)
            if number % 2:
                await loop.sock_recv(client, 100)
            client.close()
        for _ in range(100):
            await asyncio.sleep(0.01)
            if lost >= 200:
                break
        server.close()
        await server.wait_closed()

    loop.run_until_complete(main())
    assert reported == []
    assert works(loop)


async def close_in(action: str, transport: Any) -> None:
    getattr(transport, action)()


REENTRANT: dict[str, Callable[[Any], Any]] = {
    "close": lambda transport: transport.close(),
    "abort": lambda transport: transport.abort(),
    "write and close": lambda transport: (transport.write(b"x" * 100_000), transport.close()),
    "pause": lambda transport: transport.pause_reading(),
    "change the protocol": lambda transport: transport.set_protocol(asyncio.Protocol()),
    "stop the loop": lambda transport: asyncio.get_running_loop().stop(),
}


@pytest.mark.parametrize("action", REENTRANT)
@pytest.mark.parametrize("method", [*METHODS, *FLOW_METHODS])
def test_anything_may_be_done_inside_a_protocol_method(
    loop: Loop, reported: list[Any], method: str, action: str
) -> None:
    class Reentrant(asyncio.Protocol):
        transport: Any = None

        def connection_made(self, transport: Any) -> None:
            self.transport = transport

    healthy = getattr(Reentrant, method)

    def act(self: Any, *args: Any) -> Any:
        result = healthy(self, *args)
        REENTRANT[action](self.transport)
        return result

    setattr(Reentrant, method, act)

    async def main() -> None:
        server = await loop.create_server(Reentrant, LOCALHOST, 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        transport, _ = await loop.create_connection(Reentrant, *server.sockets[0].getsockname())
        with contextlib.suppress(OSError, RuntimeError):
            transport.write(bytes(1 << 22))  # type: ignore[attr-defined]
            writer.write(b"data")
            writer.write_eof()
        with contextlib.suppress(OSError, TimeoutError):
            await asyncio.wait_for(reader.read(), 0.05)
        writer.transport.abort()
        transport.abort()  # type: ignore[attr-defined]
        server.close()
        await asyncio.sleep(0.01)

    task = loop.create_task(main())
    for _ in range(100):
        # An action may stop the loop.
        with contextlib.suppress(RuntimeError):
            loop.run_until_complete(task)
        if task.done():
            break
    assert task.exception() is None
    # What was still to come may stop it once more.
    with contextlib.suppress(RuntimeError):
        loop.run_until_complete(asyncio.sleep(0.02))
    assert [context for context in reported if "exception" in context] == []
    assert works(loop)


@pytest.mark.skipif(sys.platform != "linux", reason="sendfile(2) as it is on Linux")
@pytest.mark.parametrize("times", [0, 1, 2])
def test_a_file_ends_with_an_error_where_its_socket_cannot_be_watched(
    loop: Loop, reported: list[dict[str, Any]], times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """epoll_ctl(2): ENOSPC, ENOMEM. asyncio waits for ever if it is not the first time."""
    if type(loop).__module__.partition(".")[0] == "asyncio":
        pytest.skip("asyncio tells nobody, or not how much was sent")
    add_writer, left = loop.add_writer, times

    def fail_later(*args: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(errno.ENOSPC, "no more watches")
        return add_writer(*args)

    monkeypatch.setattr(loop, "add_writer", fail_later)

    async def main() -> None:
        one, two = socket.socketpair()
        with one, two, tempfile.TemporaryFile() as file:
            one.setblocking(False)
            two.setblocking(False)
            file.write(bytes(1 << 22))
            file.seek(0)
            sending = asyncio.ensure_future(loop.sock_sendfile(one, file))
            received = 0
            async with asyncio.timeout(30):
                while not sending.done():
                    with contextlib.suppress(BlockingIOError):
                        received += len(two.recv(1 << 20))
                    await asyncio.sleep(0.001)
            with pytest.raises(OSError, match="no more watches"):
                await sending
            with contextlib.suppress(BlockingIOError):
                while data := two.recv(1 << 20):
                    received += len(data)
            assert file.tell() == received

    loop.run_until_complete(main())
    assert reported == []

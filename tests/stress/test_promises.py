"""What asyncio promises and some of its versions break: no parity test can ask for it there."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable
from typing import Any

import pytest

from tests import loops

Loop = asyncio.AbstractEventLoop
LOCALHOST = "127.0.0.1"


class Collector(asyncio.Protocol):
    """Keeps what it receives until the end."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.over = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data

    def connection_lost(self, exc: BaseException | None) -> None:
        self.over.set_result(exc)


async def what_arrives(write: Any) -> bytes:
    """What the peer receives if `write` is given a transport, which is then closed."""
    loop = asyncio.get_running_loop()
    accepted: list[Collector] = []

    def accept() -> Collector:
        accepted.append(Collector())
        return accepted[-1]

    server = await loop.create_server(accept, LOCALHOST, 0)
    transport, client = await loop.create_connection(Collector, *server.sockets[0].getsockname())
    write(transport)
    transport.close()
    assert await asyncio.wait_for(client.over, 60) is None
    assert await asyncio.wait_for(accepted[0].over, 60) is None
    server.close()
    await server.wait_closed()
    return bytes(accepted[0].received)


def test_a_failing_factory_closes_the_socket(loop: Loop) -> None:
    def fail() -> asyncio.Protocol:
        raise ValueError("no protocol")

    async def main() -> None:
        over = loop.create_future()

        async def wait_for_the_end(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            over.set_result(await reader.read())
            writer.close()

        server = await asyncio.start_server(wait_for_the_end, LOCALHOST, 0)
        with pytest.raises(ValueError, match="no protocol"):
            await loop.create_connection(fail, *server.sockets[0].getsockname())
        assert await asyncio.wait_for(over, 60) == b""
        server.close()
        await server.wait_closed()

    loop.run_until_complete(main())


def test_writelines_after_close_is_ignored(loop: Loop) -> None:
    def write(transport: Any) -> None:
        transport.write(b"before")
        transport.close()
        transport.writelines([b"after", b"close"])

    assert loop.run_until_complete(what_arrives(write)) == b"before"


@pytest.mark.parametrize(
    "chunks", [[b""], [b"", b""], [b"text", b""], [b"", b"text"], [b"a", b"", b"b", b""]]
)
def test_empty_chunks_do_not_block_close(loop: Loop, chunks: Iterable[bytes]) -> None:
    received = loop.run_until_complete(what_arrives(lambda t: t.writelines(chunks)))
    assert received == b"".join(chunks)


def test_views_of_any_shape_are_written(loop: Loop) -> None:
    strided = memoryview(b"a.b.c.")[::2]
    words = memoryview(bytearray(b"12345678")).cast("I")
    table = memoryview(bytearray(b"abcdef")).cast("B", (2, 3))

    def write(transport: Any) -> None:
        for view in (strided, words, table):
            transport.write(view)
        # 3.11 joins them first, and bytes.join() takes no strided memory.
        transport.writelines(
            [words, table] if sys.version_info < (3, 12) else [strided, words, table]
        )

    expected = b"abc" + b"12345678" + b"abcdef"
    expected += expected[3:] if sys.version_info < (3, 12) else expected
    assert loop.run_until_complete(what_arrives(write)) == expected


@pytest.mark.parametrize("is_blocked", [False, True])
def test_mutable_buffers_are_copied_by_writelines(loop: Loop, is_blocked: bool) -> None:
    before = bytes((1 << 24) if is_blocked else 0)

    def write(transport: Any) -> None:
        transport.write(before)
        buffer = bytearray(b"a" * 100)
        transport.writelines([buffer, memoryview(buffer)])
        buffer[:] = b"b" * 100
        buffer += b"it is ours again"

    received = loop.run_until_complete(what_arrives(write))
    assert received[len(before) :] == b"a" * 200


def test_a_running_loop_cannot_be_run(loop: Loop) -> None:
    async def main() -> None:
        with pytest.raises(RuntimeError, match="This event loop is already running"):
            loop.run_forever()
        coroutine = asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="This event loop is already running"):
            loop.run_until_complete(coroutine)
        coroutine.close()
        assert asyncio.get_running_loop() is loop
        await asyncio.sleep(0.001)

    loop.run_until_complete(main())


def test_a_second_loop_cannot_run_inside_the_first(loop: Loop, new_loop: loops.Factory) -> None:
    inner = new_loop()

    async def main() -> None:
        hooks = sys.get_asyncgen_hooks()
        with pytest.raises(RuntimeError, match="Cannot run the event loop while another"):
            inner.run_forever()
        coroutine = asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="Cannot run the event loop while another"):
            inner.run_until_complete(coroutine)
        coroutine.close()
        assert asyncio.get_running_loop() is loop
        assert sys.get_asyncgen_hooks() == hooks
        assert not inner.is_running()

    loop.run_until_complete(main())
    assert inner.run_until_complete(asyncio.sleep(0, "fine")) == "fine"
    inner.close()


def test_what_is_written_before_abort_in_one_turn_is_sent(loop: Loop) -> None:
    """asyncio's write() sends at once, and programs that answer and then abort rely on it."""

    async def main() -> bytes:
        class Rude(asyncio.Protocol):
            def connection_made(self, transport: Any) -> None:
                transport.write(b"go away")
                transport.abort()

        server = await loop.create_server(Rude, LOCALHOST, 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        answer = await reader.read()
        writer.close()
        server.close()
        await server.wait_closed()
        return answer

    assert loop.run_until_complete(main()) == b"go away"


def test_what_is_written_while_the_loop_does_not_run_is_sent(loop: Loop) -> None:
    import socket

    async def connect() -> asyncio.Transport:
        transport, _ = await loop.create_connection(asyncio.Protocol, *listener.getsockname())
        return transport

    with socket.create_server((LOCALHOST, 0)) as listener:
        transport = loop.run_until_complete(connect())
        peer, _ = listener.accept()
        with peer:
            peer.settimeout(60)
            transport.write(b"between runs")
            assert peer.recv(100) == b"between runs"
        transport.close()
        loop.run_until_complete(asyncio.sleep(0.01))

"""`BufferedProtocol`: reading into the protocol's own buffer, and buffers that are no good."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from .peers import BufferedRecorder, Recorder, connected
from .trace import Trace
from .twin import twin


@twin
async def test_data_arrives_in_the_buffer(trace: Trace) -> None:
    async with connected(trace, BufferedRecorder, BufferedRecorder) as (client, server):
        client.transport.write(b"question")
        trace("received", await server.wait_for(8))
        server.transport.write(b"answer")
        trace("received", await client.wait_for(6))
        client.transport.close()
        await server.lost


@pytest.mark.parametrize("size", [1, 7, 100, 1 << 16, 1 << 20])
@twin
async def test_buffers_of_any_size(trace: Trace, size: int) -> None:
    def server(trace: Trace, name: str) -> BufferedRecorder:
        return BufferedRecorder(trace, name, size)

    async with connected(trace, server=server) as (client, server_side):
        data = bytes(range(256)) * (4 if size < 100 else 4000)
        client.transport.write(data)
        trace("same", await server_side.wait_for(len(data)) == data)


@twin
async def test_get_buffer_is_given_a_hint_and_may_return_less(trace: Trace) -> None:
    class Hinted(BufferedRecorder):
        def get_buffer(self, sizehint: int) -> Any:
            hints.add(sizehint)
            return memoryview(self.buffer)[:3]

    # How often it is asked is not promised.
    hints: set[int] = set()
    async with connected(trace, server=Hinted) as (client, server):
        client.transport.write(b"abcdef")
        trace("received", await server.wait_for(6))
        trace("hints", hints)


@twin
async def test_no_more_than_the_buffer_is_reported(trace: Trace) -> None:
    class Checked(BufferedRecorder):
        def buffer_updated(self, nbytes: int) -> None:
            trace.on("sizes", 0 < nbytes <= len(self.buffer))
            super().buffer_updated(nbytes)

    def server(trace: Trace, name: str) -> BufferedRecorder:
        return Checked(trace, name, 4)

    async with connected(trace, server=server) as (client, server_side):
        client.transport.write(b"x" * 10)
        await server_side.wait_for(10)


BAD_BUFFERS: dict[str, Any] = {
    "empty": bytearray(),
    "read-only": b"read-only",
    "None": None,
    "text": "text",
    "number": 5,
    "read-only view": memoryview(b"read-only"),
}


@pytest.mark.parametrize("kind", BAD_BUFFERS)
@twin
async def test_a_bad_buffer_ends_the_connection(trace: Trace, kind: str) -> None:
    class Bad(BufferedRecorder):
        def get_buffer(self, sizehint: int) -> Any:
            return BAD_BUFFERS[kind]

    asyncio.get_running_loop().set_exception_handler(trace.exception_handler)
    async with connected(trace, server=Bad) as (client, server):
        client.transport.write(b"data")
        await server.lost
        await client.lost


@pytest.mark.parametrize("method", ["get_buffer", "buffer_updated", "eof_received"])
@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError])
@twin
async def test_a_failing_method_ends_the_connection(
    trace: Trace, method: str, error: type[BaseException]
) -> None:
    class Failing(BufferedRecorder):
        pass

    def fail(self: Failing, *args: Any) -> Any:
        self.note("fails")
        raise error(f"in {method}")

    setattr(Failing, method, fail)
    asyncio.get_running_loop().set_exception_handler(trace.exception_handler)
    async with connected(trace, server=Failing) as (client, server):
        client.transport.write(b"data")
        client.transport.write_eof()
        await asyncio.sleep(0.05)
        trace("over", server.lost.done(), client.lost.done())


@twin
async def test_end_of_file(trace: Trace) -> None:
    async with connected(trace, server=BufferedRecorder) as (client, server):
        server.keep_open = True
        client.transport.write(b"last")
        client.transport.write_eof()
        await server.eof
        server.transport.write(b"answer")
        server.transport.close()
        trace("answer", await client.wait_for(6))
        await client.lost


@twin
async def test_pause_and_resume(trace: Trace) -> None:
    async with connected(trace, server=BufferedRecorder) as (client, server):
        server.transport.pause_reading()
        client.transport.write(b"waits")
        await asyncio.sleep(0.02)
        trace("received", bytes(server.received))
        server.transport.resume_reading()
        trace("received", await server.wait_for(5))


@twin
async def test_the_kind_of_protocol_can_change(trace: Trace) -> None:
    async with connected(trace) as (client, server):
        client.transport.write(b"one")
        await server.wait_for(3)
        buffered = BufferedRecorder(trace, "buffered")
        server.transport.set_protocol(buffered)
        client.transport.write(b"two")
        trace("buffered", await buffered.wait_for(3))
        plain = Recorder(trace, "plain")
        server.transport.set_protocol(plain)
        client.transport.write(b"three")
        trace("plain", await plain.wait_for(5))
        server.transport.set_protocol(server)


@twin
async def test_closing_inside_buffer_updated(trace: Trace) -> None:
    class Closing(BufferedRecorder):
        def buffer_updated(self, nbytes: int) -> None:
            super().buffer_updated(nbytes)
            self.transport.close()

    async with connected(trace, server=Closing) as (client, server):
        client.transport.write(b"data")
        await server.lost
        await client.lost


@twin
async def test_a_new_buffer_for_each_read(trace: Trace) -> None:
    class Fresh(BufferedRecorder):
        def get_buffer(self, sizehint: int) -> Any:
            self.buffer = bytearray(5)
            return self.buffer

    async with connected(trace, server=Fresh) as (client, server):
        client.transport.write(b"a new one for each")
        trace("received", await server.wait_for(18))

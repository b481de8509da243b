"""Where asyncio, or an earlier release of it, is wrong and nobody can depend on that."""

from __future__ import annotations

import asyncio
import contextvars
import os
import socket
import subprocess
import sys
from typing import Any

import pytest

from tests import loops
from tests.certificates import Certificates

from .peers import LOCALHOST, socket_pair

DEADLINE_SECONDS = 30


def run(new_loop: loops.Factory, coroutine: Any) -> Any:
    async def bounded() -> Any:
        async with asyncio.timeout(DEADLINE_SECONDS):
            return await coroutine

    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(bounded())


class Waits(asyncio.Protocol):
    """Tells when it is called, and in which context."""

    variable = contextvars.ContextVar("variable", default="none")

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.transport: Any = None
        self.paused = False
        self.resumed = asyncio.Event()
        self.lost = asyncio.Event()
        self.arrived = asyncio.Event()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.seen.append(self.variable.get())
        self.arrived.set()

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.data_received(data)

    def error_received(self, exc: OSError) -> None:
        self.seen.append(repr(exc))

    def connection_lost(self, exc: BaseException | None) -> None:
        self.lost.set()

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False
        self.resumed.set()


async def resumed_in_a_task(transport: Any) -> None:
    async def resume() -> None:
        Waits.variable.set("of the task")
        transport.pause_reading()
        transport.resume_reading()

    await asyncio.create_task(resume())


def test_resuming_leaves_the_context_of_a_connection(new_loop: loops.Factory) -> None:
    async def main() -> list[str]:
        Waits.variable.set("of the connection")
        one, other = socket_pair()
        with other:
            transport, protocol = await asyncio.get_running_loop().create_connection(
                Waits, sock=one
            )
            await resumed_in_a_task(transport)
            other.send(b"x")
            await protocol.arrived.wait()
            transport.close()
            await protocol.lost.wait()
            return protocol.seen

    assert run(new_loop, main()) == ["of the connection"]


def test_resuming_leaves_the_context_of_a_pipe(new_loop: loops.Factory) -> None:
    async def main() -> list[str]:
        Waits.variable.set("of the connection")
        read, write = os.pipe()
        transport, protocol = await asyncio.get_running_loop().connect_read_pipe(
            Waits, os.fdopen(read, "rb")
        )
        await resumed_in_a_task(transport)
        os.write(write, b"x")
        os.close(write)
        await protocol.lost.wait()
        return protocol.seen

    assert run(new_loop, main()) == ["of the connection"]


def test_resuming_leaves_the_context_of_a_datagram_socket(new_loop: loops.Factory) -> None:
    async def main() -> list[str]:
        Waits.variable.set("of the connection")
        transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
            Waits, local_addr=(LOCALHOST, 0)
        )
        await resumed_in_a_task(transport)
        transport.sendto(b"x", transport.get_extra_info("sockname"))
        await protocol.arrived.wait()
        transport.close()
        await protocol.lost.wait()
        return protocol.seen

    assert run(new_loop, main()) == ["of the connection"]


@pytest.mark.parametrize("address", [(), (None,)])
@pytest.mark.parametrize(
    "kind",
    # Up to 3.12 it has to be a socket of datagrams.
    [socket.SOCK_DGRAM, *([socket.SOCK_SEQPACKET] if sys.version_info >= (3, 13) else [])],
)
def test_a_peer_without_a_name_is_sent_to(
    new_loop: loops.Factory, address: Any, kind: socket.SocketKind
) -> None:
    async def main() -> None:
        one, other = socket.socketpair(socket.AF_UNIX, kind)
        one.setblocking(False)
        with other:
            transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
                Waits, sock=one
            )
            transport.sendto(b"first", *address)
            assert other.recv(10) == b"first"
            # Until there is no room: the rest is queued.
            count = 0
            while not transport.get_write_buffer_size():  # type: ignore[attr-defined]
                transport.sendto(b"x" * 1000, *address)
                count += 1
            other.setblocking(False)
            while count:
                try:
                    other.recv(2000)
                except BlockingIOError:
                    await asyncio.sleep(0)
                else:
                    count -= 1
            assert protocol.seen == []
            transport.close()
            await protocol.lost.wait()

    run(new_loop, main())


def test_a_protocol_that_is_paused_when_tls_begins_is_resumed(
    new_loop: loops.Factory, certificates: Certificates
) -> None:
    def answer(other: socket.socket, plain: int) -> bytes:
        other.setblocking(True)
        while plain:
            plain -= len(other.recv(plain))
        with certificates.server().wrap_socket(other, server_side=True) as secured:
            return secured.recv(10)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        one, other = socket_pair()
        reports: list[Any] = []
        loop.set_exception_handler(lambda _, context: reports.append(context))
        transport, client = await loop.create_connection(Waits, sock=one)
        plain = 0
        while not client.paused:
            transport.write(b"x" * 100_000)
            plain += 100_000
        starting = asyncio.create_task(
            loop.start_tls(transport, client, certificates.client(), server_hostname="localhost")
        )
        await asyncio.sleep(0)
        answering = asyncio.create_task(asyncio.to_thread(answer, other, plain))
        secured = await starting
        assert secured is not None
        await client.resumed.wait()
        assert not client.paused
        secured.write(b"secret")
        assert await answering == b"secret"
        await client.lost.wait()
        assert reports == []

    run(new_loop, main())


def test_what_a_reader_has_of_a_handshake_is_not_lost(
    new_loop: loops.Factory, certificates: Certificates
) -> None:
    """The client begins TLS at once, and the server reads its hello before it does."""
    from ferrio import aio

    async def main() -> None:
        loop = asyncio.get_running_loop()
        done = loop.create_future()

        async def serve(reader: Any, writer: Any) -> None:
            assert await reader.readline() == b"STARTTLS\n"
            while not reader._buffer:
                await asyncio.sleep(0.001)
            await writer.start_tls(certificates.server())
            done.set_result(await reader.readline())
            writer.close()

        server = await asyncio.start_server(serve, LOCALHOST, 0)
        async with server:
            address = server.sockets[0].getsockname()
            reader, writer = await aio.open_connection(*address)
            writer.write(b"STARTTLS\n")
            await writer.start_tls(certificates.client(), server_hostname="localhost")
            # It is this one that the reader pauses.
            assert reader._transport is writer.transport  # type: ignore[attr-defined]
            writer.write(b"secret\n")
            assert await done == b"secret\n"
            writer.close()
            await writer.wait_closed()

    run(new_loop, main())


@pytest.mark.skipif(sys.version_info < (3, 12), reason="there are no eager tasks before 3.12")
def test_a_task_of_a_group_that_fails_at_once(new_loop: loops.Factory) -> None:
    """The parent is cancelled at an await of its own, not amid the making of tasks."""
    from ferrio import aio

    async def fail() -> None:
        raise KeyError("at once")

    async def main() -> list[str]:
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        steps = []
        try:
            async with aio.TaskGroup() as group:
                group.create_task(fail())
                steps.append("made")
                group.create_task(asyncio.sleep(0))
                steps.append("made another")
                await asyncio.sleep(0)
                steps.append("awaited")
                await asyncio.sleep(60)
        except* KeyError:
            steps.append("failed")
        return steps

    assert run(new_loop, main())[:2] == ["made", "made another"]


def test_a_grandchild_that_keeps_the_pipes(new_loop: loops.Factory) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_exec(
            "sh",
            "-c",
            "sleep 60 & echo $!; exit 7",
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        grandchild = int(await process.stdout.readline())
        waiting = [asyncio.create_task(process.wait()) for _ in range(2)]
        assert await asyncio.gather(*waiting) == [7, 7]
        assert await process.wait() == 7
        os.kill(grandchild, 9)
        assert await process.stdout.read() == b""

    run(new_loop, main())

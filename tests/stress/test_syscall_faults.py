"""One system call in fifty fails: nothing is lost, nothing hangs, nothing is left behind.

Only on a ferrio that was built for it (`make soak`, cargo feature `faults`); its faults are those
of `crates/ferrio-engine/src/sys/faults`. What the program calls itself (`socket.socket()`,
`os.pipe()`) has none.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from tests.certificates import Certificates

from .conftest import Load

_ferrio = pytest.importorskip("ferrio._ferrio")
pytestmark = pytest.mark.skipif(
    not hasattr(_ferrio, "inject_faults"), reason="a build without the feature `faults`"
)

Loop = asyncio.AbstractEventLoop
LOCALHOST = "127.0.0.1"
ONE_IN = 50
HANG = 60


class Traffic:
    """Everything that a loop can do with the kernel, each a coroutine; all data are checked."""

    def __init__(self, loop: Loop, certificates: Certificates, seed: int) -> None:
        self.loop = loop
        self.rng = random.Random(seed)
        self.server_context = certificates.server()
        self.client_context = certificates.client()
        self.operations = 0
        # Seen by a protocol or a stream: an error is their end, wrong bytes never are.
        self.wrong: list[str] = []

    def data(self) -> bytes:
        return self.rng.randbytes(self.rng.choice([1, 100, 5_000, 70_000, 400_000]))

    async def echo(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(50_000):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            for _ in range(3):
                data = self.data()
                writer.write(data)
                answer = await reader.readexactly(len(data))
                if answer != data:
                    self.wrong.append(f"{len(data)} bytes came back changed")
                self.operations += 1
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def streams(self) -> None:
        server = await asyncio.start_server(self.echo, LOCALHOST, 0)
        async with closing(server):
            await self.ask(*await asyncio.open_connection(*server.sockets[0].getsockname()))

    async def unix_streams(self) -> None:
        path = f"\0ferrio-{os.getpid()}-{self.rng.random()}"
        server = await asyncio.start_unix_server(self.echo, path)
        async with closing(server):
            await self.ask(*await asyncio.open_unix_connection(path))

    async def tls(self) -> None:
        server = await asyncio.start_server(self.echo, LOCALHOST, 0, ssl=self.server_context)
        async with closing(server):
            address = server.sockets[0].getsockname()
            await self.ask(
                *await asyncio.open_connection(
                    *address, ssl=self.client_context, server_hostname="localhost"
                )
            )

    async def sockets(self) -> None:
        one, two = socket.socketpair()
        with one, two:
            one.setblocking(False)
            two.setblocking(False)
            data = self.data()

            async def receive() -> bytes:
                received = bytearray()
                while len(received) < len(data):
                    piece = await self.loop.sock_recv(two, 30_000)
                    if not piece:
                        break
                    received += piece
                return bytes(received)

            # If one fails, the other would wait for ever.
            both = [
                asyncio.ensure_future(receive()),
                asyncio.ensure_future(self.loop.sock_sendall(one, data)),
            ]
            try:
                received, _ = await asyncio.gather(*both)
                if received != data:
                    self.wrong.append("sock_recv received other bytes")
            finally:
                for task in both:
                    task.cancel()
                await asyncio.wait(both)
            self.operations += 1

    async def accepted_sockets(self) -> None:
        with socket.create_server((LOCALHOST, 0)) as listener, socket.socket() as client:
            listener.setblocking(False)
            client.setblocking(False)
            await self.loop.sock_connect(client, listener.getsockname())
            accepted, _ = await self.loop.sock_accept(listener)
            with accepted:
                await self.loop.sock_sendall(client, b"hello")
                if await self.loop.sock_recv(accepted, 100) not in (b"hello"[:n] for n in range(6)):
                    self.wrong.append("sock_accept gave another connection")
            self.operations += 1

    async def datagrams(self) -> None:
        """They may be lost, but come as they were sent."""
        sent = [self.rng.randbytes(self.rng.randrange(1_000)) for _ in range(20)]
        wrong = self.wrong

        class Receiver(asyncio.DatagramProtocol):
            received = 0

            def datagram_received(self, data: bytes, address: Any) -> None:
                self.received += 1
                if data not in sent:
                    wrong.append("a datagram that nobody sent")

        receiving, receiver = await self.loop.create_datagram_endpoint(
            Receiver, local_addr=(LOCALHOST, 0)
        )
        try:
            sending, _ = await self.loop.create_datagram_endpoint(
                asyncio.DatagramProtocol, remote_addr=receiving.get_extra_info("sockname")
            )
            for data in sent:
                sending.sendto(data)
            await asyncio.sleep(0.01)
            sending.close()
        finally:
            receiving.close()
        self.operations += receiver.received

    async def pipes(self) -> None:
        reading, writing = os.pipe()
        reader = asyncio.StreamReader()
        files = os.fdopen(reading, "rb"), os.fdopen(writing, "wb")
        transports: list[Any] = []
        try:
            transport, _ = await self.loop.connect_read_pipe(
                lambda: asyncio.StreamReaderProtocol(reader), files[0]
            )
            transports.append(transport)
            writer, _ = await self.loop.connect_write_pipe(asyncio.BaseProtocol, files[1])
            transports.append(writer)
            data = self.data()
            writer.write(data)
            writer.close()
            received = await reader.read()
            # What went wrong for the writer is told to its protocol.
            if received != data[: len(received)]:
                self.wrong.append("a pipe delivered other bytes")
            self.operations += 1
        finally:
            for transport in transports:
                getattr(transport, "abort", transport.close)()
            # They close their files; what could not be connected is ours.
            await asyncio.sleep(0.01)
            for file in files:
                file.close()

    async def processes(self) -> None:
        pipe = asyncio.subprocess.PIPE
        data = self.data()
        process = await asyncio.create_subprocess_exec("cat", stdin=pipe, stdout=pipe)
        try:
            out, _ = await process.communicate(data)
        finally:
            # A pipe that failed leaves the child, and its other pipe, to be seen to.
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        if out != data[: len(out)]:
            self.wrong.append("a child delivered other bytes")
        self.operations += 1

    async def readers(self) -> None:
        one, two = socket.socketpair()
        with one, two:
            told = self.loop.create_future()
            self.loop.add_reader(one, lambda: told.done() or told.set_result(one.recv(10)))
            two.send(b"x")
            try:
                if await told != b"x":
                    self.wrong.append("a reader was called for nothing")
            finally:
                self.loop.remove_reader(one)
            self.operations += 1

    def kinds(self) -> list[Callable[[], Awaitable[None]]]:
        return [
            self.streams,
            self.unix_streams,
            self.tls,
            self.sockets,
            self.accepted_sockets,
            self.datagrams,
            self.pipes,
            self.processes,
            self.readers,
        ]


@contextlib.asynccontextmanager
async def closing(server: asyncio.Server) -> Any:
    try:
        yield server
    finally:
        server.close()
        await server.wait_closed()


@pytest.fixture
def no_faults_afterwards() -> Iterator[None]:
    yield
    _ferrio.inject_faults(0, 0, True)


@pytest.mark.parametrize("harmless", [True, False], ids=["harmless", "all"])
def test_traffic_amid_faults(
    loop: Loop,
    no_faults_afterwards: None,
    certificates: Certificates,
    harmless: bool,
    reported: list[dict[str, Any]],
    load: Load,
    figures: Callable[[str], None],
) -> None:
    rounds, at_once = load(5, 200), 4
    ended: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    calls = operations = 0

    async def attempt(what: Callable[[], Awaitable[None]]) -> None:
        name = what.__name__
        try:
            async with asyncio.timeout(HANG) as timeout:
                await what()
        except (OSError, EOFError) as error:
            # ETIMEDOUT is a TimeoutError, too.
            ended[f"{name} {'HANGS' if timeout.expired() else type(error).__name__}"] += 1
        else:
            ended["well"] += 1

    for seed in range(rounds):
        traffic = Traffic(loop, certificates, seed)

        async def main() -> None:
            kinds = traffic.kinds() * at_once  # noqa: B023
            await asyncio.gather(*(attempt(kind) for kind in kinds))

        _ferrio.inject_faults(seed, ONE_IN, harmless)
        loop.run_until_complete(main())
        loop.run_until_complete(asyncio.sleep(0.05))
        count, injected = _ferrio.injected_faults()
        _ferrio.inject_faults(0, 0, True)
        assert traffic.wrong == [], f"seed {seed}"
        hanging = [name for name in ended if name.endswith("HANGS")]
        assert not hanging, f"seed {seed}: {ended}, {injected}"
        if harmless:
            assert set(ended) == {"well"}, f"seed {seed}: {ended}, {reported}"
            assert reported == [], f"seed {seed}"
        calls += count
        operations += traffic.operations
        faults.update(injected)
    figures(
        f"{sum(faults.values())} faults in {calls} calls, seeds 0 to {rounds - 1}; "
        f"{operations} exchanges right, none wrong; ended {dict(ended.most_common())}"
    )
    figures(f"{dict(sorted(faults.items()))}")

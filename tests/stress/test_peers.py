"""Peers that reset, never read, or vanish without a word."""

from __future__ import annotations

import asyncio
import gc
import json
import resource
import socket
import struct
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from .conftest import Load, resident_kib, trim_malloc

Loop = asyncio.AbstractEventLoop
LOCALHOST = "127.0.0.1"
MIB = 1 << 20


class Echo(asyncio.Protocol):
    """Counts who is there."""

    open: set[Echo]
    made = 0
    ended: dict[str, int]

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.open.add(self)
        type(self).made += 1

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        self.open.discard(self)
        name = type(exc).__name__
        self.ended[name] = self.ended.get(name, 0) + 1


def echo_class() -> type[Echo]:
    return type("Counted", (Echo,), {"open": set(), "ended": {}})


def reset(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def test_reset_flood(
    loop: Loop, load: Load, reported: list[Any], figures: Callable[[str], None]
) -> None:
    """Half of them before they can be accepted, half in the middle of an exchange."""
    count = load(600, 100_000)
    Counted = echo_class()
    failures: list[BaseException] = []
    over = threading.Event()

    def flood(address: tuple[str, int]) -> None:
        try:
            for number in range(count):
                client = socket.create_connection(address, timeout=30)
                if number % 2:
                    client.sendall(b"word")
                    if number % 4 == 3:
                        client.recv(2)
                reset(client)
        except BaseException as error:
            failures.append(error)
        finally:
            over.set()

    async def main() -> int:
        server = await loop.create_server(Counted, LOCALHOST, 0, backlog=100)
        address = server.sockets[0].getsockname()
        reader, writer = await asyncio.open_connection(*address)
        threading.Thread(target=flood, args=(address,), daemon=True).start()
        exchanges = 0
        while not over.is_set():
            # The listener's other connections go on.
            writer.write(b"still here")
            assert await asyncio.wait_for(reader.readexactly(10), 30) == b"still here"
            exchanges += 1
            if exchanges % 50 == 0:
                _, another = await asyncio.open_connection(*address)
                another.close()
            await asyncio.sleep(0.001)
        writer.close()
        async with asyncio.timeout(30):
            while Counted.open:
                await asyncio.sleep(0.01)
        server.close()
        await server.wait_closed()
        return exchanges

    start = time.monotonic()
    exchanges = loop.run_until_complete(main())
    seconds = time.monotonic() - start
    gc.collect()
    assert failures == []
    assert reported == []
    assert Counted.made > 0
    alive = sum(isinstance(thing, Echo) for thing in gc.get_objects())
    assert alive == 0
    figures(
        f"{count} resets in {seconds:.1f} s, {Counted.made} were accepted, ended "
        f"{dict(sorted(Counted.ended.items()))}; {exchanges} exchanges of another connection"
    )


@pytest.mark.parametrize("method", ["write", "writelines"])
def test_slow_readers(loop: Loop, load: Load, method: str, figures: Callable[[str], None]) -> None:
    """Whoever waits for drain() keeps what the watermarks allow, and no more."""
    clients = load(40, 1_000)
    piece = 16 * 1024
    paused: list[int] = []

    class Writer(asyncio.streams.FlowControlMixin, asyncio.Protocol):
        edges = 0

        def connection_made(self, transport: Any) -> None:
            self.transport = transport
            self.task = asyncio.ensure_future(self.pour())

        def pause_writing(self) -> None:
            super().pause_writing()
            self.edges += 1
            paused.append(1)

        async def pour(self) -> None:
            data = bytes(piece)
            while True:
                if method == "write":
                    self.transport.write(data)
                else:
                    self.transport.writelines([data[: piece // 2], data[piece // 2 :]])
                await self._drain_helper()

        def connection_lost(self, exc: BaseException | None) -> None:
            super().connection_lost(exc)
            self.task.cancel()

    writers: list[Writer] = []

    def make() -> Writer:
        writers.append(Writer(loop=loop))
        return writers[-1]

    held: list[socket.socket] = []

    async def main() -> tuple[int, int]:
        server = await loop.create_server(make, LOCALHOST, 0, backlog=clients)
        # Small buffers in the kernel, so that what is measured is ours.
        server.sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16 * 1024)
        for _ in range(clients):
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024)
            client.setblocking(False)
            await loop.sock_connect(client, server.sockets[0].getsockname())
            held.append(client)
        async with asyncio.timeout(100):
            while len(paused) < clients:
                await asyncio.sleep(0.01)
        gc.collect()
        resident = resident_kib()
        await asyncio.sleep(load(1, 20) / 2)
        gc.collect()
        buffered = [writer.transport.get_write_buffer_size() for writer in writers]
        high = writers[0].transport.get_write_buffer_limits()[1]
        # What was written before the pause, and the one write that crossed the mark.
        assert max(buffered) <= high + piece
        assert [writer.edges for writer in writers] == [1] * clients
        grown = resident_kib() - resident
        # Nothing is written any more, so nothing may grow.
        assert grown < 1024
        for writer in writers:
            writer.transport.abort()
        server.close()
        await server.wait_closed()
        async with asyncio.timeout(30):
            while not all(writer.task.done() for writer in writers):
                await asyncio.sleep(0.01)
        return sum(buffered), high

    gc.collect()
    before = resident_kib()
    buffered, high = loop.run_until_complete(main())
    for client in held:
        client.close()
    figures(
        f"{clients} clients that never read: {buffered / clients / 1024:.0f} KiB each in our "
        f"buffers (high-water mark {high // 1024}), {resident_kib() - before} KiB more resident "
        "after"
    )


def test_a_writer_that_waits_for_nobody_can_see_it(
    loop: Loop, load: Load, figures: Callable[[str], None]
) -> None:
    """No drain(): memory is the program's choice, but it comes back with abort()."""
    mib = load(32, 512)
    one, two = socket.socketpair()

    async def main() -> tuple[int, int, int]:
        gc.collect()
        before = resident_kib()
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=one)
        for _ in range(mib):
            transport.write(bytearray(MIB))
        buffered = transport.get_write_buffer_size()
        full = resident_kib()
        transport.abort()
        # In the same turn, not when the peer should answer.
        assert transport.get_write_buffer_size() == 0
        trim_malloc()
        freed = resident_kib()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert one.fileno() == -1
        assert buffered > (mib - 1) * MIB
        return before, full, freed

    before, full, freed = loop.run_until_complete(main())
    two.close()
    figures(
        f"{mib} MiB written to a peer that never reads: {(full - before) // 1024} MiB more "
        f"resident, {(freed - before) // 1024} after abort()"
    )
    assert freed - before < mib * 1024 // 4


VANISHING = """
    import asyncio, ctypes, fcntl, gc, json, os, resource, socket, struct, sys, time
    from tests import loops

    CLONE_NEWUSER, CLONE_NEWNET, SIOCSIFFLAGS, IFF_UP = 0x10000000, 0x40000000, 0x8914, 1

    def loopback(flags):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags))

    # A network of our own, whose only cable can be pulled.
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWUSER | CLONE_NEWNET) and libc.unshare(CLONE_NEWNET):
        print(json.dumps({"skip": os.strerror(ctypes.get_errno())}))
        sys.exit()
    try:
        loopback(IFF_UP)
    except OSError as error:
        print(json.dumps({"skip": str(error)}))
        sys.exit()

    name, count, mib = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])

    class Peer(asyncio.Protocol):
        paused = lost = None
        def connection_made(self, transport):
            self.transport = transport
        def pause_writing(self):
            self.paused = True
        def connection_lost(self, exc):
            self.lost = (type(exc).__name__, time.monotonic())

    def descriptors():
        return len(os.listdir("/proc/self/fd"))

    async def main():
        loop = asyncio.get_running_loop()
        base = descriptors()
        server = await loop.create_server(Peer, "127.0.0.1", 0, backlog=count)
        address = server.sockets[0].getsockname()
        clients = [(await loop.create_connection(Peer, *address))[1] for _ in range(count)]
        silent, writing, closing, watched = (clients[n::4] for n in range(4))
        for client in writing + closing:
            sock = client.transport.get_extra_info("socket")
            # Little of what is written is for the kernel to keep.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16 * 1024)
        for client in watched:
            sock = client.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in (
                (socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1), (socket.TCP_KEEPCNT, 2)
            ):
                sock.setsockopt(socket.IPPROTO_TCP, option, value)
        loopback(0)
        for client in writing[:10]:
            client.transport.write(bytes(mib << 20))
        for client in writing[10:] + closing:
            client.transport.write(bytes(1 << 20))
        for client in closing:
            client.transport.close()
        pulled = time.monotonic()
        while not all(client.lost for client in watched):
            await asyncio.sleep(0.05)
            if time.monotonic() - pulled > 60:
                break
        # The kernel tries again and again; we have nothing to do.
        cpu, idle = time.process_time(), time.monotonic()
        await asyncio.sleep(1)
        share = (time.process_time() - cpu) / (time.monotonic() - idle)
        held = descriptors()
        paused = sum(bool(client.paused) for client in writing)
        premature = sum(bool(client.lost) for client in silent + writing + closing)
        for client in silent + writing + closing:
            client.transport.abort()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        aborted = descriptors()
        print(json.dumps({
            "keepalive": sorted({client.lost and client.lost[0] for client in watched}),
            "detected": max(client.lost[1] for client in watched) - pulled,
            "paused": paused, "writing": len(writing), "premature": premature,
            "freed": held - aborted, "to_free": len(silent + writing + closing),
            "cpu": share,
        }))
        server.close()

    with asyncio.Runner(loop_factory=loops.factory_named(name)) as runner:
        runner.run(main())
    """


@pytest.mark.skipif(sys.platform != "linux", reason="takes a network of its own")
def test_half_open_peers(
    request: pytest.FixtureRequest, load: Load, figures: Callable[[str], None]
) -> None:
    """The cable is pulled: no packet arrives any more, and no word of it."""
    count, mib = load(40, 1_000), load(4, 64)
    done = subprocess.run(
        [
            *(sys.executable, "-c", textwrap.dedent(VANISHING)),
            *(request.config.getoption("--loop"), str(count), str(mib)),
        ],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    if "skip" in found:
        pytest.skip(f"no network of its own: {found['skip']}")
    assert found["keepalive"] == ["TimeoutError"]
    assert found["paused"] == found["writing"]
    assert found["premature"] == 0
    assert found["freed"] == found["to_free"]
    assert found["cpu"] < 0.5, "a busy loop"
    figures(
        f"{count} connections cut: {found['writing']} writers paused, keepalive of 3 s told within "
        f"{found['detected']:.1f} s, abort() freed {found['freed']} descriptors in its turn, "
        f"{found['cpu'] * 100:.1f} % CPU meanwhile"
    )


def test_slow_senders_beside_others(loop: Loop, load: Load, figures: Callable[[str], None]) -> None:
    """Requests that come a byte at a time keep nobody waiting, and cost little memory."""
    slow, rounds = load(100, 5_000), load(20, 200)
    Counted = echo_class()

    async def main() -> tuple[float, float]:
        server = await loop.create_server(Counted, LOCALHOST, 0, backlog=1000)
        address = server.sockets[0].getsockname()
        gc.collect()
        before = resident_kib()
        clients = []
        for _ in range(slow):
            client = socket.socket()
            client.setblocking(False)
            await loop.sock_connect(client, address)
            clients.append(client)
        while len(Counted.open) < slow:
            await asyncio.sleep(0.01)
        kib = (resident_kib() - before) / slow
        reader, writer = await asyncio.open_connection(*address)
        times = []
        for number in range(rounds):
            for client in clients[number % 10 :: 10]:
                client.send(b"x")
            start = time.perf_counter()
            writer.write(b"quick")
            await reader.readexactly(5)
            times.append(time.perf_counter() - start)
        writer.close()
        for client in clients:
            client.close()
        async with asyncio.timeout(60):
            while Counted.open:
                await asyncio.sleep(0.01)
        server.close()
        await server.wait_closed()
        times.sort()
        return kib, times[len(times) // 2]

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 2 * slow + 200 > hard:
        pytest.skip(f"needs {2 * slow + 200} descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2 * slow + 200), hard))
    try:
        kib, median = loop.run_until_complete(main())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    figures(
        f"{slow} connections, {kib:.1f} KiB resident each with their client's half; an exchange "
        f"beside {slow // 10} bytes from as many of them: {median * 1e3:.2f} ms (median)"
    )
    # Transport, protocol and its dictionary: about 1 KiB. In a short run pages weigh more.
    assert kib < 20

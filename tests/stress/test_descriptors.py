"""Descriptors: all closed in the end, none closed twice, none mistaken for another."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import resource
import select
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import loops

from .conftest import Load, open_descriptors

Loop = asyncio.AbstractEventLoop
LOCALHOST = "127.0.0.1"


def test_a_thousand_loops_leave_no_descriptor(descriptors: None, new_loop: loops.Factory) -> None:
    async def main() -> None:
        await asyncio.sleep(0)

    for _ in range(1000):
        loop = new_loop()
        loop.run_until_complete(main())
        loop.close()


def test_loops_that_never_ran_leave_no_descriptor(
    descriptors: None, new_loop: loops.Factory
) -> None:
    for _ in range(100):
        new_loop().close()


def test_close_closes_without_the_collector(new_loop: loops.Factory, no_gc: None) -> None:
    before = open_descriptors()
    loop = new_loop()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    assert open_descriptors() == before


def test_descriptors_of_a_loop_are_not_inherited(new_loop: loops.Factory) -> None:
    before = {name.split()[0] for name in open_descriptors()}
    loop = new_loop()
    loop.run_until_complete(asyncio.sleep(0))
    own = {name.split()[0] for name in open_descriptors()} - before
    inherited = [number for number in own if os.get_inheritable(int(number))]
    loop.close()
    assert inherited == []


def test_hundreds_of_connections_leave_no_descriptor(loop: Loop) -> None:
    async def main() -> None:
        server = await loop.create_server(asyncio.Protocol, LOCALHOST, 0, backlog=500)
        address = server.sockets[0].getsockname()
        for _ in range(3):
            pairs = await asyncio.gather(
                *(loop.create_connection(asyncio.Protocol, *address) for _ in range(200))
            )
            for transport, _ in pairs:
                transport.close()
            await asyncio.sleep(0.05)
        server.close()
        await server.wait_closed()

    loop.run_until_complete(main())


def test_cancelled_connects_leave_no_descriptor(loop: Loop) -> None:
    async def main() -> None:
        rng = random.Random(5)
        server = await loop.create_server(asyncio.Protocol, LOCALHOST, 0, backlog=500)
        address = server.sockets[0].getsockname()
        for _ in range(300):
            task = asyncio.create_task(loop.create_connection(asyncio.Protocol, *address))
            for _ in range(rng.randrange(6)):
                await asyncio.sleep(0)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                transport, _ = await task
                transport.abort()
        await asyncio.sleep(0.05)
        server.close()
        await server.wait_closed()

    loop.run_until_complete(main())


def test_a_race_that_is_given_up_closes_its_winner_at_once(loop: Loop, no_gc: None) -> None:
    """At each step, and without the collector: asyncio leaves the winner in a cycle."""
    if type(loop).__module__.partition(".")[0] == "asyncio":
        pytest.skip("asyncio's own socket is closed by the collector")

    async def main() -> None:
        listener = socket.create_server((LOCALHOST, 0))
        with listener:
            port = listener.getsockname()[1]
            info = (socket.AF_INET, socket.SOCK_STREAM, 0, "", (LOCALHOST, port))

            async def getaddrinfo(*args: Any, **kwargs: Any) -> list[Any]:
                return [info, info]

            loop.getaddrinfo = getaddrinfo  # type: ignore[method-assign]
            await asyncio.sleep(0.01)  # the loop's own descriptors
            for steps in range(100):
                before = len(os.listdir("/proc/self/fd"))
                connecting = loop.create_task(
                    loop.create_connection(
                        asyncio.Protocol, "anything", port, happy_eyeballs_delay=10
                    )
                )
                for _ in range(steps):
                    await asyncio.sleep(0)
                if connecting.done():
                    connecting.result()[0].abort()
                    return
                connecting.cancel()
                await asyncio.wait([connecting])
                await asyncio.sleep(0.01)
                assert len(os.listdir("/proc/self/fd")) == before, f"{steps} steps"
            raise AssertionError("never connected")

    loop.run_until_complete(main())


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_a_server_that_is_given_up_while_it_begins(
    loop: Loop, no_gc: None, kind: str, tmp_path: Path
) -> None:
    if type(loop).__module__.partition(".")[0] == "asyncio":
        pytest.skip("asyncio's listens on, and cannot be closed")

    async def main() -> None:
        await asyncio.sleep(0.01)  # the loop's own descriptors
        for steps in range(100):
            before = len(os.listdir("/proc/self/fd"))
            serving: Any = (
                loop.create_server(asyncio.Protocol, LOCALHOST, 0)
                if kind == "tcp"
                else loop.create_unix_server(asyncio.Protocol, str(tmp_path / "socket"))
            )
            beginning = loop.create_task(serving)
            for _ in range(steps):
                await asyncio.sleep(0)
            if beginning.done():
                beginning.result().close()
                return
            beginning.cancel()
            await asyncio.wait([beginning])
            await asyncio.sleep(0)
            assert len(os.listdir("/proc/self/fd")) == before, f"{steps} steps"
        raise AssertionError("never began")

    loop.run_until_complete(main())


def test_failed_connects_leave_no_descriptor(loop: Loop) -> None:
    async def main() -> None:
        for _ in range(100):
            with contextlib.suppress(OSError):
                await loop.create_connection(asyncio.Protocol, LOCALHOST, 1)
            with contextlib.suppress(OSError):
                await loop.create_server(asyncio.Protocol, "192.0.2.1", 0)

    loop.run_until_complete(main())


def test_a_transport_whose_descriptor_was_closed_behind_its_back(
    loop: Loop, reported: list[Any]
) -> None:
    """Neither a hang nor a busy loop; and the number, used again, is not the transport's."""

    async def main() -> None:
        lost = loop.create_future()

        class Client(asyncio.Protocol):
            def connection_lost(self, exc: BaseException | None) -> None:
                lost.set_result(exc)

        server = await loop.create_server(asyncio.Protocol, LOCALHOST, 0)
        transport, _ = await loop.create_connection(Client, *server.sockets[0].getsockname())
        number = transport.get_extra_info("socket").fileno()
        os.close(number)
        # Somebody else gets the number, and must not be read, written or closed by the transport.
        one, other = socket.socketpair()
        with other:
            stranger = one.detach()
            if stranger != number:
                os.dup2(stranger, number)
                os.close(stranger)
            await asyncio.sleep(0.01)
            transport.abort()
            await asyncio.wait_for(lost, 60)
            other.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                received = other.recv(100)
                assert received == b"", "the transport wrote to a stranger"
        with contextlib.suppress(OSError):
            os.close(number)
        server.close()

    loop.run_until_complete(main())


def test_a_watched_descriptor_that_was_closed_does_not_spin(loop: Loop) -> None:
    one, other = socket.socketpair()
    number = one.fileno()
    loop.add_reader(one, print)
    one.close()
    other.close()
    before = resource.getrusage(resource.RUSAGE_SELF)
    loop.run_until_complete(asyncio.sleep(0.3))
    after = resource.getrusage(resource.RUSAGE_SELF)
    assert after.ru_utime - before.ru_utime < 0.15
    loop.remove_reader(number)


def test_a_number_that_is_used_again_belongs_to_the_new_socket(loop: Loop) -> None:
    for _ in range(20):
        one, other = socket.socketpair()
        number = one.fileno()
        loop.add_reader(one, pytest.fail, "called for a closed socket")
        one.close()
        other.close()
        three, four = socket.socketpair()
        with three, four:
            assert number in (three.fileno(), four.fileno())
            reader, writer = (three, four) if three.fileno() == number else (four, three)
            got = loop.create_future()
            loop.add_reader(reader, lambda: got.done() or got.set_result(reader.recv(10)))  # noqa: B023
            writer.send(b"mine")
            assert loop.run_until_complete(asyncio.wait_for(got, 60)) == b"mine"
            loop.remove_reader(reader)


def test_a_socket_closed_while_it_waits_does_not_wake_another(loop: Loop) -> None:
    async def main() -> None:
        one, other = socket.socketpair()
        one.setblocking(False)
        number = one.fileno()
        old = asyncio.create_task(loop.sock_recv(one, 100))
        await asyncio.sleep(0.01)
        one.close()
        other.close()
        three, four = socket.socketpair()
        with three, four:
            reader, writer = (three, four) if three.fileno() == number else (four, three)
            assert reader.fileno() == number
            reader.setblocking(False)
            new = asyncio.create_task(loop.sock_recv(reader, 100))
            await asyncio.sleep(0.01)
            writer.send(b"for the new one")
            assert await asyncio.wait_for(new, 60) == b"for the new one"
            old.cancel()
            await asyncio.wait([old])
            # Cancelling the old one did not take the new one's watch away.
            new = asyncio.create_task(loop.sock_recv(reader, 100))
            await asyncio.sleep(0.01)
            writer.send(b"still")
            assert await asyncio.wait_for(new, 60) == b"still"

    loop.run_until_complete(main())


EMFILE_PROGRAM = """
    import asyncio, logging, os, resource, socket, sys, time
    import {module}
    messages = []
    class Handler(logging.Handler):
        def emit(self, record):
            messages.append((time.monotonic(), record.getMessage()))
    logging.getLogger("asyncio").addHandler(Handler())
    soft = 64
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, soft))

    class Echo(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport
        def data_received(self, data):
            self.transport.write(data)

    async def main():
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Echo, "127.0.0.1", 0, backlog=200)
        print(server.sockets[0].getsockname()[1], flush=True)
        start, cpu = time.monotonic(), time.process_time()
        await loop.run_in_executor(None, sys.stdin.readline)
        waited, used = time.monotonic() - start, time.process_time() - cpu
        print(f"cpu {{used / waited:.3f}}", flush=True)
        print(f"messages {{len(messages)}} seconds {{waited:.1f}}", flush=True)
        print(f"first {{messages[0][1].splitlines()[0] if messages else None}}", flush=True)
        await loop.run_in_executor(None, sys.stdin.readline)

    loop = {module}.{attribute}()
    loop.run_until_complete(main())
    """


@pytest.fixture
def exhausted(request: pytest.FixtureRequest) -> Any:
    """A server that may open 64 descriptors only."""
    name = request.config.getoption("--loop")
    module, _, attribute = loops.check_name(name).partition(":")
    code = textwrap.dedent(EMFILE_PROGRAM.format(module=module, attribute=attribute))
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )
    yield process
    process.kill()
    process.wait()
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    process.stdout.close()


def test_a_server_out_of_descriptors_waits_and_accepts_again(
    exhausted: Any, load: Load, figures: Callable[[str], None]
) -> None:
    port = int(exhausted.stdout.readline())
    addresses = [(LOCALHOST, port)] * load(120, 200)
    clients = [socket.create_connection(address, timeout=60) for address in addresses]
    try:
        served = echoing(clients)
        assert 30 < len(served) < 64
        time.sleep(load(3, 60))
        exhausted.stdin.write("report\n")
        cpu = exhausted.stdout.readline().split()
        messages = exhausted.stdout.readline().split()
        first = exhausted.stdout.readline()
        assert float(cpu[1]) < 0.5, "a busy loop"
        count, seconds = int(messages[1]), float(messages[3])
        assert 1 <= count <= seconds + 3, "one message for each second of back-off, at most"
        assert "socket.accept() out of system resource" in first
        # The served ones leave: the waiting ones get their turn after the back-off.
        assert echoing(served) == served, "those accepted before still work"
        for client in served:
            client.close()
        start = time.monotonic()
        deadline = start + 10
        waiting = [client for client in clients if client not in served]
        while time.monotonic() < deadline and not echoes(waiting[0], 0.2):
            pass
        again = time.monotonic() - start
        assert echoes(waiting[0], 2)
        figures(
            f"64 descriptors, {len(clients)} clients: {len(served)} served, "
            f"{float(cpu[1]) * 100:.2f} % CPU and {count} messages in {seconds:.0f} s; "
            f"the others {again:.1f} s after those had left"
        )
    finally:
        for client in clients:
            client.close()


def echoing(clients: list[socket.socket]) -> list[socket.socket]:
    """Those that are answered, all asked at once."""
    for client in clients:
        client.sendall(b"x")
    answered: set[socket.socket] = set()
    # Nobody is told that an answer will not come: the rest is given up after a second of silence.
    while readable := select.select([c for c in clients if c not in answered], [], [], 1)[0]:
        answered.update(readable)
    return [client for client in clients if client in answered and client.recv(100) == b"x"]


def echoes(client: socket.socket, seconds: float) -> bool:
    try:
        client.sendall(b"x")
    except OSError:
        return False
    readable, _, _ = select.select([client], [], [], seconds)
    try:
        return bool(readable) and client.recv(100).startswith(b"x")
    except ConnectionResetError:
        return False

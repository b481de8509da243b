"""The `sock_*` coroutines: results, errors, cancelling, and sockets that misbehave."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest

from .peers import LOCALHOST, free_port, listening_socket, socket_pair
from .trace import Trace
from .twin import Loop, twin


@twin
async def test_recv_gives_what_is_there(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    one, other = socket_pair()
    with one, other:
        other.send(b"hello")
        trace("part", await loop.sock_recv(one, 2))
        trace("rest", await loop.sock_recv(one, 100))
        waiting = asyncio.create_task(loop.sock_recv(one, 100))
        await asyncio.sleep(0.01)
        trace("waits", waiting.done())
        other.send(b"later")
        trace("later", await waiting)
        other.close()
        trace("end", await loop.sock_recv(one, 100), await loop.sock_recv(one, 100))


@twin
async def test_recv_into_fills_a_buffer(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    one, other = socket_pair()
    with one, other:
        buffer = bytearray(b"." * 8)
        other.send(b"hello")
        trace("count", await loop.sock_recv_into(one, buffer), buffer)
        waiting = asyncio.create_task(loop.sock_recv_into(one, memoryview(buffer)[5:]))
        await asyncio.sleep(0.01)
        other.send(b"more than fits")
        trace("count", await waiting, buffer)
        with trace.raises("a read-only buffer"):
            await loop.sock_recv_into(one, b"read-only")


@twin
async def test_sendall_sends_all(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    one, other = socket_pair()
    with one, other:
        data = bytes(range(256)) * 40_000
        sending = asyncio.create_task(loop.sock_sendall(one, data))
        received = bytearray()
        while len(received) < len(data):
            received += await loop.sock_recv(other, 1 << 16)
        trace("result", await sending, received == data)
        trace("nothing", await loop.sock_sendall(one, b""))
        for kind in (bytearray(b"bytearray"), memoryview(b"memoryview")):
            await loop.sock_sendall(one, kind)
            trace("received", await loop.sock_recv(other, 100))


@twin
async def test_sendall_of_a_buffer_that_changes_meanwhile_is_refused_or_sent(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    one, other = socket_pair()
    with one, other:
        data = bytearray(1 << 24)
        sending = asyncio.create_task(loop.sock_sendall(one, data))
        await asyncio.sleep(0.01)
        trace("sending", not sending.done())
        with trace.raises("resize"):
            data.extend(b"x")
        sending.cancel()
        with trace.raises():
            await sending


@twin
async def test_connect_and_accept(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    with listening_socket() as listener, socket.socket() as client:
        listener.setblocking(False)
        client.setblocking(False)
        accepting = asyncio.create_task(loop.sock_accept(listener))
        await asyncio.sleep(0.01)
        trace("result", await loop.sock_connect(client, listener.getsockname()))
        accepted, address = await accepting
        with accepted:
            trace("address", address == client.getsockname(), accepted.gettimeout())
            trace("type", type(accepted), accepted.family)
            await loop.sock_sendall(client, b"hello")
            trace("received", await loop.sock_recv(accepted, 10))


@twin
async def test_connect_to_nobody_is_refused(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    port = free_port()
    trace.hide(port, "PORT")
    with socket.socket() as sock:
        sock.setblocking(False)
        with trace.raises():
            await loop.sock_connect(sock, (LOCALHOST, port))


@twin
async def test_connect_resolves_names(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    with listening_socket() as listener:
        for host in ("localhost", LOCALHOST):
            with socket.socket() as sock:
                sock.setblocking(False)
                await loop.sock_connect(sock, (host, listener.getsockname()[1]))
                trace("connected", sock.getpeername() == listener.getsockname())
        with socket.socket() as sock:
            sock.setblocking(False)
            with trace.raises():
                await loop.sock_connect(sock, ("nobody.invalid", 80))


@pytest.mark.parametrize(
    "address",
    [("127.0.0.1",), (LOCALHOST, 70000), (LOCALHOST, -1), (LOCALHOST, "x"), None, 5, "x", ()],
    ids=repr,
)
@twin
async def test_connect_to_what_is_no_address(trace: Trace, address: Any) -> None:
    loop = asyncio.get_running_loop()
    with socket.socket() as sock:
        sock.setblocking(False)
        try:
            await loop.sock_connect(sock, address)
        except Exception as error:
            trace("refused", type(error))


@twin
async def test_connect_calls_connect_in_its_first_step(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    with listening_socket() as listener, socket.socket() as sock:
        sock.setblocking(False)
        task = asyncio.create_task(loop.sock_connect(sock, listener.getsockname()))
        await asyncio.sleep(0)
        listener.settimeout(5)
        accepted, _ = listener.accept()
        accepted.close()
        await task
        trace("connected")


@twin
async def test_datagrams(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    with (
        socket.socket(type=socket.SOCK_DGRAM) as one,
        socket.socket(type=socket.SOCK_DGRAM) as other,
    ):
        for sock in (one, other):
            sock.bind((LOCALHOST, 0))
            sock.setblocking(False)
        trace.hide(one.getsockname()[1], "ONE")
        trace("sent", await loop.sock_sendto(one, b"hello", other.getsockname()))
        trace("received", await loop.sock_recvfrom(other, 100))
        waiting = asyncio.create_task(loop.sock_recvfrom(other, 3))
        await asyncio.sleep(0.01)
        await loop.sock_sendto(one, b"cut off", other.getsockname())
        trace("cut", await waiting)
        buffer = bytearray(10)
        await loop.sock_sendto(one, b"into", other.getsockname())
        trace("into", await loop.sock_recvfrom_into(other, buffer), buffer)
        await loop.sock_sendto(one, b"limited", other.getsockname())
        trace("into", await loop.sock_recvfrom_into(other, buffer, 3), buffer)
        await loop.sock_sendto(one, b"", other.getsockname())
        trace("empty", await loop.sock_recvfrom(other, 100))


@twin
async def test_datagram_errors(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind((LOCALHOST, 0))
        sock.setblocking(False)
        with trace.raises("too long"):
            await loop.sock_sendto(sock, bytes(100_000), sock.getsockname())
        with trace.raises("wrong family"):
            await loop.sock_sendto(sock, b"x", ("::1", 80))
        port = free_port()
        with trace.raises("nobody listens"):
            sock.connect((LOCALHOST, port))
            sock.send(b"x")
            await asyncio.sleep(0.01)
            await loop.sock_recvfrom(sock, 10)


OPERATIONS: dict[str, Callable[[Loop, socket.socket], Any]] = {
    "sock_recv": lambda loop, sock: loop.sock_recv(sock, 10),
    "sock_recv_into": lambda loop, sock: loop.sock_recv_into(sock, bytearray(10)),
    "sock_recvfrom": lambda loop, sock: loop.sock_recvfrom(sock, 10),
    "sock_recvfrom_into": lambda loop, sock: loop.sock_recvfrom_into(sock, bytearray(10)),
    "sock_sendall": lambda loop, sock: loop.sock_sendall(sock, bytes(1 << 24)),
    "sock_sendto": lambda loop, sock: loop.sock_sendto(sock, b"x", (LOCALHOST, 9)),
    "sock_accept": lambda loop, sock: loop.sock_accept(sock),
    "sock_connect": lambda loop, sock: loop.sock_connect(sock, (LOCALHOST, 9)),
}


@pytest.mark.parametrize("operation", OPERATIONS)
@twin
async def test_it_is_a_coroutine(trace: Trace, operation: str) -> None:
    with socket.socket() as sock:
        coroutine = OPERATIONS[operation](asyncio.get_running_loop(), sock)
        trace("coroutine", asyncio.iscoroutine(coroutine))
        coroutine.close()


@pytest.mark.parametrize("operation", OPERATIONS)
@twin
async def test_on_a_closed_socket(trace: Trace, operation: str) -> None:
    sock = socket.socket()
    sock.setblocking(False)
    sock.close()
    with trace.raises():
        await OPERATIONS[operation](asyncio.get_running_loop(), sock)


@pytest.mark.parametrize("operation", OPERATIONS)
@twin
async def test_on_a_blocking_socket_in_debug_mode(trace: Trace, operation: str) -> None:
    asyncio.get_running_loop().set_debug(True)
    with socket.socket() as sock, trace.raises():
        await OPERATIONS[operation](asyncio.get_running_loop(), sock)


@pytest.mark.parametrize("operation", ["sock_recv", "sock_recv_into", "sock_sendall"])
@twin
async def test_on_a_socket_that_is_not_connected(trace: Trace, operation: str) -> None:
    with socket.socket() as sock:
        sock.setblocking(False)
        with trace.raises():
            await OPERATIONS[operation](asyncio.get_running_loop(), sock)


@pytest.mark.parametrize("operation", ["sock_recv", "sock_accept", "sock_sendto"])
@pytest.mark.parametrize("value", [None, 5, "sock", object()], ids=["None", "int", "str", "object"])
@twin
async def test_on_what_is_no_socket(trace: Trace, operation: str, value: Any) -> None:
    try:
        await OPERATIONS[operation](asyncio.get_running_loop(), value)
    except Exception as error:
        trace("refused", type(error))


@pytest.mark.parametrize(
    "operation", ["sock_recv", "sock_recv_into", "sock_recvfrom", "sock_recvfrom_into"]
)
@twin
async def test_a_cancelled_read_takes_nothing_and_leaves_no_watch(
    trace: Trace, operation: str
) -> None:
    loop = asyncio.get_running_loop()
    one, other = socket_pair()
    with one, other:
        task = asyncio.create_task(OPERATIONS[operation](loop, one))
        await asyncio.sleep(0.01)
        task.cancel()
        with trace.raises():
            await task
        trace("watched", loop.remove_reader(one))
        other.send(b"for the next")
        trace("received", await loop.sock_recv(one, 100))


@twin
async def test_a_cancelled_sendall_leaves_no_watch(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    one, other = socket_pair()
    with one, other:
        task = asyncio.create_task(loop.sock_sendall(one, bytes(1 << 24)))
        await asyncio.sleep(0.01)
        task.cancel()
        with trace.raises():
            await task
        trace("watched", loop.remove_writer(one))


@twin
async def test_a_cancelled_accept_leaves_the_connection_to_the_next(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    with listening_socket() as listener:
        listener.setblocking(False)
        task = asyncio.create_task(loop.sock_accept(listener))
        await asyncio.sleep(0.01)
        task.cancel()
        with socket.create_connection(listener.getsockname()):
            with trace.raises():
                await task
            accepted, _ = await loop.sock_accept(listener)
            trace("accepted by the next")
            accepted.close()


@twin
async def test_cancel_and_data_in_the_same_turn(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    one, other = socket_pair()
    with one, other:
        task = asyncio.create_task(loop.sock_recv(one, 100))
        await asyncio.sleep(0.01)
        other.send(b"kept")
        task.cancel()
        with trace.raises():
            await task
        trace("received", await loop.sock_recv(one, 100))


@twin
async def test_the_next_operation_is_not_harmed_by_the_cancelled_one(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    one, other = socket_pair()
    with one, other:
        first = asyncio.create_task(loop.sock_recv(one, 100))
        await asyncio.sleep(0.01)
        first.cancel()
        second = asyncio.create_task(loop.sock_recv(one, 100))
        await asyncio.sleep(0.01)
        other.send(b"for the second")
        trace("first", first.cancelled())
        trace("second", await asyncio.wait_for(second, 5))


@twin
async def test_reading_and_writing_at_once(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    one, other = socket_pair()
    with one, other:
        reading = asyncio.create_task(loop.sock_recv(one, 100))
        writing = asyncio.create_task(loop.sock_sendall(one, bytes(1 << 22)))
        await asyncio.sleep(0.01)
        await loop.sock_sendall(other, b"answer")
        trace("read", await reading)
        received = 0
        while received < 1 << 22:
            received += len(await loop.sock_recv(other, 1 << 20))
        trace("written", await writing, received)


@twin
async def test_a_reset_connection(trace: Trace) -> None:
    import struct

    loop = asyncio.get_running_loop()
    one, other = socket_pair()
    with one:
        waiting = asyncio.create_task(loop.sock_recv(one, 100))
        await asyncio.sleep(0.01)
        other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        other.close()
        with trace.raises("recv"):
            await waiting
        with trace.raises("sendall"):
            await loop.sock_sendall(one, b"x")


@twin
async def test_descriptor_numbers_that_are_used_again(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    numbers = set()
    for round_ in range(5):
        one, other = socket_pair()
        numbers.add(one.fileno())
        waiting = asyncio.create_task(loop.sock_recv(one, 100))
        await asyncio.sleep(0)
        other.send(b"round %d" % round_)
        trace("received", await waiting)
        one.close()
        other.close()
    trace("reused", len(numbers) < 5)


@twin
async def test_a_subclass_that_overrides_recv_and_send_is_called(trace: Trace) -> None:
    class Counting(socket.socket):
        def recv(self, *args: Any) -> bytes:
            trace("recv")
            return super().recv(*args)

        def send(self, *args: Any) -> int:
            trace("send")
            return super().send(*args)

    loop = asyncio.get_running_loop()
    one, other = socket_pair()
    with other, Counting(fileno=one.detach()) as mine:
        mine.setblocking(False)
        await loop.sock_sendall(mine, b"x")
        other.send(b"y")
        trace("received", await loop.sock_recv(mine, 10))


@pytest.mark.parametrize("count", [0, 1, 65536, -1, 1.5, None, "10"])
@twin
async def test_how_much_to_receive(trace: Trace, count: Any) -> None:
    loop = asyncio.get_running_loop()
    one, other = socket_pair()
    with one, other:
        other.send(b"text")
        with trace.raises():
            trace("received", await loop.sock_recv(one, count))


@pytest.mark.parametrize("data", ["text", None, 5, [b"x"]], ids=repr)
@twin
async def test_what_cannot_be_sent(trace: Trace, data: Any) -> None:
    loop = asyncio.get_running_loop()
    one, other = socket_pair()
    with one, other, trace.raises():
        await loop.sock_sendall(one, data)


@twin
async def test_operations_on_one_socket_from_two_tasks(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    one, other = socket_pair()
    with one, other:
        tasks = [asyncio.create_task(loop.sock_recv(one, 4)) for _ in range(2)]
        await asyncio.sleep(0.01)
        other.send(b"onlyone")
        done, pending = await asyncio.wait(tasks, timeout=0.2)
        # asyncio keeps the last watch; whoever gets the bytes, nobody gets them twice.
        got = b"".join(sorted(task.result() for task in done))
        trace("no byte twice", len(got) <= 7, len(done) >= 1)
        for task in pending:
            task.cancel()

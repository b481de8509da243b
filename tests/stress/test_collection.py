"""Objects die: by reference count where nothing refers to them, by the collector out of cycles."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import weakref
from typing import Any

import pytest

from tests import loops

Loop = asyncio.AbstractEventLoop
LOCALHOST = "127.0.0.1"


class Thing:
    """Something to keep an eye on, callable as a callback."""

    def __call__(self, *args: object) -> None: ...


def test_a_closed_loop_is_freed_by_its_reference_count(
    descriptors: None, new_loop: loops.Factory, no_gc: None
) -> None:
    loop = new_loop()
    loop.run_until_complete(asyncio.sleep(0.001))
    loop.close()
    watched = weakref.ref(loop)
    del loop
    assert watched() is None


def test_a_loop_in_a_cycle_is_collected(descriptors: None, new_loop: loops.Factory) -> None:
    loop = new_loop()
    loop.myself = loop  # type: ignore[attr-defined]
    loop.call_later(1000, Thing(), loop)
    loop.close()
    watched = weakref.ref(loop)
    del loop
    gc.collect()
    assert watched() is None


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("method", ["call_soon", "call_soon_threadsafe"])
def test_a_loop_in_a_cycle_with_a_cancelled_handle_is_collected(
    descriptors: None, new_loop: loops.Factory, method: str, debug: bool
) -> None:
    loop = new_loop()
    loop.set_debug(debug)
    handle = getattr(loop, method)(Thing())
    handle.cancel()
    loop.set_exception_handler(lambda *args, loop=loop, handle=handle: None)
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    watched = weakref.ref(loop)
    del loop, handle
    gc.collect()
    assert watched() is None


def test_a_loop_that_only_its_own_callbacks_hold_is_collected(
    descriptors: None, new_loop: loops.Factory
) -> None:
    loop = new_loop()
    loop.call_soon(Thing(), loop)
    loop.call_later(1000, Thing(), loop)
    loop.call_soon_threadsafe(Thing(), loop)
    loop.set_exception_handler(lambda *args, loop=loop: None)
    loop.set_task_factory(lambda *args, loop=loop: None)  # type: ignore[arg-type,misc]
    watched = weakref.ref(loop)
    del loop
    with pytest.warns(ResourceWarning, match="unclosed event loop"):
        gc.collect()
    # The warning that was caught held the loop.
    gc.collect()
    assert watched() is None


@pytest.mark.parametrize("how", ["call_soon", "call_later", "call_at", "call_soon_threadsafe"])
def test_callbacks_are_freed_after_they_ran(loop: Loop, no_gc: None, how: str) -> None:
    thing = Thing()
    watched = weakref.ref(thing)
    match how:
        case "call_soon":
            loop.call_soon(thing, thing)
        case "call_later":
            loop.call_later(0.001, thing, thing)
        case "call_at":
            loop.call_at(loop.time(), thing, thing)
        case _:
            loop.call_soon_threadsafe(thing, thing)
    del thing
    loop.run_until_complete(asyncio.sleep(0.01))
    assert watched() is None


@pytest.mark.parametrize("how", ["call_soon", "call_later", "call_soon_threadsafe"])
def test_cancelled_callbacks_are_freed_at_once(loop: Loop, no_gc: None, how: str) -> None:
    thing = Thing()
    watched = weakref.ref(thing)
    match how:
        case "call_soon":
            handle = loop.call_soon(thing, thing)
        case "call_later":
            handle = loop.call_later(1000, thing, thing)
        case _:
            handle = loop.call_soon_threadsafe(thing, thing)
    handle.cancel()
    del thing
    assert watched() is None


def test_callbacks_of_a_closed_loop_are_freed(loop: Loop, no_gc: None) -> None:
    things = [Thing() for _ in range(3)]
    watched = [weakref.ref(thing) for thing in things]
    loop.call_soon(things[0])
    loop.call_later(1000, things[1])
    loop.call_soon_threadsafe(things[2])
    things.clear()
    loop.close()
    assert [ref() for ref in watched] == [None, None, None]


def test_a_finished_task_is_freed(loop: Loop, no_gc: None) -> None:
    async def work() -> Thing:
        await asyncio.sleep(0)
        return Thing()

    task = loop.create_task(work())
    watched_task = weakref.ref(task)
    watched = weakref.ref(loop.run_until_complete(task))
    del task
    assert watched_task() is None
    assert watched() is None


def test_a_pending_task_in_a_cycle_is_collected(loop: Loop, reported: list[Any]) -> None:
    async def wait(future: asyncio.Future[None], *things: object) -> None:
        await future

    future = loop.create_future()
    thing = Thing()
    task = loop.create_task(wait(future, thing, future))
    loop.run_until_complete(asyncio.sleep(0))
    future.add_done_callback(lambda _, task=task: None)
    watched = weakref.ref(thing)
    del task, thing, future
    gc.collect()
    assert watched() is None
    assert [context["message"] for context in reported] == ["Task was destroyed but it is pending!"]


class Watched(asyncio.Protocol):
    """Knows when its connection is lost; does not keep it."""

    def __init__(self) -> None:
        self.transport: Any = None
        self.is_lost = False

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def connection_lost(self, exc: BaseException | None) -> None:
        self.is_lost = True


async def lose(protocols: list[Any]) -> None:
    async with asyncio.timeout(60):
        while not all(protocol.is_lost for protocol in protocols):
            await asyncio.sleep(0.001)
    # The last callback of the transport returns.
    await asyncio.sleep(0)


@pytest.mark.parametrize("ending", ["close", "abort", "peer closes", "write then close", "reset"])
def test_a_closed_connection_is_freed_by_reference_counts(
    loop: Loop, no_gc: None, ending: str
) -> None:
    watched: list[weakref.ref[Any]] = []

    async def main() -> None:
        accepted: list[Watched] = []

        def accept() -> Watched:
            accepted.append(Watched())
            return accepted[-1]

        server = await loop.create_server(accept, LOCALHOST, 0)
        address = server.sockets[0].getsockname()
        _, client = await loop.create_connection(Watched, *address)
        while not accepted or accepted[0].transport is None:
            await asyncio.sleep(0)
        match ending:
            case "close":
                client.transport.close()
            case "abort":
                client.transport.abort()
            case "peer closes":
                accepted[0].transport.close()
            case "write then close":
                client.transport.write(bytes(1 << 22))
                client.transport.close()
            case _:
                import struct

                sock = client.transport.get_extra_info("socket")
                sock.setsockopt(1, 13, struct.pack("ii", 1, 0))
                client.transport.abort()
        await lose([client, accepted[0]])
        for protocol in (client, accepted[0]):
            watched.append(weakref.ref(protocol))
            watched.append(weakref.ref(protocol.transport))
            # The one cycle that the program itself made.
            protocol.transport = None
        del protocol, client
        accepted.clear()
        server.close()
        await server.wait_closed()

    loop.run_until_complete(main())
    assert [ref() for ref in watched] == [None] * 4


def test_streams_are_freed_by_reference_counts(loop: Loop, no_gc: None) -> None:
    watched: list[weakref.ref[Any]] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read(100))
        writer.close()
        await writer.wait_closed()

    async def main() -> None:
        server = await asyncio.start_server(handle, LOCALHOST, 0)
        for _ in range(3):
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            watched.append(weakref.ref(writer.transport))
            writer.write(b"hello")
            assert await reader.read() == b"hello"
            writer.close()
            await writer.wait_closed()
        del reader, writer
        server.close()
        await server.wait_closed()

    loop.run_until_complete(main())
    # asyncio's own streams have cycles; transports must at least not be kept by anything else.
    gc.collect()
    assert [ref() for ref in watched] == [None] * 3


def test_an_unclosed_connection_is_collected_with_its_loop(
    descriptors: None, new_loop: loops.Factory
) -> None:
    watched: list[weakref.ref[Any]] = []

    async def main(loop: Loop) -> None:
        server = await loop.create_server(Watched, LOCALHOST, 0)
        transport, protocol = await loop.create_connection(
            Watched, *server.sockets[0].getsockname()
        )
        await asyncio.sleep(0.01)
        watched.extend([weakref.ref(transport), weakref.ref(protocol), weakref.ref(server)])

    loop = new_loop()
    loop.run_until_complete(main(loop))
    loop.close()
    watched.append(weakref.ref(loop))
    del loop
    with pytest.warns(ResourceWarning):
        gc.collect()
    assert [ref() for ref in watched] == [None] * 4


class Abandoned:
    """The paused end of something, with a protocol, that nobody but the two holds."""

    def __init__(self) -> None:
        self.refs: list[weakref.ref[Any]] = []

    def watch(self, transport: Any, protocol: Any) -> None:
        # A cycle, as most protocols have: only the collector frees it.
        protocol.transport = transport
        self.refs = [weakref.ref(transport), weakref.ref(protocol)]

    @property
    def is_alive(self) -> bool:
        return any(ref() is not None for ref in self.refs)


async def abandon(loop: Loop, kind: str, peers: list[Any]) -> Abandoned:
    """Opens a transport, pauses it and forgets it; what it is connected to goes into `peers`."""
    abandoned = Abandoned()
    one, other = socket.socketpair(
        type=socket.SOCK_DGRAM if kind == "datagram" else socket.SOCK_STREAM
    )
    one.setblocking(False)
    if kind == "read pipe":
        transport, protocol = await loop.connect_read_pipe(Watched, one.makefile("rb", 0))
        one.close()
    elif kind == "datagram":
        transport, protocol = await loop.create_datagram_endpoint(WatchedDatagrams, sock=one)
    else:
        factory = KeptOpen if kind == "half-closed stream" else Watched
        transport, protocol = await loop.create_unix_connection(factory, sock=one)
    peers.append(other)
    if kind == "half-closed stream":
        other.shutdown(socket.SHUT_WR)
        await protocol.ended
    else:
        transport.pause_reading()
    abandoned.watch(transport, protocol)
    return abandoned


class WatchedDatagrams(Watched, asyncio.DatagramProtocol):
    pass


class KeptOpen(Watched):
    """Goes on writing after the peer's end."""

    def __init__(self) -> None:
        super().__init__()
        self.ended = asyncio.get_running_loop().create_future()

    def eof_received(self) -> bool:
        self.ended.set_result(None)
        return True


@pytest.mark.parametrize("kind", ["stream", "half-closed stream", "datagram", "read pipe"])
def test_a_paused_transport_that_is_abandoned_is_collected(loop: Loop, kind: str) -> None:
    """The loop holds what it has to tell of events, and nothing else."""
    peers: list[socket.socket] = []
    abandoned = loop.run_until_complete(abandon(loop, kind, peers))
    loop.run_until_complete(asyncio.sleep(0))
    assert abandoned.is_alive
    with pytest.warns(ResourceWarning, match="unclosed transport"):
        gc.collect()
    gc.collect()  # the warning that was caught held it
    assert not abandoned.is_alive
    # Its descriptor is closed, and the loop has none of it left.
    peers[0].setblocking(True)
    if kind != "datagram":
        assert peers[0].recv(1) == b""
    peers[0].close()
    loop.run_until_complete(asyncio.sleep(0.001))


def test_an_event_for_a_paused_transport_does_not_keep_it(loop: Loop) -> None:
    peers: list[socket.socket] = []
    abandoned = loop.run_until_complete(abandon(loop, "stream", peers))
    with peers[0]:
        peers[0].send(b"never read")
        loop.run_until_complete(asyncio.sleep(0.01))
        with pytest.warns(ResourceWarning, match="unclosed transport"):
            gc.collect()
        gc.collect()
        assert not abandoned.is_alive


def test_a_reading_transport_is_kept_by_its_loop(loop: Loop) -> None:
    async def main() -> None:
        one, other = socket.socketpair()
        one.setblocking(False)
        other.setblocking(False)

        class Echo(asyncio.Protocol):
            def connection_made(self, transport: Any) -> None:
                self.transport = transport

            def data_received(self, data: bytes) -> None:
                self.transport.write(data)

        with other:
            transport, _ = await loop.create_unix_connection(Echo, sock=one)
            transport.pause_reading()
            transport.resume_reading()
            watched = weakref.ref(transport)
            del transport, _
            gc.collect()
            await loop.sock_sendall(other, b"hello")
            assert await loop.sock_recv(other, 100) == b"hello"
            left = watched()
            assert left is not None
            left.abort()

    loop.run_until_complete(asyncio.wait_for(main(), 30))


def test_a_paused_transport_is_kept_until_all_is_sent(loop: Loop) -> None:
    payload = bytes(1 << 22)

    async def main() -> Abandoned:
        one, other = socket.socketpair()
        one.setblocking(False)
        other.setblocking(False)
        with other:
            transport, protocol = await loop.create_unix_connection(Watched, sock=one)
            transport.pause_reading()
            transport.write(payload)
            abandoned = Abandoned()
            abandoned.watch(transport, protocol)
            del transport, protocol
            gc.collect()
            received = 0
            while received < len(payload):
                received += len(await loop.sock_recv(other, 1 << 20))
                gc.collect()
            # Room is noticed in a turn of its own.
            for _ in range(3):
                await asyncio.sleep(0)
            gc.collect()
        return abandoned

    with pytest.warns(ResourceWarning, match="unclosed transport"):
        abandoned = loop.run_until_complete(asyncio.wait_for(main(), 60))
    gc.collect()
    assert not abandoned.is_alive


@pytest.mark.parametrize("kind", ["stream", "datagram"])
def test_the_descriptor_of_a_paused_transport_stays_refused(loop: Loop, kind: str) -> None:
    async def main() -> None:
        one, other = socket.socketpair(
            type=socket.SOCK_DGRAM if kind == "datagram" else socket.SOCK_STREAM
        )
        one.setblocking(False)
        with other:
            transport: Any
            if kind == "datagram":
                transport, _ = await loop.create_datagram_endpoint(
                    asyncio.DatagramProtocol, sock=one
                )
            else:
                transport, _ = await loop.create_unix_connection(asyncio.Protocol, sock=one)
            transport.pause_reading()
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="is used by transport"):
                loop.add_reader(one.fileno(), lambda: None)
            transport.abort()
            await asyncio.sleep(0)

    loop.run_until_complete(main())


def test_a_closed_server_is_freed(loop: Loop, no_gc: None) -> None:
    watched: list[weakref.ref[Any]] = []

    class Factory(Thing):
        def __call__(self, *args: object) -> Any:
            return asyncio.Protocol()

    async def main() -> None:
        factory = Factory()
        server = await loop.create_server(factory, LOCALHOST, 0)
        watched.extend([weakref.ref(server), weakref.ref(factory)])
        server.close()
        await server.wait_closed()

    loop.run_until_complete(main())
    assert [ref() for ref in watched] == [None] * 2


def test_readers_and_writers_are_freed_when_removed(loop: Loop, no_gc: None) -> None:
    one, other = socket.socketpair()
    with one, other:
        for add, remove in (
            (loop.add_reader, loop.remove_reader),
            (loop.add_writer, loop.remove_writer),
        ):
            thing = Thing()
            watched = weakref.ref(thing)
            add(one, thing, thing)
            del thing
            loop.run_until_complete(asyncio.sleep(0.001))
            assert watched() is not None
            remove(one)
            loop.run_until_complete(asyncio.sleep(0))
            assert watched() is None


def test_signal_handlers_are_freed_when_removed(loop: Loop, no_gc: None) -> None:
    import signal

    thing = Thing()
    watched = weakref.ref(thing)
    loop.add_signal_handler(signal.SIGUSR1, thing, thing)
    del thing
    loop.remove_signal_handler(signal.SIGUSR1)
    assert watched() is None


@pytest.mark.parametrize("result", ["data", "cancel", "error"])
def test_socket_operations_leave_nothing(loop: Loop, no_gc: None, result: str) -> None:
    async def main() -> weakref.ref[Any]:
        one, other = socket.socketpair()
        with one, other:
            one.setblocking(False)
            task = asyncio.create_task(loop.sock_recv(one, 100))
            await asyncio.sleep(0.001)
            if result == "data":
                other.send(b"data")
                await task
            elif result == "cancel":
                task.cancel()
                await asyncio.wait([task])
            else:
                other.close()
                await task
            return weakref.ref(one)

    assert loop.run_until_complete(main())() is None


def test_exceptions_do_not_keep_frames_alive(loop: Loop, no_gc: None) -> None:
    """A failed connect leaves no cycle of exception and frames behind."""
    watched: list[weakref.ref[Any]] = []

    async def main() -> None:
        thing = Thing()
        watched.append(weakref.ref(thing))
        with contextlib.suppress(OSError):
            await loop.create_connection(asyncio.Protocol, LOCALHOST, 1)

    loop.run_until_complete(main())
    assert watched[0]() is None


@pytest.mark.parametrize("delay", [None, 0.001])
def test_a_failed_connect_leaves_no_cycles(loop: Loop, no_gc: None, delay: float | None) -> None:
    async def attempt() -> BaseException:
        try:
            await loop.create_connection(
                asyncio.Protocol, "localhost", 1, happy_eyeballs_delay=delay
            )
        except OSError as error:
            return error
        raise AssertionError("connected to port 1")

    async def main() -> None:
        for _ in range(3):
            await attempt()

    loop.run_until_complete(main())
    gc.collect()  # asyncio's happy eyeballs have cycles before 3.14
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        loop.run_until_complete(attempt())
        gc.collect()
        errors = [thing for thing in gc.garbage if isinstance(thing, OSError)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
    if delay is None:
        assert errors == []


def test_a_collection_may_begin_with_any_allocation(loop: Loop) -> None:
    async def main() -> None:
        server = await loop.create_server(asyncio.Protocol, LOCALHOST, 0, backlog=500)
        address = server.sockets[0].getsockname()
        # More at once than the interpreter has freed dicts in store.
        connects = (loop.create_connection(asyncio.Protocol, *address) for _ in range(300))
        made = await asyncio.gather(*connects)
        for transport, _ in made:
            transport.abort()
        server.close()

    thresholds = gc.get_threshold()
    gc.set_threshold(1)
    try:
        loop.run_until_complete(main())
    finally:
        gc.set_threshold(*thresholds)

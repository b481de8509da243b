"""TCP connections: the protocol's events in order, flow control, and every way to end."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from .peers import LOCALHOST, Recorder, connected, free_port, reset
from .trace import Trace
from .twin import twin

MEGABYTE = bytes(1 << 20)


@twin
async def test_a_connection_from_made_to_lost(trace: Trace) -> None:
    async with connected(trace) as (client, server):
        client.transport.write(b"question")
        await server.wait_for(8)
        server.transport.write(b"answer")
        await client.wait_for(6)
        client.transport.close()
        await server.lost
        await client.lost


@twin
async def test_connection_made_comes_before_create_connection_returns(trace: Trace) -> None:
    async with connected(trace) as (client, _):
        trace.on("client", "returned", client.made.done())


@twin
async def test_data_written_in_connection_made_arrives(trace: Trace) -> None:
    class Eager(Recorder):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            transport.write(b"hello from " + self.name.encode())

    async with connected(trace, Eager, Eager) as (client, server):
        trace.on("client", await client.wait_for(17))
        trace.on("server", await server.wait_for(17))


@twin
async def test_connection_lost_is_never_called_from_inside_close(trace: Trace) -> None:
    async with connected(trace) as (client, _):
        client.transport.close()
        client.note("close returned", client.transport.is_closing(), client.lost.done())
        await client.lost


@twin
async def test_connection_lost_is_never_called_from_inside_abort(trace: Trace) -> None:
    async with connected(trace) as (client, server):
        client.transport.abort()
        client.note("abort returned", client.transport.is_closing(), client.lost.done())
        await client.lost
        await server.lost


@twin
async def test_close_and_abort_can_be_repeated(trace: Trace) -> None:
    async with connected(trace) as (client, server):
        for _ in range(3):
            client.transport.close()
        for _ in range(3):
            client.transport.abort()
        await client.lost
        client.transport.close()
        client.transport.abort()
        await server.lost


@twin
async def test_close_sends_what_was_written(trace: Trace) -> None:
    async with connected(trace) as (client, server):
        client.transport.write(MEGABYTE * 4)
        client.transport.close()
        client.note("buffered", client.transport.get_write_buffer_size() > 0)
        await server.lost
        await client.lost


@twin
async def test_abort_drops_what_was_written(trace: Trace) -> None:
    async with connected(trace) as (client, server):
        server.transport.pause_reading()
        client.transport.write(MEGABYTE * 16)
        client.transport.abort()
        client.note("buffered", client.transport.get_write_buffer_size())
        await client.lost


@twin
async def test_close_while_the_peer_does_not_read_waits_for_it(trace: Trace) -> None:
    async with connected(trace) as (client, server):
        server.transport.pause_reading()
        client.transport.write(MEGABYTE * 16)
        client.transport.close()
        await asyncio.sleep(0.05)
        client.note("still sending", not client.lost.done())
        server.transport.resume_reading()
        await client.lost
        await server.lost


@twin
async def test_nothing_is_read_after_close(trace: Trace) -> None:
    async with connected(trace) as (client, server):
        client.transport.close()
        server.transport.write(b"too late")
        await client.lost
        trace("received", bytes(client.received))


@twin
async def test_writes_after_close_are_ignored(trace: Trace) -> None:
    async with connected(trace) as (client, server):
        client.transport.write(b"before")
        client.transport.close()
        client.transport.write(b"after")
        await client.lost
        client.transport.write(b"lost")
        await server.lost
        trace("received", bytes(server.received))


@twin
async def test_writes_after_connection_lost_warn_after_the_fifth(trace: Trace) -> None:
    async with connected(trace) as (client, server):
        reset(server.transport)
        await client.lost
        for number in range(10):
            client.transport.write(b"into the void")
            trace("written", number)


@twin
async def test_end_of_file_closes_by_default(trace: Trace) -> None:
    async with connected(trace) as (client, server):
        client.transport.write(b"last words")
        client.transport.write_eof()
        await server.lost
        await client.lost
        trace("received", bytes(server.received))


@twin
async def test_half_close_lets_the_other_direction_live(trace: Trace) -> None:
    async with connected(trace) as (client, server):
        server.keep_open = True
        client.transport.write(b"question")
        client.transport.write_eof()
        await server.eof
        server.transport.write(b"answer after the end")
        server.transport.close()
        await client.lost
        trace("answer", bytes(client.received))


@twin
async def test_write_eof_sends_what_is_buffered_first(trace: Trace) -> None:
    async with connected(trace) as (client, server):
        server.keep_open = True
        server.transport.pause_reading()
        client.transport.write(MEGABYTE * 8)
        client.transport.write_eof()
        client.note("buffered", client.transport.get_write_buffer_size() > 0)
        await asyncio.sleep(0.02)
        server.transport.resume_reading()
        await server.eof
        trace("received", len(server.received))


@twin
async def test_writing_after_write_eof_is_an_error(trace: Trace) -> None:
    async with connected(trace) as (client, server):
        server.keep_open = True
        trace("can", client.transport.can_write_eof())
        client.transport.write_eof()
        with trace.raises("write"):
            client.transport.write(b"more")
        with trace.raises("writelines"):
            client.transport.writelines([b"more"])
        with trace.raises("write_eof"):
            client.transport.write_eof()
        await server.eof


@twin
async def test_write_eof_after_close_is_ignored(trace: Trace) -> None:
    async with connected(trace) as (client, server):
        client.transport.close()
        with trace.raises("write_eof"):
            client.transport.write_eof()
        await client.lost
        with trace.raises("write_eof"):
            client.transport.write_eof()
        await server.lost


@twin
async def test_a_reset_peer_is_connection_lost_with_the_error(trace: Trace) -> None:
    async with connected(trace) as (client, server):
        reset(server.transport)
        await client.lost


@twin
async def test_a_reset_while_writing_is_connection_lost_with_the_error(trace: Trace) -> None:
    async with connected(trace) as (client, server):
        server.transport.pause_reading()
        client.transport.pause_reading()
        client.transport.write(MEGABYTE * 16)
        await asyncio.sleep(0.01)
        reset(server.transport)
        trace("error", isinstance(await client.lost, ConnectionError))


@twin
async def test_pause_and_resume_reading(trace: Trace) -> None:
    async with connected(trace) as (client, server):
        transport = server.transport
        trace("reading", transport.is_reading())
        transport.pause_reading()
        trace("paused", transport.is_reading())
        client.transport.write(b"waits")
        await asyncio.sleep(0.02)
        trace("received while paused", bytes(server.received))
        transport.resume_reading()
        trace("resumed", transport.is_reading())
        trace("received", await server.wait_for(5))


@twin
async def test_pausing_twice_and_resuming_twice_is_allowed(trace: Trace) -> None:
    async with connected(trace) as (_, server):
        for call in ("pause_reading", "pause_reading", "resume_reading", "resume_reading"):
            with trace.raises(call):
                getattr(server.transport, call)()
            trace("reading", server.transport.is_reading())
        server.transport.close()
        for call in ("pause_reading", "resume_reading"):
            with trace.raises(f"{call} after close"):
                getattr(server.transport, call)()
            trace("reading", server.transport.is_reading())
        await server.lost
        for call in ("pause_reading", "resume_reading"):
            with trace.raises(f"{call} after connection_lost"):
                getattr(server.transport, call)()


@twin
async def test_private_names_that_tests_look_at(trace: Trace) -> None:
    """uvloop's do, on any loop."""
    async with connected(trace) as (client, server):

        def look(when: str) -> None:
            trace(when, client.transport._paused, client.transport._closing)

        look("made")
        client.transport.pause_reading()
        look("paused")
        client.transport.resume_reading()
        look("resumed")
        client.transport.pause_reading()
        client.transport.close()
        look("closed while paused")
        client.transport.resume_reading()
        look("resumed after close")
        await client.lost
        await server.lost
        look("lost")


@twin
async def test_reading_paused_in_connection_made_stays_paused(trace: Trace) -> None:
    class Paused(Recorder):
        def connection_made(self, transport: Any) -> None:
            transport.pause_reading()
            super().connection_made(transport)

    async with connected(trace, server=Paused) as (client, server):
        client.transport.write(b"waits")
        await asyncio.sleep(0.02)
        trace("received", bytes(server.received), server.transport.is_reading())
        server.transport.resume_reading()
        await server.wait_for(5)


@twin
async def test_reading_can_be_paused_inside_data_received(trace: Trace) -> None:
    class OneByOne(Recorder):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self.transport.pause_reading()

    async with connected(trace, server=OneByOne) as (client, server):
        client.transport.write(b"one")
        await server.wait_for(3)
        client.transport.write(b"two")
        await asyncio.sleep(0.02)
        trace("received", bytes(server.received))
        server.transport.resume_reading()
        trace("received", await server.wait_for(6))


@twin
async def test_writing_pauses_above_the_high_water_mark_and_resumes_at_the_low(
    trace: Trace,
) -> None:
    async with connected(trace) as (client, server):
        server.transport.pause_reading()
        client.transport.set_write_buffer_limits(high=100_000, low=50_000)
        while not client.paused.done():
            client.transport.write(MEGABYTE)
        client.note("above", client.transport.get_write_buffer_size() > 100_000)
        server.transport.resume_reading()
        await client.resumed
        client.note("below", client.transport.get_write_buffer_size() <= 50_000)
        client.transport.close()
        await server.lost
        server.trace.channels["server"].clear()  # how much it was is the kernel's affair


@twin
async def test_writing_pauses_once_until_it_resumes(trace: Trace) -> None:
    async with connected(trace) as (client, server):
        server.transport.pause_reading()
        for _ in range(20):
            client.transport.write(MEGABYTE)
        client.note("written")
        server.transport.resume_reading()
        await client.resumed
        await server.wait_for(20 * len(MEGABYTE))


@twin
async def test_with_a_limit_of_zero_every_buffered_byte_pauses(trace: Trace) -> None:
    async with connected(trace) as (client, server):
        client.transport.set_write_buffer_limits(high=0)
        trace("limits", client.transport.get_write_buffer_limits())
        server.transport.pause_reading()
        client.transport.write(MEGABYTE * 16)
        await client.paused
        server.transport.resume_reading()
        await client.resumed
        client.note("size", client.transport.get_write_buffer_size())
        await server.wait_for(16 * len(MEGABYTE))


@twin
async def test_write_buffer_limits(trace: Trace) -> None:
    async with connected(trace) as (client, _):
        transport = client.transport
        trace("default", transport.get_write_buffer_limits())
        for kwargs in (
            {"high": 1000},
            {"low": 1000},
            {"high": 1000, "low": 10},
            {"high": 0},
            {"high": 10, "low": 11},
            {"high": -1},
            {"low": -5, "high": 5},
            {},
        ):
            with trace.raises(repr(kwargs)):
                transport.set_write_buffer_limits(**kwargs)
            trace("limits", transport.get_write_buffer_limits())


@twin
async def test_the_size_of_the_write_buffer(trace: Trace) -> None:
    async with connected(trace) as (client, server):
        trace("empty", client.transport.get_write_buffer_size())
        client.transport.write(b"")
        trace("still empty", client.transport.get_write_buffer_size())
        server.transport.pause_reading()
        for _ in range(10):
            client.transport.write(MEGABYTE)
        await asyncio.sleep(0.02)
        before = client.transport.get_write_buffer_size()
        client.transport.write(b"x" * 1000)
        trace("grown by", client.transport.get_write_buffer_size() - before)


KINDS_OF_BYTES = {
    "bytes": b"abc",
    "bytearray": bytearray(b"abc"),
    "memoryview": memoryview(b"abc"),
    "slice": memoryview(b"xxabcxx")[2:5],
    "empty": b"",
    "str": "abc",
    "None": None,
    "int": 5,
    "list": [b"abc"],
}


@pytest.mark.parametrize("kind", KINDS_OF_BYTES)
@twin
async def test_what_can_be_written(trace: Trace, kind: str) -> None:
    async with connected(trace) as (client, server):
        with trace.raises("write"):
            client.transport.write(KINDS_OF_BYTES[kind])
        with trace.raises("writelines"):
            # The bad one first: behind others, it leaves 3.15's asyncio with a part of them.
            client.transport.writelines([KINDS_OF_BYTES[kind], b"<", b">"])
        client.transport.write(b"end")
        client.transport.close()
        await server.lost
        trace("received", bytes(server.received))


@twin
async def test_a_written_buffer_can_be_changed_afterwards(trace: Trace) -> None:
    async with connected(trace) as (client, server):
        buffer = bytearray(b"a" * 100)
        client.transport.write(buffer)
        buffer[:] = b"b" * 100
        buffer += b"it is ours again"
        trace("received", set(await server.wait_for(100)))


@twin
async def test_writelines_sends_all_in_order(trace: Trace) -> None:
    async with connected(trace) as (client, server):
        client.transport.writelines([b"one ", b"", b"two ", bytearray(b"three")])
        client.transport.writelines([])
        client.transport.writelines(iter([b" four"]))
        trace("received", await server.wait_for(18))


@twin
async def test_writelines_of_thousands(trace: Trace) -> None:
    async with connected(trace) as (client, server):
        client.transport.writelines([number.to_bytes(4, "big") for number in range(5000)])
        received = await server.wait_for(20_000)
        numbers = [int.from_bytes(received[i : i + 4], "big") for i in range(0, 20_000, 4)]
        trace("in order", numbers == list(range(5000)))


@twin
async def test_many_small_writes_arrive_in_order(trace: Trace) -> None:
    async with connected(trace) as (client, server):
        expected = b"".join(b"%d," % number for number in range(2000))
        for number in range(2000):
            client.transport.write(b"%d," % number)
        trace("same", await server.wait_for(len(expected)) == expected)


@twin
async def test_large_transfers_in_both_directions_at_once(trace: Trace) -> None:
    pattern = bytes(range(256)) * 8192
    async with connected(trace) as (client, server):
        client.transport.write(pattern * 2)
        server.transport.write(pattern)
        trace("to the server", await server.wait_for(len(pattern) * 2) == pattern * 2)
        trace("to the client", await client.wait_for(len(pattern)) == pattern)


@twin
async def test_close_inside_connection_made(trace: Trace) -> None:
    class Closing(Recorder):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            transport.close()

    async with connected(trace, server=Closing) as (client, server):
        await client.lost
        await server.lost


@twin
async def test_the_next_connection_works_after_one_was_closed_in_connection_made(
    trace: Trace,
) -> None:
    class Closing(Recorder):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            transport.abort()

    for _ in range(3):
        async with connected(trace, server=Closing) as (client, server):
            await client.lost
            await server.lost
        async with connected(trace) as (client, server):
            client.transport.write(b"works")
            await server.wait_for(5)


@twin
async def test_close_inside_data_received(trace: Trace) -> None:
    class Closing(Recorder):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self.transport.write(b"good bye")
            self.transport.close()

    async with connected(trace, server=Closing) as (client, _):
        client.transport.write(b"hello")
        await client.lost
        trace("received", bytes(client.received))


@twin
async def test_write_inside_connection_lost_is_ignored(trace: Trace) -> None:
    class Late(Recorder):
        def connection_lost(self, exc: BaseException | None) -> None:
            self.transport.write(b"too late")
            self.transport.close()
            self.transport.abort()
            super().connection_lost(exc)

    async with connected(trace, Late) as (client, server):
        server.transport.close()
        await client.lost


@twin
async def test_resume_writing_does_not_reach_a_protocol_that_is_gone(trace: Trace) -> None:
    async with connected(trace) as (client, server):
        server.transport.pause_reading()
        client.transport.write(MEGABYTE * 16)
        await client.paused
        client.transport.abort()
        await client.lost
        await asyncio.sleep(0.01)


@twin
async def test_what_resume_writing_writes_goes_out_though_nothing_else_happens(
    trace: Trace,
) -> None:
    class Resumed(Recorder):
        def resume_writing(self) -> None:
            super().resume_writing()
            self.transport.write(b"resumed")

    async with connected(trace, Resumed) as (client, server):
        server.transport.pause_reading()
        client.transport.write(MEGABYTE * 16)
        await client.paused
        server.transport.resume_reading()
        everything = await asyncio.wait_for(server.wait_for(len(MEGABYTE) * 16 + 7), 20)
        trace("the last word", everything[-7:])


@twin
async def test_set_protocol_changes_who_is_told(trace: Trace) -> None:
    async with connected(trace) as (client, server):
        trace("protocol", server.transport.get_protocol() is server)
        other = Recorder(trace, "other")
        server.transport.set_protocol(other)
        trace("protocol", server.transport.get_protocol() is other)
        client.transport.write(b"to the other")
        await other.wait_for(12)
        client.transport.close()
        await other.lost
        server.lost.set_result(None)


@twin
async def test_extra_info(trace: Trace) -> None:
    async with connected(trace) as (client, server):
        for end in (client, server):
            info = end.transport.get_extra_info
            end.note("addresses", info("sockname"), info("peername"))
            end.note("unknown", info("unknown"), info("unknown", "default"))
            end.note("none here", info("sslcontext"), info("cipher"), info("subprocess"))
            sock = info("socket")
            end.note("socket", sock.family, sock.type, sock.getsockname() == info("sockname"))
            end.note("nodelay", sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0)
            end.note("blocking", sock.gettimeout())
        client.transport.close()
        await client.lost
        client.note("afterwards", client.transport.get_extra_info("peername"))


@twin
async def test_extra_info_is_asked_by_the_base_class(
    trace: Trace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which tests of programs put something else in the place of."""
    async with connected(trace) as (client, _):
        trace("keys", list(client.transport._extra))
        client.transport._extra["more"] = "said"
        trace("more", client.transport.get_extra_info("more"))
        trace("default", client.transport.get_extra_info("nothing", "default"))
        monkeypatch.setattr(asyncio.BaseTransport, "get_extra_info", lambda *args: "mocked")
        trace("patched", client.transport.get_extra_info("sockname"))
        monkeypatch.undo()


@twin
async def test_the_socket_of_a_transport_is_not_for_io(trace: Trace) -> None:
    async with connected(trace) as (client, _):
        sock = client.transport.get_extra_info("socket")
        trace("type", type(sock))
        trace("fileno", sock.fileno() > 0)
        for name in ("recv", "send", "close", "detach", "connect", "accept", "sendall", "makefile"):
            trace(name, hasattr(sock, name))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        trace("option", sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
        with trace.raises("setblocking"):
            sock.setblocking(True)
        with trace.raises("settimeout"):
            sock.settimeout(5)
        sock.settimeout(0)


@twin
async def test_transports_are_asyncios(trace: Trace) -> None:
    async with connected(trace) as (client, server):
        for end in (client, server):
            trace(
                "instance",
                isinstance(end.transport, asyncio.Transport),
                isinstance(end.transport, asyncio.BaseTransport),
                isinstance(end.transport, asyncio.DatagramTransport),
            )


@twin
async def test_transports_take_attributes_and_weak_references(trace: Trace) -> None:
    import weakref

    async with connected(trace) as (client, server):
        written = []
        original = client.transport.write
        client.transport.write = lambda data: (written.append(data), original(data))
        client.transport.write(b"spied")
        await server.wait_for(5)
        trace("spied", written)
        client.transport.tag = "tag"
        trace("tag", client.transport.tag, weakref.ref(client.transport)() is client.transport)


@twin
async def test_unused_transport_methods(trace: Trace) -> None:
    async with connected(trace) as (client, _):
        with trace.raises("get_buffer"):
            client.transport.get_buffer()
        with trace.raises("sendto"):
            client.transport.sendto(b"")


@twin
async def test_a_refused_connection(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    port = free_port()
    trace.hide(port, "PORT")
    for _ in range(3):
        with trace.raises():
            await loop.create_connection(asyncio.Protocol, LOCALHOST, port)


@twin
async def test_the_peer_sends_and_closes_at_once(trace: Trace) -> None:
    class Hasty(Recorder):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            transport.write(bytes(100_000))
            transport.close()

    async with connected(trace, server=Hasty) as (client, server):
        await client.lost
        trace("received", len(client.received))
        await server.lost


@twin
async def test_writes_of_one_turn_arrive_together_and_in_order_with_eof(trace: Trace) -> None:
    async with connected(trace) as (client, server):
        client.transport.write(b"a")
        client.transport.write(b"b")
        client.transport.writelines([b"c", b"d"])
        client.transport.write_eof()
        await server.lost
        trace("received", bytes(server.received))


@twin
async def test_a_transport_without_references_keeps_its_connection(trace: Trace) -> None:
    import gc

    async with connected(trace) as (client, server):
        transport, server.transport = server.transport, None
        del transport
        gc.collect()
        client.transport.write(b"still there")
        trace("received", await server.wait_for(11))
        server.transport = client.transport  # for the closing down
        client.transport.close()
        await server.lost


@twin
async def test_watermarks_need_not_be_whole_numbers(trace: Trace) -> None:
    async with connected(trace) as (client, server):
        server.transport.pause_reading()
        client.transport.set_write_buffer_limits(high=1e5 / 2, low=1e5 / 4)
        trace("limits", *map(int, client.transport.get_write_buffer_limits()))
        client.transport.write(MEGABYTE * 16)
        trace("over", client.transport.get_write_buffer_size() > 50_000)
        server.transport.resume_reading()
        await server.wait_for(len(MEGABYTE) * 16)
        client.transport.set_write_buffer_limits(high=float("inf"), low=0)
        with trace.raises("negative"):
            client.transport.set_write_buffer_limits(high=-1)


@twin
async def test_protocol_and_extra_that_programs_set(trace: Trace) -> None:
    async with connected(trace) as (client, server):
        for end in (client, server):
            transport = end.transport
            other = Recorder(trace, f"{end.name} other")
            other.connection_made(transport)
            transport._protocol, previous = other, transport._protocol
            trace("protocol", previous is end, transport.get_protocol() is other)
            transport._extra = {**transport._extra, "peername": ("198.51.100.1", 5), "via": "proxy"}
            trace("peer", transport.get_extra_info("peername"), transport.get_extra_info("via"))
            trace("socket", type(transport.get_extra_info("socket")).__name__)
            trace("open", transport._sock.fileno() >= 0)
        client.transport.write(b"question")
        await server.transport.get_protocol().wait_for(8)
        server.transport._protocol, client.transport._protocol = server, client
        server.transport.write(b"answer")
        await client.wait_for(6)

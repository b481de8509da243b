"""`add_reader` and `add_writer`: level-triggered, by descriptor, replaceable at any moment."""

from __future__ import annotations

import asyncio
import contextvars
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from .peers import connected, socket_pair
from .trace import Trace
from .twin import Loop, twin


@contextmanager
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket_pair()
    with one, other:
        yield one, other


def run_for(loop: Loop, seconds: float = 0.02) -> None:
    """So long, and some turns more: on a busy machine there may have been no more than one."""

    def wind_down(turns: int) -> None:
        if turns == 0:
            loop.stop()
        else:
            loop.call_soon(wind_down, turns - 1)

    loop.call_later(seconds, wind_down, 5)
    loop.run_forever()


@twin
def test_a_reader_is_called_when_there_is_something_to_read(trace: Trace, loop: Loop) -> None:
    def read(*args: object) -> None:
        trace("readable", args, one.recv(100))
        loop.stop()

    with pair() as (one, other):
        loop.add_reader(one, read, "argument", 2)
        other.send(b"hello")
        loop.run_forever()
        trace("removed", loop.remove_reader(one))


@twin
def test_a_reader_is_called_again_until_all_is_read(trace: Trace, loop: Loop) -> None:
    def read() -> None:
        trace("readable", one.recv(2))
        if not calls.__next__():
            loop.stop()

    calls = iter([True, True, False])
    with pair() as (one, other):
        loop.add_reader(one, read)
        other.send(b"abcdef")
        loop.run_forever()
        loop.remove_reader(one)


@twin
def test_a_reader_that_does_not_read_is_called_in_every_turn(trace: Trace, loop: Loop) -> None:
    count = 0

    def look() -> None:
        nonlocal count
        count += 1
        trace("readable", count)
        if count == 5:
            loop.stop()

    with pair() as (one, other):
        loop.add_reader(one, look)
        other.send(b"x")
        loop.run_forever()
        loop.remove_reader(one)


@twin
def test_a_writer_is_called_while_there_is_room(trace: Trace, loop: Loop) -> None:
    count = 0

    def write() -> None:
        nonlocal count
        count += 1
        trace("writable", count)
        if count == 3:
            trace("removed", loop.remove_writer(one))
            loop.stop()

    with pair() as (one, _):
        loop.add_writer(one, write)
        loop.run_forever()
        run_for(loop)


@twin
def test_a_writer_is_not_called_while_the_buffer_is_full(trace: Trace, loop: Loop) -> None:
    with pair() as (one, other):
        try:
            while True:
                one.send(bytes(65536))
        except BlockingIOError:
            pass
        loop.add_writer(one, lambda: (trace("writable"), loop.remove_writer(one), loop.stop()))
        run_for(loop)
        trace("the peer reads")
        while other.recv(1 << 20) and len(trace.channels["main"]) < 2:
            run_for(loop, 0.001)


@twin
def test_reader_and_writer_of_one_descriptor(trace: Trace, loop: Loop) -> None:
    with pair() as (one, other):
        other.send(b"x")
        loop.add_reader(one, lambda: (trace("readable", one.recv(10)), loop.remove_reader(one)))
        loop.add_writer(one, lambda: (trace("writable"), loop.remove_writer(one)))
        run_for(loop)
        trace("removed before", loop.remove_reader(one), loop.remove_writer(one))


@twin
def test_adding_again_replaces(trace: Trace, loop: Loop) -> None:
    with pair() as (one, other):
        other.send(b"x")
        loop.add_reader(one, trace, "first")
        loop.add_reader(one, lambda: (trace("second"), loop.remove_reader(one)))
        loop.add_writer(one, trace, "first writer")
        loop.add_writer(one, lambda: (trace("second writer"), loop.remove_writer(one)))
        run_for(loop)


@twin
def test_removing_says_whether_there_was_one(trace: Trace, loop: Loop) -> None:
    with pair() as (one, _):
        trace("never added", loop.remove_reader(one), loop.remove_writer(one))
        loop.add_reader(one, print)
        trace("other kind", loop.remove_writer(one))
        trace("added", loop.remove_reader(one), loop.remove_reader(one))


@twin
def test_a_removed_reader_is_not_called_even_if_it_was_due(trace: Trace, loop: Loop) -> None:
    with pair() as (one, other), pair() as (three, four):
        # Whichever of the two is served first removes the other.
        called = []

        def first(me: socket.socket, her: socket.socket) -> None:
            called.append(me)
            loop.remove_reader(me)
            loop.remove_reader(her)

        loop.add_reader(one, first, one, three)
        loop.add_reader(three, first, three, one)
        other.send(b"x")
        four.send(b"x")
        run_for(loop)
        trace("called", len(called))


@twin
def test_end_of_file_is_readable(trace: Trace, loop: Loop) -> None:
    with pair() as (one, other):
        loop.add_reader(one, lambda: (trace("readable", one.recv(10)), loop.remove_reader(one)))
        other.close()
        run_for(loop)


@twin
def test_a_refused_connection_is_writable(trace: Trace, loop: Loop) -> None:
    from .peers import free_port

    with socket.socket() as sock:
        sock.setblocking(False)
        sock.connect_ex(("127.0.0.1", free_port()))

        def look() -> None:
            trace("error", sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
            loop.remove_writer(sock)

        loop.add_writer(sock, look)
        run_for(loop)


@twin
def test_pipes_can_be_watched(trace: Trace, loop: Loop) -> None:
    reader, writer = os.pipe()
    try:
        loop.add_reader(
            reader, lambda: (trace("read", os.read(reader, 10)), loop.remove_reader(reader))
        )
        loop.add_writer(
            writer, lambda: (os.write(writer, b"x"), loop.remove_writer(writer), trace("written"))
        )
        run_for(loop)
    finally:
        os.close(reader)
        os.close(writer)


@twin
def test_anything_with_a_fileno_can_be_watched(trace: Trace, loop: Loop) -> None:
    class Wrapper:
        def __init__(self, sock: socket.socket) -> None:
            self._sock = sock

        def fileno(self) -> int:
            return self._sock.fileno()

    with pair() as (one, other):
        other.send(b"x")
        wrapper = Wrapper(one)
        loop.add_reader(wrapper, lambda: (trace("readable"), loop.remove_reader(wrapper)))
        run_for(loop)
        loop.add_reader(wrapper, print)
        trace("by number", loop.remove_reader(one.fileno()))


WRONG: dict[str, Any] = {
    "negative": -1,
    "text": "0",
    "None": None,
    "float": 1.0,
    "object": object(),
    "not open": 9999,
    "huge": 1 << 40,
    "list": [],
}


@pytest.mark.parametrize("kind", WRONG)
@twin
def test_what_is_no_descriptor(trace: Trace, loop: Loop, kind: str) -> None:
    for call in (loop.add_reader, loop.add_writer):
        with trace.raises(call.__name__):
            call(WRONG[kind], print)
    for remove in (loop.remove_reader, loop.remove_writer):
        with trace.raises(remove.__name__):
            trace("result", remove(WRONG[kind]))


@twin
def test_a_closed_socket_is_refused(trace: Trace, loop: Loop) -> None:
    one, other = socket_pair()
    one.close()
    other.close()
    for call in (loop.add_reader, loop.add_writer):
        with trace.raises(call.__name__):
            call(one, print)
    for remove in (loop.remove_reader, loop.remove_writer):
        with trace.raises(remove.__name__):
            remove(one)


@twin
def test_regular_files_are_refused(trace: Trace, loop: Loop, tmp_path: Any) -> None:
    with (tmp_path / "file").open("w") as file:
        with trace.raises("add_reader"):
            loop.add_reader(file, print)
        with trace.raises("add_writer"):
            loop.add_writer(file, print)
        trace("removed", loop.remove_reader(file), loop.remove_writer(file))


@twin
def test_callback_must_be_given(trace: Trace, loop: Loop) -> None:
    with pair() as (one, _):
        for call in (loop.add_reader, loop.add_writer):
            try:
                call(one)  # type: ignore[call-arg]
            except TypeError:
                trace("TypeError", call.__name__)


@twin
async def test_the_descriptor_of_a_transport_is_refused(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    async with connected(trace) as (client, _):
        sock = client.transport.get_extra_info("socket")
        number = sock.fileno()
        trace.hide(number, "FD")
        for call in (loop.add_reader, loop.add_writer, loop.remove_reader, loop.remove_writer):
            for given in (number, sock):
                args = (given, print) if call.__name__.startswith("add") else (given,)
                with trace.raises(call.__name__):
                    call(*args)


@twin
def test_a_descriptor_number_can_be_used_again(trace: Trace, loop: Loop) -> None:
    numbers = set()
    for round_ in range(3):
        with pair() as (one, other):
            numbers.add(one.fileno())
            loop.add_reader(
                one,
                lambda s=one, n=round_: (trace("round", n, s.recv(9)), loop.remove_reader(s)),  # type: ignore[misc]
            )
            other.send(b"text")
            run_for(loop, 0.01)
    trace("reused", len(numbers) < 3)


@twin
def test_the_context_of_a_reader_is_the_one_of_add_reader(trace: Trace, loop: Loop) -> None:
    variable = contextvars.ContextVar("variable", default="unset")
    count = 0

    def look() -> None:
        nonlocal count
        count += 1
        trace("sees", variable.get())
        variable.set(f"set by call {count}")
        if count == 3:
            loop.remove_reader(one)

    with pair() as (one, other):
        variable.set("when added")
        loop.add_reader(one, look)
        variable.set("afterwards")
        other.send(b"x")
        run_for(loop)
    trace("outside", variable.get())


@twin
def test_a_failing_reader_is_reported_and_stays(trace: Trace, loop: Loop) -> None:
    count = 0

    def fail() -> None:
        nonlocal count
        count += 1
        if count == 2:
            loop.remove_reader(one)
        raise ValueError(f"call {count}")

    loop.set_exception_handler(trace.exception_handler)
    with pair() as (one, other):
        loop.add_reader(one, fail)
        other.send(b"x")
        run_for(loop)


@twin
def test_readers_survive_from_one_run_to_the_next(trace: Trace, loop: Loop) -> None:
    with pair() as (one, other):
        loop.add_reader(one, lambda: trace("readable", one.recv(10)))
        run_for(loop, 0.001)
        other.send(b"between runs")
        run_for(loop)
        other.send(b"and again")
        run_for(loop)
        loop.remove_reader(one)


@twin
def test_a_reader_can_close_its_socket_and_add_another(trace: Trace, loop: Loop) -> None:
    first, second = socket_pair(), socket_pair()

    def read_first() -> None:
        trace("first", first[0].recv(10))
        loop.remove_reader(first[0])
        first[0].close()
        loop.add_reader(second[0], read_second)

    def read_second() -> None:
        trace("second", second[0].recv(10))
        loop.remove_reader(second[0])
        loop.stop()

    loop.add_reader(first[0], read_first)
    first[1].send(b"one")
    second[1].send(b"two")
    loop.run_forever()
    for sock in (*first, *second):
        sock.close()


@twin
def test_closing_the_loop_forgets_its_readers(trace: Trace, loop: Loop) -> None:
    with pair() as (one, _):
        loop.add_reader(one, print)
        loop.close()
        trace("removed", loop.remove_reader(one), one.fileno() >= 0)

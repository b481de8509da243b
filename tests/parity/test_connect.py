"""`create_connection`: what it tries, in which order, and what it says when nothing works."""

from __future__ import annotations

import asyncio
import errno
import gc
import socket
import sys
import warnings
from typing import Any

import ferrio
import pytest

from .peers import LOCALHOST, Recorder, free_port, listening_socket
from .trace import Trace
from .twin import Loop, twin

since_312 = pytest.mark.skipif(sys.version_info < (3, 12), reason="all_errors came with 3.12")


def answers(loop: Loop, *addresses: tuple[Any, ...]) -> None:
    """Makes name resolution give these addresses."""

    async def getaddrinfo(host: Any, port: Any, **hints: Any) -> list[Any]:
        return [
            (socket.AF_INET6 if ":" in address[0] else socket.AF_INET, 1, 6, "", address)
            for address in addresses
        ]

    loop.getaddrinfo = getaddrinfo  # type: ignore[method-assign]


@twin
async def test_result_is_transport_and_protocol(trace: Trace) -> None:
    with listening_socket() as listener:
        transport, protocol = await asyncio.get_running_loop().create_connection(
            lambda: Recorder(trace, "client"), *listener.getsockname()
        )
        trace("same", protocol.transport is transport, transport.get_protocol() is protocol)
        transport.close()
        await protocol.lost


@twin
async def test_text_ports_and_names_resolve(trace: Trace) -> None:
    with listening_socket() as listener:
        port = listener.getsockname()[1]
        for host, given in (("localhost", port), (LOCALHOST, str(port)), (b"127.0.0.1", port)):
            with trace.raises(repr(host)):
                transport, protocol = await asyncio.get_running_loop().create_connection(
                    lambda: Recorder(trace, "client"),
                    host,  # type: ignore[arg-type]
                    given,  # type: ignore[arg-type]
                    family=socket.AF_INET,
                )
                transport.close()
                await protocol.lost


REFUSED: dict[str, Any] = {
    "no address at all": {},
    "host and sock": {"host": LOCALHOST, "port": 1, "sock": ...},
    "unknown option": {"host": LOCALHOST, "port": 1, "unknown": 1},
    "server_hostname without ssl": {"host": LOCALHOST, "port": 1, "server_hostname": "x"},
    "ssl timeout without ssl": {"host": LOCALHOST, "port": 1, "ssl_handshake_timeout": 1},
    "ssl shutdown timeout": {"host": LOCALHOST, "port": 1, "ssl_shutdown_timeout": 1},
    "sock with happy eyeballs": {"sock": ..., "happy_eyeballs_delay": 1},
    "no such host": {"host": "nobody.invalid", "port": 80},
    "no such service": {"host": LOCALHOST, "port": "no-such-service"},
    "port too large": {"host": LOCALHOST, "port": 70000},
    "port of a wrong type": {"host": LOCALHOST, "port": 1.5},
    "host of a wrong type": {"host": 5, "port": 80},
    "family that does not fit": {"host": "::1", "port": 80, "family": socket.AF_INET},
}


@pytest.mark.parametrize("options", REFUSED)
@twin
async def test_what_is_refused(trace: Trace, options: str) -> None:
    arguments = dict(REFUSED[options])
    sock = socket.socket()
    if "sock" in arguments:
        arguments["sock"] = sock
    with trace.raises():
        await asyncio.get_running_loop().create_connection(asyncio.Protocol, **arguments)
    sock.close()


@twin
async def test_a_datagram_socket_is_refused(trace: Trace) -> None:
    sock = socket.socket(type=socket.SOCK_DGRAM)
    with trace.raises():
        await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=sock)
    sock.close()


@twin
async def test_a_connected_socket_is_taken_over(trace: Trace) -> None:
    with listening_socket() as listener:
        sock = socket.create_connection(listener.getsockname())
        transport, protocol = await asyncio.get_running_loop().create_connection(
            lambda: Recorder(trace, "client"), sock=sock
        )
        trace("blocking", sock.gettimeout())
        accepted, _ = listener.accept()
        accepted.sendall(b"hello")
        trace("received", await protocol.wait_for(5))
        transport.close()
        await protocol.lost
        trace("closed with the transport", sock.fileno())
        accepted.close()


@twin
async def test_a_failing_connection_made_is_reported(trace: Trace) -> None:
    class Failing(Recorder):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            raise ValueError("in connection_made")

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(trace.exception_handler)
    with listening_socket() as listener:
        transport, protocol = await loop.create_connection(
            lambda: Failing(trace, "client"), *listener.getsockname()
        )
        transport.close()
        await protocol.lost


@twin
async def test_addresses_are_tried_in_order_until_one_works(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    with listening_socket() as listener:
        answers(loop, (LOCALHOST, free_port()), (LOCALHOST, free_port()), listener.getsockname())
        transport, protocol = await loop.create_connection(
            lambda: Recorder(trace, "client"), "example.test", 80
        )
        trace("connected", transport.get_extra_info("peername") == listener.getsockname())
        transport.close()
        await protocol.lost


@twin
async def test_one_failure_is_raised_as_it_is(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    port = free_port()
    trace.hide(port, "PORT")
    answers(loop, (LOCALHOST, port))
    try:
        await loop.create_connection(asyncio.Protocol, "example.test", 80)
    except OSError as error:
        trace("error", error, error.errno == errno.ECONNREFUSED)


@twin
async def test_several_equal_failures_are_one(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    port = free_port()
    trace.hide(port, "PORT")
    answers(loop, (LOCALHOST, port), (LOCALHOST, port))
    with trace.raises():
        await loop.create_connection(asyncio.Protocol, "example.test", 80)


@twin
async def test_several_different_failures_are_listed(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    one, two = free_port(), free_port()
    trace.hide(one, "ONE")
    trace.hide(two, "TWO")
    answers(loop, (LOCALHOST, one), (LOCALHOST, two), ("::1", one))
    with trace.raises():
        await loop.create_connection(asyncio.Protocol, "example.test", 80)


@since_312
@twin
async def test_all_errors_gives_them_all(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    one, two = free_port(), free_port()
    trace.hide(one, "ONE")
    trace.hide(two, "TWO")
    answers(loop, (LOCALHOST, one), (LOCALHOST, two))
    with trace.raises():
        await loop.create_connection(asyncio.Protocol, "example.test", 80, all_errors=True)  # type: ignore[call-overload]
    answers(loop, (LOCALHOST, one))
    with trace.raises():
        await loop.create_connection(asyncio.Protocol, "example.test", 80, all_errors=True)  # type: ignore[call-overload]


@twin
async def test_no_addresses_is_an_error(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    answers(loop)
    with trace.raises():
        await loop.create_connection(asyncio.Protocol, "example.test", 80)


@pytest.mark.parametrize("delay", [None, 0.05, 0])
@pytest.mark.parametrize("interleave", [None, 0, 1, 2])
@twin
async def test_the_order_of_attempts(
    trace: Trace, delay: float | None, interleave: int | None
) -> None:
    loop = asyncio.get_running_loop()
    connect = loop.sock_connect

    async def spy(sock: socket.socket, address: Any) -> None:
        trace("try", sock.family, address[0])
        return await connect(sock, address)

    loop.sock_connect = spy  # type: ignore[method-assign]
    port = free_port()
    trace.hide(port, "PORT")
    answers(
        loop,
        ("::1", port, 0, 0),
        ("::1", port, 0, 0),
        ("::1", port, 0, 0),
        (LOCALHOST, port),
        ("127.0.0.2", port),
    )
    options: dict[str, Any] = {"happy_eyeballs_delay": delay}
    if interleave is not None:
        options["interleave"] = interleave
    with trace.raises():
        await loop.create_connection(asyncio.Protocol, "example.test", 80, **options)


@twin
async def test_happy_eyeballs_does_not_wait_for_a_slow_address(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    connect = loop.sock_connect

    async def slow(sock: socket.socket, address: Any) -> None:
        trace("try", address[0])
        if address[0] == "127.0.0.2":
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                trace("the slow one is cancelled")
                raise
        return await connect(sock, address)

    loop.sock_connect = slow  # type: ignore[method-assign]
    with listening_socket() as listener:
        answers(loop, ("127.0.0.2", 9), listener.getsockname())
        transport, _ = await loop.create_connection(
            asyncio.Protocol, "example.test", 80, happy_eyeballs_delay=0.02
        )
        trace("connected", transport.get_extra_info("peername")[0])
        transport.close()
        await asyncio.sleep(0)


@twin
async def test_happy_eyeballs_moves_on_as_soon_as_one_fails(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    with listening_socket() as listener:
        answers(loop, (LOCALHOST, free_port()), listener.getsockname())
        async with asyncio.timeout(5):
            transport, _ = await loop.create_connection(
                asyncio.Protocol, "example.test", 80, happy_eyeballs_delay=100
            )
        trace("connected", transport.get_extra_info("peername")[0])
        transport.close()
        await asyncio.sleep(0)


@twin
async def test_local_addr_is_where_the_connection_comes_from(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    with listening_socket() as listener:
        for local in (("127.0.0.1", 0), ("127.0.0.7", 0), ("localhost", 0)):
            transport, _ = await loop.create_connection(
                asyncio.Protocol, *listener.getsockname(), local_addr=local
            )
            trace("from", transport.get_extra_info("sockname")[0])
            transport.close()
        await asyncio.sleep(0)


@twin
async def test_local_addr_that_cannot_be_had(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    with listening_socket() as listener:
        busy = listener.getsockname()
        trace.hide(busy[1], "PORT")
        for local in (busy, ("192.0.2.1", 0), ("::1", 0), ("nobody.invalid", 0)):
            with trace.raises(local[0]):
                await loop.create_connection(asyncio.Protocol, *busy, local_addr=local)


@twin
async def test_a_cancelled_connect_closes_its_socket(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    made = []

    async def never(sock: socket.socket, address: Any) -> None:
        made.append(sock)
        await asyncio.sleep(10)

    loop.sock_connect = never  # type: ignore[method-assign]
    task = asyncio.create_task(loop.create_connection(asyncio.Protocol, LOCALHOST, 9))
    while not made:
        await asyncio.sleep(0)
    task.cancel()
    with trace.raises():
        await task
    trace("closed", made[0].fileno())


@twin
async def test_base_exceptions_close_the_socket(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    made = []

    class Odd(BaseException):
        pass

    async def fail(sock: socket.socket, address: Any) -> None:
        made.append(sock)
        raise Odd("odd")

    loop.sock_connect = fail  # type: ignore[method-assign]
    with trace.raises():
        await loop.create_connection(asyncio.Protocol, LOCALHOST, 9)
    trace("closed", made[0].fileno())


@twin
async def test_ipv6_addresses_keep_their_four_items(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(asyncio.Protocol, "::1", 0)
    address = server.sockets[0].getsockname()
    trace.hide(address[1], "PORT")
    transport, _ = await loop.create_connection(asyncio.Protocol, *address[:2])
    trace("peer", transport.get_extra_info("peername"))
    trace("items", len(transport.get_extra_info("sockname")))
    transport.close()
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("flag", [socket.AI_NUMERICHOST, socket.AI_ADDRCONFIG])
@twin
async def test_flags_reach_the_resolver(trace: Trace, flag: int) -> None:
    loop = asyncio.get_running_loop()
    asked = []
    resolve = loop.getaddrinfo

    async def spy(host: Any, port: Any, **hints: Any) -> Any:
        asked.append((host, hints))
        return await resolve(host, port, **hints)

    loop.getaddrinfo = spy  # type: ignore[method-assign]
    with listening_socket() as listener:
        transport, _ = await loop.create_connection(
            asyncio.Protocol,
            "localhost" if flag != 4 else LOCALHOST,
            listener.getsockname()[1],
            family=socket.AF_INET,
            flags=flag,
        )
        transport.close()
    trace("connected")
    await asyncio.sleep(0)


@twin
@pytest.mark.parametrize("made", [None, "text", object])
@pytest.mark.parametrize("gives_socket", [False, True])
async def test_a_factory_that_makes_no_protocol(
    trace: Trace, made: Any, gives_socket: bool
) -> None:
    # asyncio leaves half a transport behind.
    warnings.filterwarnings("ignore", "unclosed transport", ResourceWarning)
    loop = asyncio.get_running_loop()
    with listening_socket() as listener:
        address = listener.getsockname()
        if gives_socket:
            sock = socket.create_connection(address)
            with trace.raises("socket"):
                await loop.create_connection(lambda: made, sock=sock)
            trace("closed", sock.fileno() == -1)
            sock.close()
        else:
            with trace.raises("host and port"):
                await loop.create_connection(lambda: made, *address)


@pytest.mark.parametrize("method", ["__init__", "bind", "connect", "setblocking"])
@twin
async def test_a_method_put_into_the_socket_class_is_called(
    trace: Trace, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = getattr(socket.socket, method)
    called = False

    def spy(self: socket.socket, *args: Any, **kwargs: Any) -> Any:
        nonlocal called
        called = True
        return original(self, *args, **kwargs)

    with listening_socket() as listener:
        address = listener.getsockname()
        with monkeypatch.context() as patched:
            patched.setattr(socket.socket, method, spy)
            transport, _ = await asyncio.get_running_loop().create_connection(
                asyncio.Protocol, *address, local_addr=(LOCALHOST, 0)
            )
        trace("called", called)
        transport.close()
        await asyncio.sleep(0)


def test_no_socket_object_is_made_before_somebody_asks_for_it() -> None:
    def count() -> int:
        return sum(isinstance(thing, socket.socket) for thing in gc.get_objects())

    async def main() -> None:
        with listening_socket() as listener:
            before = count()
            transport, _ = await asyncio.get_running_loop().create_connection(
                asyncio.Protocol, *listener.getsockname()
            )
            assert count() == before
            assert transport.get_extra_info("socket").fileno() > 0
            assert count() == before + 1
            transport.close()
            await asyncio.sleep(0)

    ferrio.run(main())


@pytest.mark.parametrize("way", ["create_connection", "connect_accepted_socket"])
@twin
async def test_a_socket_that_has_a_transport(trace: Trace, way: str) -> None:
    """Two transports would take each other's data: refused from 3.12 on."""
    if sys.version_info < (3, 12):
        pytest.skip("asyncio gives one socket two transports before 3.12, and so does ferrio")
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
    try:
        if way == "create_connection":
            await loop.create_connection(asyncio.Protocol, sock=ours)
        else:
            await loop.connect_accepted_socket(asyncio.Protocol, ours)
    except RuntimeError as error:
        trace("is used by transport" in str(error))
    trace(transport.is_closing())
    transport.abort()
    await asyncio.sleep(0)
    ours.close()
    ours, _ = socket.socketpair()
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
    trace("the number is free again")
    transport.abort()
    theirs.close()
    await asyncio.sleep(0)

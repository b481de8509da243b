"""TLS: handshakes and how they fail, data, flow control, ends."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.certificates import Certificates

from .peers import LOCALHOST, BufferedRecorder, Recorder, listening_socket, reset
from .trace import Trace
from .twin import Loop, twin

MIB = 1 << 20


@asynccontextmanager
async def serving(
    trace: Trace, context: ssl.SSLContext, factory: Callable[[], Any], **options: Any
) -> AsyncIterator[tuple[str, int]]:
    """A server's address."""
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(factory, LOCALHOST, 0, ssl=context, **options)
    address = listener.sockets[0].getsockname()
    trace.hide(address[1], "SERVER-PORT")
    try:
        yield address
    finally:
        listener.close()
        await listener.wait_closed()


@asynccontextmanager
async def connected(
    trace: Trace,
    certificates: Certificates,
    client: Callable[[Trace, str], Any] = Recorder,
    server: Callable[[Trace, str], Any] = Recorder,
    server_context: ssl.SSLContext | None = None,
    client_context: ssl.SSLContext | None = None,
    serve: dict[str, Any] | None = None,
    **connect: Any,
) -> AsyncIterator[tuple[Any, Any]]:
    """The client's and the server's protocol of one connection; closed down at the end."""
    loop = asyncio.get_running_loop()
    accepted: list[Any] = []

    def accept() -> Any:
        accepted.append(server(trace, "server"))
        return accepted[0]

    server_context = server_context or certificates.server()
    async with serving(trace, server_context, accept, **(serve or {})) as address:
        connect = {"server_hostname": "localhost", **connect}
        context = client_context or certificates.client()
        _, protocol = await loop.create_connection(
            lambda: client(trace, "client"), *address, ssl=context, **connect
        )
        trace.hide(protocol.transport.get_extra_info("sockname")[1], "CLIENT-PORT")
        while not accepted:
            await asyncio.sleep(0.001)
        await accepted[0].made
        try:
            yield protocol, accepted[0]
        finally:
            for end in (protocol, accepted[0]):
                if not end.lost.done():
                    end.transport.abort()
                    await end.lost


def pattern(size: int) -> bytes:
    return (bytes(range(251)) * (size // 251 + 1))[:size]


# --------------------------------------------------------------------------------------------- data


@pytest.mark.parametrize("size", [1, 1000, 1 << 14, (1 << 14) + 1, 1 << 16, 3 * MIB])
@pytest.mark.parametrize("kind", [Recorder, BufferedRecorder])
@twin
async def test_data_arrives_whole(
    trace: Trace, certificates: Certificates, size: int, kind: Any
) -> None:
    data = pattern(size)
    async with connected(trace, certificates, kind, kind) as (client, server):
        client.transport.write(data)
        trace("there", await server.wait_for(size) == data)
        server.transport.write(data)
        trace("back", await client.wait_for(size) == data)
        client.transport.close()
        await asyncio.gather(client.lost, server.lost)


@pytest.mark.parametrize("size", [1, 7, 100, 1 << 14, 1 << 16])
@twin
async def test_buffers_of_any_size(trace: Trace, certificates: Certificates, size: int) -> None:
    data = pattern(5000 if size < 1000 else 300_000)

    class Checked(BufferedRecorder):
        def __init__(self, trace: Trace, name: str) -> None:
            super().__init__(trace, name)
            # (asyncio slices the buffer, which copies if it is a bytearray.)
            self.buffer = memoryview(bytearray(size))  # type: ignore[assignment]

        def buffer_updated(self, nbytes: int) -> None:
            trace.on("sizes", 0 < nbytes <= size)
            super().buffer_updated(nbytes)

    async with connected(trace, certificates, server=Checked) as (client, server):
        client.transport.write(data)
        trace("same", await server.wait_for(len(data)) == data)
        trace.channels["sizes"] = trace.channels["sizes"][:1]


@twin
async def test_many_writes_keep_their_order(trace: Trace, certificates: Certificates) -> None:
    async with connected(trace, certificates) as (client, server):
        expected = b""
        for number in range(300):
            piece = b"%d," % number * (number % 17)
            client.transport.write(piece)
            expected += piece
            if number % 50 == 0:
                await asyncio.sleep(0)
        client.transport.writelines([b"bytes", bytearray(b"array"), memoryview(b"view"), b""])
        expected += b"bytesarrayview"
        trace("same", await server.wait_for(len(expected)) == expected)


@twin
async def test_what_is_written_may_change_afterwards(
    trace: Trace, certificates: Certificates
) -> None:
    async with connected(trace, certificates) as (client, server):
        data = bytearray(b"before")
        client.transport.write(data)
        data[:] = b"after!"
        trace("received", await server.wait_for(6))


@twin
async def test_writes_that_are_refused(trace: Trace, certificates: Certificates) -> None:
    async with connected(trace, certificates) as (client, server):
        for wrong in ("text", None, 5, [b"list"]):
            trace.call(client.transport.write, wrong)
        trace.call(client.transport.write, b"")
        trace.call(client.transport.writelines, [])
        trace.call(client.transport.can_write_eof)
        trace.call(client.transport.write_eof)
        client.transport.write(b"still there")
        trace("received", await server.wait_for(11))


@twin
async def test_what_a_transport_tells(trace: Trace, certificates: Certificates) -> None:
    async with connected(trace, certificates) as (client, server):
        for end in (client, server):
            info = end.transport.get_extra_info
            context = info("sslcontext")
            end.note(isinstance(end.transport, asyncio.Transport), type(context).__name__)
            end.note(sorted(info("peercert") or {}), info("cipher"), info("compression"))
            end.note(type(info("ssl_object")).__name__, info("ssl_object").version())
            end.note(info("peername"), info("sockname"), type(info("socket")).__name__)
            end.note(info("nothing"), info("nothing", "default"))
            end.note(end.transport._start_tls_compatible, end.transport._sendfile_compatible)
            end.note(end.transport.get_write_buffer_limits(), end.transport.get_write_buffer_size())
            end.note(end.transport.get_read_buffer_limits(), end.transport.get_read_buffer_size())
            end.note(end.transport.get_protocol() is end, end.transport.is_closing())
            end.note(end.transport._ssl_protocol._sslcontext is context)
            end.note(isinstance(end.transport._ssl_protocol, asyncio.BufferedProtocol))
        client.transport.close()
        await asyncio.gather(client.lost, server.lost)
        for end in (client, server):
            info = end.transport.get_extra_info
            end.note(info("cipher"), info("peername"), info("socket"), end.transport.is_closing())


@pytest.mark.parametrize("limits", [(), (100,), (None, 100), (100, 20), (5, 50), (0,), (-1, -1)])
@twin
async def test_watermarks(trace: Trace, certificates: Certificates, limits: Any) -> None:
    async with connected(trace, certificates) as (client, _server):
        transport = client.transport
        if limits != (0,):
            trace.call(transport.set_read_buffer_limits, *limits)
        trace.call(transport.set_write_buffer_limits, *limits)
        trace(transport.get_read_buffer_limits(), transport.get_write_buffer_limits())


@twin
async def test_set_protocol_between_two_messages(trace: Trace, certificates: Certificates) -> None:
    async with connected(trace, certificates) as (client, server):
        client.transport.write(b"first")
        await server.wait_for(5)
        for kind in (BufferedRecorder, Recorder):
            other = kind(trace, f"other {kind.__name__}")
            server.transport.set_protocol(other)
            trace("set", server.transport.get_protocol() is other)
            client.transport.write(b"second")
            trace("received", await other.wait_for(6))
        server.transport.set_protocol(server)


# --------------------------------------------------------------------------------------- handshakes


def trusts_nobody(certificates: Certificates) -> Any:
    return {"client_context": ssl.create_default_context()}


def wrong_name(certificates: Certificates) -> Any:
    return {"server_hostname": "elsewhere"}


def no_name_in_the_certificate(certificates: Certificates) -> Any:
    return {"server_context": certificates.server("elsewhere")}


def no_version_in_common(certificates: Certificates) -> Any:
    server, client = certificates.server(), certificates.client()
    server.minimum_version = ssl.TLSVersion.TLSv1_3
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    return {"server_context": server, "client_context": client}


def no_cipher_in_common(certificates: Certificates) -> Any:
    server, client = certificates.server(), certificates.client()
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    client.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
    server.set_ciphers("ECDHE-ECDSA-AES256-GCM-SHA384")
    return {"server_context": server, "client_context": client}


def no_client_certificate(certificates: Certificates) -> Any:
    server, client = certificates.server(), certificates.client()
    server.verify_mode = ssl.CERT_REQUIRED
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    return {"server_context": server, "client_context": client}


def refused_by_the_server_name_callback(certificates: Certificates) -> Any:
    server = certificates.server()
    server.sni_callback = lambda *_: ssl.ALERT_DESCRIPTION_HANDSHAKE_FAILURE
    return {"server_context": server}


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize(
    "case",
    [
        trusts_nobody,
        wrong_name,
        no_name_in_the_certificate,
        no_version_in_common,
        no_cipher_in_common,
        no_client_certificate,
        refused_by_the_server_name_callback,
    ],
)
@twin
async def test_handshakes_that_fail(
    trace: Trace, certificates: Certificates, case: Any, debug: bool
) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: trace.exception_handler(loop, context))
    loop.set_debug(debug)
    options = {
        "server_context": certificates.server(),
        "client_context": certificates.client(),
        "server_hostname": "localhost",
        **case(certificates),
    }
    factory = lambda: Recorder(trace, "server")  # noqa: E731
    async with serving(trace, options["server_context"], factory) as address:
        with trace.raises():
            await loop.create_connection(
                lambda: Recorder(trace, "client"),
                *address,
                ssl=options["client_context"],
                server_hostname=options["server_hostname"],
            )
        # What the server makes of it.
        for _ in range(20):
            await asyncio.sleep(0.002)
    loop.set_debug(False)
    # The two ends log in either order, and how long a handshake took.
    kept = [line for line in trace.channels.pop("log", []) if "took" not in line]
    for line in sorted(kept):
        trace.on("log", line)


@pytest.mark.parametrize("side", ["client", "server"])
@pytest.mark.parametrize("reply", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x16\x03"])
@twin
async def test_a_peer_that_speaks_no_tls(
    trace: Trace, certificates: Certificates, side: str, reply: bytes
) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: trace.exception_handler(loop, context))

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(reply)
        if side == "client":
            await reader.read(1)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    if side == "client":
        listener = await asyncio.start_server(answer, LOCALHOST, 0)
        address = listener.sockets[0].getsockname()
        with trace.raises():
            await loop.create_connection(
                lambda: Recorder(trace, "client"),
                *address,
                ssl=certificates.client(),
                server_hostname="localhost",
            )
        listener.close()
        await listener.wait_closed()
        return
    factory = lambda: Recorder(trace, "server")  # noqa: E731
    async with serving(trace, certificates.server(), factory) as address:
        await answer(*await asyncio.open_connection(*address))
        await asyncio.sleep(0.02)
        trace("over")


@twin
async def test_handshake_timeout(trace: Trace, certificates: Certificates) -> None:
    loop = asyncio.get_running_loop()
    with listening_socket() as silent, trace.raises():
        await loop.create_connection(
            lambda: Recorder(trace, "client"),
            *silent.getsockname(),
            ssl=certificates.client(),
            server_hostname="localhost",
            ssl_handshake_timeout=0.05,
        )
    factory = lambda: Recorder(trace, "server")  # noqa: E731
    context = certificates.server()
    async with serving(trace, context, factory, ssl_handshake_timeout=0.05) as address:
        reader, writer = await asyncio.open_connection(*address)
        trace("closed", await reader.read())
        writer.close()


@twin
async def test_cancelled_handshake(trace: Trace, certificates: Certificates) -> None:
    loop = asyncio.get_running_loop()
    with listening_socket() as silent:
        connecting = loop.create_task(
            loop.create_connection(
                lambda: Recorder(trace, "client"),
                *silent.getsockname(),
                ssl=certificates.client(),
                server_hostname="localhost",
            )
        )
        peer, _ = await loop.run_in_executor(None, silent.accept)
        peer.setblocking(False)
        trace("hello", len(await loop.sock_recv(peer, 100)) > 0)
        connecting.cancel()
        with trace.raises():
            await connecting
        with contextlib.suppress(ConnectionResetError):
            while await loop.sock_recv(peer, 4096):
                pass
        trace("end")
        peer.close()


@twin
async def test_alpn_and_server_name(trace: Trace, certificates: Certificates) -> None:
    names: list[Any] = []
    server, client = certificates.server(), certificates.client()
    server.set_alpn_protocols(["h2", "http/1.1"])
    client.set_alpn_protocols(["http/1.1"])
    server.sni_callback = lambda obj, name, context: names.append(name)
    contexts: dict[str, Any] = {"server_context": server, "client_context": client}
    async with connected(trace, certificates, **contexts) as (one, other):
        for end in (one, other):
            end.note(end.transport.get_extra_info("ssl_object").selected_alpn_protocol())
        trace("names", names)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@twin
async def test_client_certificates(
    trace: Trace, certificates: Certificates, version: ssl.TLSVersion
) -> None:
    server, client = certificates.server(), certificates.client()
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_verify_locations(certificates.file("authority.pem"))
    client.load_cert_chain(certificates.file("client.pem"), certificates.key("client"))
    client.maximum_version = version
    contexts: dict[str, Any] = {"server_context": server, "client_context": client}
    async with connected(trace, certificates, **contexts) as (one, other):
        trace("subject", other.transport.get_extra_info("peercert")["subject"])
        one.transport.write(b"hello")
        trace("received", await other.wait_for(5))


@twin
async def test_sessions_are_reused(trace: Trace, certificates: Certificates) -> None:
    server, client = certificates.server(), certificates.client()
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    made: list[Any] = []

    class Remembering(ssl.SSLObject):
        @classmethod
        def _create(cls, *args: Any, **kwargs: Any) -> Any:
            if made and not kwargs.get("server_side"):
                kwargs["session"] = made[0]
            return super()._create(*args, **kwargs)  # type: ignore[misc]

    client.sslobject_class = Remembering
    contexts: dict[str, Any] = {"server_context": server, "client_context": client}
    for _ in range(2):
        async with connected(trace, certificates, **contexts) as (one, other):
            sslobj = one.transport.get_extra_info("ssl_object")
            trace("reused", sslobj.session_reused, type(sslobj).__name__)
            made.append(sslobj.session)
            one.transport.write(b"hello")
            await other.wait_for(5)


@twin
async def test_keys_are_logged(trace: Trace, certificates: Certificates, tmp_path: Any) -> None:
    client = certificates.client()
    file = tmp_path / "keys"
    client.keylog_filename = str(file)
    async with connected(trace, certificates, client_context=client):
        trace("labels", sorted({line.split()[0] for line in file.read_text().splitlines()}))


# ----------------------------------------------------------------------------------------- the ends


@pytest.mark.parametrize("closer", ["client", "server"])
@pytest.mark.parametrize("how", ["close", "abort"])
@twin
async def test_an_end_closes(
    trace: Trace, certificates: Certificates, closer: str, how: str
) -> None:
    async with connected(trace, certificates) as (client, server):
        ends = {"client": client, "server": server}
        server.transport.write(b"hello")
        await client.wait_for(5)
        end = ends.pop(closer)
        (other,) = ends.values()
        end.transport.write(b"last words")
        trace.call(getattr(end.transport, how))
        trace("closing", end.transport.is_closing())
        end.transport.write(b"too late")
        trace.call(end.transport.close)
        await asyncio.gather(end.lost, other.lost)
        trace("received", bytes(other.received[-10:]))


@twin
async def test_both_ends_close_at_once(trace: Trace, certificates: Certificates) -> None:
    async with connected(trace, certificates) as (client, server):
        client.transport.close()
        server.transport.close()
        await asyncio.gather(client.lost, server.lost)


@twin
async def test_all_is_sent_before_the_end(trace: Trace, certificates: Certificates) -> None:
    async with connected(trace, certificates) as (client, server):
        client.transport.write(pattern(3 * MIB))
        client.transport.close()
        trace("all", await server.wait_for(3 * MIB) == pattern(3 * MIB))
        await asyncio.gather(client.lost, server.lost)


@twin
async def test_writes_after_the_end_are_warned_of(trace: Trace, certificates: Certificates) -> None:
    async with connected(trace, certificates) as (client, server):
        client.transport.abort()
        await client.lost
        for _ in range(8):
            client.transport.write(b"?")
        client.transport.writelines([b"?"])
        await server.lost


@twin
async def test_eof_received_cannot_keep_it_open(trace: Trace, certificates: Certificates) -> None:
    async with connected(trace, certificates) as (client, server):
        server.keep_open = True
        client.transport.close()
        await asyncio.gather(client.lost, server.lost)


@twin
async def test_the_peer_vanishes_without_close_notify(
    trace: Trace, certificates: Certificates
) -> None:
    async with connected(trace, certificates) as (client, server):
        client.transport.write(b"hello")
        await server.wait_for(5)
        client.transport.get_extra_info("socket")._sock.shutdown(socket.SHUT_WR)
        await server.lost
        await client.lost


@twin
async def test_the_peer_resets(trace: Trace, certificates: Certificates) -> None:
    async with connected(trace, certificates) as (client, server):
        client.transport.write(b"hello")
        await server.wait_for(5)
        reset(client.transport)
        await asyncio.gather(client.lost, server.lost)


@pytest.mark.parametrize("cut", [0, 1, 5, 20])
@twin
async def test_garbage_in_the_middle(trace: Trace, certificates: Certificates, cut: int) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: trace.exception_handler(loop, context))
    async with connected(trace, certificates) as (client, server):
        client.transport.write(b"hello")
        await server.wait_for(5)
        lower = client.transport._ssl_protocol._transport
        record = bytearray(b"\x17\x03\x03\x00\x20" + bytes(32))
        record[:cut] = b"\xff" * min(cut, 5) + bytes(max(cut - 5, 0))
        lower.write(record)
        await asyncio.gather(client.lost, server.lost)


@twin
async def test_shutdown_timeout(trace: Trace, certificates: Certificates) -> None:
    async with connected(trace, certificates, ssl_shutdown_timeout=0.05) as (client, server):
        server.transport._ssl_protocol._transport.pause_reading()
        client.transport.close()
        trace("lost", await client.lost)


@twin
async def test_close_while_the_peer_does_not_read(trace: Trace, certificates: Certificates) -> None:
    async with connected(trace, certificates, ssl_shutdown_timeout=0.1) as (client, server):
        server.transport._ssl_protocol._transport.pause_reading()
        while not client.paused.done():
            client.transport.write(pattern(MIB))
            await asyncio.sleep(0)
        client.transport.close()
        trace("lost", await client.lost)


@twin
def test_unclosed_transports_are_warned_of(
    trace: Trace, loop: Loop, certificates: Certificates
) -> None:
    async def begin() -> None:
        async with serving(trace, certificates.server(), asyncio.Protocol) as address:
            transport, _ = await loop.create_connection(
                asyncio.Protocol, *address, ssl=certificates.client(), server_hostname="localhost"
            )
            trace("closing", transport.is_closing())
            kept.append(transport)

    kept: list[Any] = []
    # The server's wait_closed() is what it is cancelled in.
    with contextlib.suppress(TimeoutError):
        loop.run_until_complete(asyncio.wait_for(begin(), 0.2))
    trace("kept", len(kept))


# ------------------------------------------------------------------------------------- flow control


@twin
async def test_a_slow_reader_pauses_the_writer(trace: Trace, certificates: Certificates) -> None:
    async with connected(trace, certificates) as (client, server):
        server.transport.pause_reading()
        trace("reading", server.transport.is_reading())
        written = 0
        while not client.paused.done():
            client.transport.write(pattern(MIB))
            written += MIB
            await asyncio.sleep(0)
        # Now or soon: the kernel may have taken all of it meanwhile.
        trace("paused", client.paused.done())
        server.transport.resume_reading()
        trace("reading", server.transport.is_reading())
        await client.resumed
        trace("all", len(await server.wait_for(written)) == written)
        trace("size", client.transport.get_write_buffer_size())
    # How much it was until then is the kernel's affair.
    trace.channels["server"] = [e for e in trace.channels["server"] if not e.startswith("data")]


@twin
async def test_a_paused_protocol_gets_nothing(trace: Trace, certificates: Certificates) -> None:
    class Pausing(Recorder):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self.transport.pause_reading()

    async with connected(trace, certificates, server=Pausing) as (client, server):
        client.transport.write(b"one")
        await server.wait_for(3)
        client.transport.write(b"two")
        await asyncio.sleep(0.02)
        trace("received", bytes(server.received))
        client.transport.close()
        await asyncio.sleep(0.02)
        server.transport.resume_reading()
        trace("received", await server.wait_for(6))
        server.transport.resume_reading()
        await asyncio.gather(client.lost, server.lost)


# ---------------------------------------------------------------------- exceptions out of protocols


@pytest.mark.parametrize("error", [ValueError("mine"), OSError("mine"), asyncio.CancelledError()])
@pytest.mark.parametrize(
    "method",
    ["connection_made", "data_received", "eof_received", "connection_lost", "pause_writing"],
)
@twin
async def test_exceptions_out_of_protocols(
    trace: Trace, certificates: Certificates, method: str, error: BaseException
) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: trace.exception_handler(loop, context))

    def fail(self: Recorder, *args: Any) -> None:
        getattr(Recorder, method)(self, *args)
        raise error

    failing = type("Failing", (Recorder,), {method: fail})
    async with connected(trace, certificates, server=failing) as (client, server):
        # Sent to a connection that is being closed, it might be answered by a reset.
        if method != "connection_made":
            client.transport.write(b"hello")
        if method == "pause_writing":
            client.transport.pause_reading()
            while not server.paused.done() and not server.lost.done():
                server.transport.write(pattern(MIB))
                await asyncio.sleep(0)
            client.transport.abort()
        else:
            await asyncio.sleep(0.02)
            client.transport.close()
        await asyncio.gather(client.lost, server.lost)
        await asyncio.sleep(0)


@twin
async def test_what_a_failing_protocol_wrote_is_sent(
    trace: Trace, certificates: Certificates
) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: trace.exception_handler(loop, context))

    class Failing(Recorder):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self.transport.write(b"an error")
            raise ValueError("mine")

    async with connected(trace, certificates, server=Failing) as (client, server):
        client.transport.write(b"hello")
        trace("received", await client.wait_for(8))
        await asyncio.gather(client.lost, server.lost)


@pytest.mark.parametrize("how", ["close", "abort"])
@twin
async def test_the_end_inside_data_received(
    trace: Trace, certificates: Certificates, how: str
) -> None:
    class Ending(Recorder):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self.transport.write(b"good")
            self.transport.write(b"bye")
            getattr(self.transport, how)()

    async with connected(trace, certificates, server=Ending) as (client, server):
        client.transport.write(b"hello")
        trace("received", await client.wait_for(7))
        await asyncio.gather(client.lost, server.lost)


# ----------------------------------------------------------------------------------------- contexts


@twin
async def test_contexts_of_callbacks(trace: Trace, certificates: Certificates) -> None:
    where: contextvars.ContextVar[str] = contextvars.ContextVar("where", default="nowhere")

    class Noting(Recorder):
        def connection_made(self, transport: Any) -> None:
            self.note("context", where.get())
            super().connection_made(transport)
            where.set(f"{self.name}'s")

        def data_received(self, data: bytes) -> None:
            self.note("context", where.get())
            super().data_received(data)

        def eof_received(self) -> bool:
            self.note("context", where.get())
            return super().eof_received()

        def connection_lost(self, exc: BaseException | None) -> None:
            self.note("context", where.get())
            super().connection_lost(exc)

    where.set("the body")
    async with connected(trace, certificates, Noting, Noting) as (client, server):
        where.set("later")
        client.transport.write(b"hello")
        await server.wait_for(5)
        server.transport.write(b"hello")
        await client.wait_for(5)
        client.transport.close()
        await asyncio.gather(client.lost, server.lost)
        trace("still", where.get())


# ---------------------------------------------------------------------------------------- arguments

WRONG: dict[str, dict[str, Any]] = {
    "zero handshake timeout": {"ssl_handshake_timeout": 0},
    "negative handshake timeout": {"ssl_handshake_timeout": -1.5},
    "zero shutdown timeout": {"ssl_shutdown_timeout": 0},
    "timeout is no number": {"ssl_handshake_timeout": "x"},
    "context is none": {"ssl": object()},
    "empty name": {"server_hostname": ""},
    "name with a dot in front": {"server_hostname": ".localhost"},
}


@pytest.mark.parametrize("case", list(WRONG))
@twin
async def test_wrong_arguments_for_a_client(
    trace: Trace, certificates: Certificates, case: str
) -> None:
    loop = asyncio.get_running_loop()
    with listening_socket() as listener:
        options = {"ssl": certificates.client(), "server_hostname": "localhost", **WRONG[case]}
        # Nobody answers, should it come to that.
        options.setdefault("ssl_handshake_timeout", 0.05)
        with trace.raises():
            await loop.create_connection(asyncio.Protocol, *listener.getsockname(), **options)


@pytest.mark.parametrize("case", [case for case in WRONG if "name" not in case])
@twin
async def test_wrong_arguments_for_a_server(
    trace: Trace, certificates: Certificates, case: str
) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: trace.exception_handler(loop, context))
    loop.set_debug(True)
    options = {"ssl": certificates.server(), **WRONG[case]}
    listener = None
    with trace.raises():
        listener = await loop.create_server(asyncio.Protocol, LOCALHOST, 0, **options)
    if listener:
        with socket.create_connection(listener.sockets[0].getsockname()):
            await asyncio.sleep(0.01)
        listener.close()
    trace.channels.pop("log", None)


@twin
async def test_a_client_without_a_host_needs_a_name(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    with (
        listening_socket() as listener,
        socket.create_connection(listener.getsockname()) as sock,
        trace.raises(),
    ):
        await loop.create_connection(asyncio.Protocol, sock=sock, ssl=True)


@twin
async def test_ssl_true_is_a_default_context(trace: Trace, certificates: Certificates) -> None:
    loop = asyncio.get_running_loop()
    factory = lambda: Recorder(trace, "server")  # noqa: E731
    async with serving(trace, certificates.server(), factory) as address:
        with trace.raises():
            await loop.create_connection(asyncio.Protocol, *address, ssl=True)
        await asyncio.sleep(0.01)


@twin
async def test_accepted_sockets(trace: Trace, certificates: Certificates) -> None:
    loop = asyncio.get_running_loop()
    with listening_socket() as listener:
        with trace.raises(), socket.create_connection(listener.getsockname()) as sock:
            await loop.connect_accepted_socket(asyncio.Protocol, sock, ssl=True)
        listener.accept()[0].close()
        connecting = loop.create_task(
            loop.create_connection(
                lambda: Recorder(trace, "client"),
                *listener.getsockname(),
                ssl=certificates.client(),
                server_hostname="localhost",
            )
        )
        accepted, _ = await loop.run_in_executor(None, listener.accept)
        _, server = await loop.connect_accepted_socket(
            lambda: Recorder(trace, "server"), accepted, ssl=certificates.server()
        )
        _, client = await connecting
        server.transport.write(b"hello")
        trace("received", await client.wait_for(5))
        client.transport.close()
        await asyncio.gather(client.lost, server.lost)


@twin
def test_a_closed_loop(trace: Trace, loop: Loop, certificates: Certificates) -> None:
    async def begin() -> Any:
        with listening_socket() as listener:
            connecting = loop.create_connection(
                asyncio.Protocol,
                *listener.getsockname(),
                ssl=certificates.client(),
                server_hostname="localhost",
            )
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(connecting, 0.01)

    loop.run_until_complete(begin())
    trace("done")


@twin
async def test_lines_that_cannot_be_written(trace: Trace, certificates: Certificates) -> None:
    """What came before them goes with the next write."""

    def fails_later() -> Any:
        yield b"before, "
        raise KeyError("a line")

    async with connected(trace, certificates) as (client, server):
        trace.call(client.transport.writelines, fails_later())
        trace(client.transport.get_write_buffer_size())
        trace.call(client.transport.writelines, 5)
        client.transport.write(b"after")
        trace(await server.wait_for(13))
        trace.call(client.transport.writelines, [b"before", 5])
        trace(client.transport.is_closing())

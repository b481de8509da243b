"""Unix sockets: paths of every kind, stale files, what becomes of a file, and the errors."""

from __future__ import annotations

import asyncio
import ctypes
import os
import pathlib
import socket
import stat
import struct
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from .peers import Recorder, verbose
from .trace import Trace
from .twin import twin

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Unix sockets")

since_313 = pytest.mark.skipif(sys.version_info < (3, 13), reason="came with 3.13")


@pytest.fixture
def directory(request: pytest.FixtureRequest) -> Any:
    # tmp_path is longer than a socket's name may be.
    with tempfile.TemporaryDirectory() as name:
        yield Directory(pathlib.Path(name))


class Directory:
    """A directory whose files have other names for each of the two runs of a body."""

    def __init__(self, path: pathlib.Path) -> None:
        self._path = path
        self._runs = 0

    def name(self, trace: Trace) -> str:
        self._runs += 1
        name = str(self._path / f"s{self._runs}")
        trace.hide(name, "PATH")
        return name


@asynccontextmanager
async def serving(trace: Trace, *args: Any, **options: Any) -> AsyncIterator[tuple[Any, list[Any]]]:
    accepted: list[Recorder] = []

    def accept() -> Recorder:
        accepted.append(Recorder(trace, f"server {len(accepted)}"))
        return accepted[-1]

    server = await asyncio.get_running_loop().create_unix_server(accept, *args, **options)
    try:
        yield server, accepted
    finally:
        server.close()
        for protocol in accepted:
            if protocol.transport is not None and not protocol.lost.done():
                protocol.transport.abort()
        await server.wait_closed()


async def client_of(trace: Trace, *args: Any, **options: Any) -> Recorder:
    loop = asyncio.get_running_loop()
    _, protocol = await loop.create_unix_connection(
        lambda: Recorder(trace, "client"), *args, **options
    )
    return protocol


async def until(condition: Any) -> None:
    while not condition():
        await asyncio.sleep(0.001)


async def talk(trace: Trace, client: Recorder, accepted: list[Recorder]) -> None:
    """A few bytes each way, then the client closes."""
    await until(lambda: accepted)
    server = accepted[-1]
    await server.made
    client.transport.write(b"ping")
    await server.wait_for(4)
    server.transport.write(b"pong!")
    await client.wait_for(5)
    client.transport.close()
    await client.lost
    await server.lost
    trace("received", server.received, client.received)


@twin
async def test_str_path(trace: Trace, directory: Directory) -> None:
    name = directory.name(trace)
    async with serving(trace, name) as (server, accepted):
        trace("server", server.sockets[0].getsockname(), server.is_serving())
        trace("kind", server.sockets[0].family, server.sockets[0].type)
        await talk(trace, await client_of(trace, name), accepted)


@twin
async def test_bytes_path(trace: Trace, directory: Directory) -> None:
    name = os.fsencode(directory.name(trace))
    async with serving(trace, name) as (server, accepted):
        trace("server", server.sockets[0].getsockname())
        await talk(trace, await client_of(trace, name), accepted)


@twin
async def test_pathlike(trace: Trace, directory: Directory) -> None:
    name = pathlib.Path(directory.name(trace))
    async with serving(trace, name) as (server, accepted):
        trace("server", server.sockets[0].getsockname())
        await talk(trace, await client_of(trace, name), accepted)


@pytest.mark.skipif(sys.platform != "linux", reason="abstract names")
@pytest.mark.parametrize("encode", [str, os.fsencode])
@twin
async def test_abstract_name(trace: Trace, directory: Directory, encode: Any) -> None:
    name = "\0" + directory.name(trace)
    async with serving(trace, encode(name)) as (server, accepted):
        trace("server", type(server.sockets[0].getsockname()))
        client = await client_of(trace, encode(name))
        trace("peer", client.transport.get_extra_info("peername") == os.fsencode(name))
        await talk(trace, client, accepted)


@twin
async def test_extra_info(trace: Trace, directory: Directory) -> None:
    name = directory.name(trace)
    async with serving(trace, name) as (_, accepted):
        client = await client_of(trace, name)
        await until(lambda: accepted)
        await accepted[0].made
        for end in (client, accepted[0]):
            transport = end.transport
            trace("peername", transport.get_extra_info("peername"))
            trace("sockname", transport.get_extra_info("sockname"))
            sock = transport.get_extra_info("socket")
            trace("socket", type(sock), sock.family, sock.type, sock.proto)
            trace("other", transport.get_extra_info("pipe"), transport.get_extra_info("pipe", 1))
            trace("can write eof", transport.can_write_eof())
        await talk(trace, client, accepted)


@twin
async def test_half_close(trace: Trace, directory: Directory) -> None:
    name = directory.name(trace)
    async with serving(trace, name) as (_, accepted):
        client = await client_of(trace, name)
        client.keep_open = True
        await until(lambda: accepted)
        accepted[0].keep_open = True
        client.transport.write(b"all of it")
        client.transport.write_eof()
        await accepted[0].eof
        accepted[0].transport.write(b"answer")
        await client.wait_for(6)
        accepted[0].transport.close()
        await client.eof
        client.transport.close()
        await client.lost
        await accepted[0].lost


@twin
async def test_megabytes_both_ways(trace: Trace, directory: Directory) -> None:
    name = directory.name(trace)
    size = 3_000_000
    async with serving(trace, name) as (_, accepted):
        client = await client_of(trace, name)
        await until(lambda: accepted)
        server = accepted[0]
        await server.made
        client.transport.write(bytes(size))
        server.transport.write(bytes(size))
        await client.wait_for(size)
        await server.wait_for(size)
        client.transport.close()
        await client.lost
        await server.lost
        # Who pauses when is the kernel's affair.
        trace.channels.pop("client flow", None)
        trace.channels.pop("server 0 flow", None)


@twin
async def test_reset_by_unread_data(trace: Trace, directory: Directory) -> None:
    name = directory.name(trace)
    async with serving(trace, name) as (_, accepted):
        client = await client_of(trace, name)
        await until(lambda: accepted)
        await accepted[0].made
        accepted[0].transport.pause_reading()
        client.transport.write(b"never read")
        await asyncio.sleep(0.01)
        accepted[0].transport.abort()
        await client.lost


@twin
async def test_stale_socket_file_is_replaced(trace: Trace, directory: Directory) -> None:
    name = directory.name(trace)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(name)
    trace("stale", stat.S_ISSOCK(os.stat(name).st_mode))
    async with serving(trace, name) as (_, accepted):
        await talk(trace, await client_of(trace, name), accepted)


@twin
async def test_other_file_is_left_alone(trace: Trace, directory: Directory) -> None:
    name = directory.name(trace)
    pathlib.Path(name).write_text("precious")
    with trace.raises():
        async with serving(trace, name):
            pass
    trace("content", pathlib.Path(name).read_text())


@twin
async def test_file_of_a_closed_server(trace: Trace, directory: Directory) -> None:
    name = directory.name(trace)
    async with serving(trace, name):
        trace("while open", os.path.exists(name))
    trace("after", os.path.exists(name))
    # The file of an earlier version's server is replaced.
    async with serving(trace, name):
        pass


@since_313
@twin
async def test_cleanup_socket(trace: Trace, directory: Directory) -> None:
    loop = asyncio.get_running_loop()
    for cleanup in (True, False):
        name = directory.name(trace)
        server = await loop.create_unix_server(
            lambda: Recorder(trace, "server"), name, cleanup_socket=cleanup
        )
        server.close()
        await server.wait_closed()
        trace(f"cleanup {cleanup}", os.path.exists(name))
    # A socket of the program's.
    name = directory.name(trace)
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(name)
    server = await loop.create_unix_server(lambda: Recorder(trace, "server"), sock=sock)
    server.close()
    await server.wait_closed()
    trace("sock", os.path.exists(name))
    # Gone already, or somebody else's by now.
    for replace in (False, True):
        name = directory.name(trace)
        server = await loop.create_unix_server(lambda: Recorder(trace, "server"), name)
        os.rename(name, name + ".old")
        if replace:
            pathlib.Path(name).write_text("another's")
        server.close()
        await server.wait_closed()
        trace(f"replaced {replace}", os.path.exists(name))


@since_313
@twin
async def test_file_that_cannot_be_removed_is_logged(trace: Trace, directory: Directory) -> None:
    name = directory.name(trace)
    os.mkdir(name)
    server = await asyncio.get_running_loop().create_unix_server(
        lambda: Recorder(trace, "server"), f"{name}/s"
    )
    stat_of = os.stat

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    os.stat = refuse
    try:
        server.close()
    finally:
        os.stat = stat_of
    await server.wait_closed()


@twin
async def test_path_in_use(trace: Trace, directory: Directory) -> None:
    name = "\0" + directory.name(trace)
    async with serving(trace, name):
        with trace.raises():
            try:
                await asyncio.get_running_loop().create_unix_server(
                    lambda: Recorder(trace, "server"), name
                )
            except OSError as error:
                raise OSError(error.errno, str(error).replace(name[1:], "PATH")) from None


@twin
async def test_nobody_there(trace: Trace, directory: Directory) -> None:
    name = directory.name(trace)
    with trace.raises("no file"):
        await client_of(trace, name)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(name)
        with trace.raises("nobody listens"):
            await client_of(trace, name)
    with trace.raises("too long"):
        await client_of(trace, "x" * 200)
    with trace.raises("too long to serve"):
        async with serving(trace, "x" * 200):
            pass
    with trace.raises("no directory"):
        async with serving(trace, f"{name}/none/s"):
            pass
    with trace.raises("zero byte"):
        await client_of(trace, "x\0y")


@twin
async def test_arguments_of_a_connection(trace: Trace) -> None:
    one, other = socket.socketpair()
    with one, other, socket.socket() as tcp, socket.socket(socket.AF_UNIX, 2) as datagrams:
        for label, args, options in [
            ("nothing", (), {}),
            ("both", ("/x",), {"sock": one}),
            ("tcp", (), {"sock": tcp}),
            ("datagrams", (), {"sock": datagrams}),
            ("hostname", ("/x",), {"server_hostname": "x"}),
            ("ssl without hostname", ("/x",), {"ssl": True}),
            ("handshake", ("/x",), {"ssl_handshake_timeout": 1}),
            ("shutdown", ("/x",), {"ssl_shutdown_timeout": 1}),
            ("type", (1.5,), {}),
        ]:
            trace.hide(tcp.fileno(), "FD")
            try:
                await client_of(trace, *args, **options)  # type: ignore[arg-type]
            except BaseException as error:
                trace(label, type(error), str(error).partition(", got <socket")[0])


@twin
async def test_arguments_of_a_server(trace: Trace) -> None:
    with socket.socket() as tcp, socket.socket(socket.AF_UNIX) as sock:
        for label, args, options in [
            ("nothing", (), {}),
            ("both", ("/x",), {"sock": sock}),
            ("tcp", (), {"sock": tcp}),
            ("bool", ("/x",), {"ssl": True}),
            ("handshake", ("/x",), {"ssl_handshake_timeout": 1}),
            ("shutdown", ("/x",), {"ssl_shutdown_timeout": 1}),
            ("type", (1.5,), {}),
            ("empty", ("",), {}),
        ]:
            try:
                async with serving(trace, *args, **options):  # type: ignore[arg-type]
                    trace(label, "serves")
            except BaseException as error:
                trace(label, type(error), str(error).partition(", got <socket")[0])


@twin
async def test_given_sockets(trace: Trace, directory: Directory) -> None:
    name = directory.name(trace)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(name)
    async with serving(trace, sock=listener) as (_server, accepted):
        trace("blocking", listener.gettimeout())
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(name)
        client = await client_of(trace, sock=sock)
        trace("blocking", sock.gettimeout())
        await talk(trace, client, accepted)
        trace("closed", sock.fileno())


@twin
async def test_factory_that_fails(trace: Trace, directory: Directory) -> None:
    name = directory.name(trace)

    def fail() -> Any:
        raise ValueError("no protocol")

    loop = asyncio.get_running_loop()
    async with serving(trace, name):
        with trace.raises():
            await loop.create_unix_connection(fail, name)
        await asyncio.sleep(0.01)
    trace.channels.pop("server 0", None)


@twin
async def test_start_serving_later(trace: Trace, directory: Directory) -> None:
    name = directory.name(trace)
    async with serving(trace, name, start_serving=False) as (server, accepted):
        trace("serving", server.is_serving())
        with trace.raises("connect"):
            await client_of(trace, name)
        await server.start_serving()
        await talk(trace, await client_of(trace, name), accepted)


@twin
async def test_streams(trace: Trace, directory: Directory) -> None:
    name = directory.name(trace)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line.upper())
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_unix_server(serve, name)
    reader, writer = await asyncio.open_unix_connection(name)
    for word in (b"one\n", b"two\n"):
        writer.write(word)
        trace("answer", await reader.readline())
    writer.write_eof()
    trace("rest", await reader.read())
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()


@twin
def test_debug_log(trace: Trace, loop: Any, directory: Directory) -> None:
    loop.set_debug(True)

    async def body() -> None:
        name = directory.name(trace)
        async with serving(trace, name) as (_, accepted):
            await talk(trace, await client_of(trace, name), accepted)

    with verbose():
        loop.run_until_complete(body())
    # asyncio shows the socket, which is not made here until somebody asks for it.
    lines = trace.channels["log"]
    trace.channels["log"] = [line for line in lines if "got a new connection" not in line]


@pytest.mark.skipif(sys.platform != "linux", reason="sockaddr_un of Linux")
@twin
async def test_peer_whose_name_fills_the_address(trace: Trace, directory: Directory) -> None:
    """No zero byte at its end, which Python cannot bind to and others can."""
    name = directory.name(trace)
    folder, _, file = name.rpartition("/")
    full = os.fsencode(folder + "/" + "./" * ((108 - len(name) - 2) // 2) + file)
    full += b"x" * (108 - len(full))
    trace.hide(full.decode(), "FULL")
    address = struct.pack("=H", socket.AF_UNIX) + full
    libc = ctypes.CDLL(None, use_errno=True)
    async with serving(trace, name) as (_, accepted):
        with socket.socket(socket.AF_UNIX) as sock:
            trace("bound", libc.bind(sock.fileno(), address, len(address)))
            sock.connect(name)
            await until(lambda: accepted)
            await accepted[0].made
            trace("peer", accepted[0].transport.get_extra_info("peername"))
            accepted[0].transport.abort()
            await accepted[0].lost

"""Programs that put something else under names of asyncio, `socket` and `ssl`: under
`ferrio run` it is used as under `python`."""

from __future__ import annotations

from pathlib import Path

import pytest

from .command import Command, ferrio_run, python

PREAMBLE = """\
import asyncio
import socket
import ssl
import sys
import time
from unittest import mock
"""

PROGRAMS = {
    # pytest-socket, mocket, PySocks: a class in the place of `socket.socket`.
    "no sockets": """
        class Refused(socket.socket):
            def __new__(cls, family=-1, *args, **kwargs):
                if family == socket.AF_UNIX:
                    return super().__new__(cls, family, *args, **kwargs)
                raise RuntimeError("no sockets here")

        socket.socket = Refused

        async def main():
            for make in (
                lambda: asyncio.open_connection("127.0.0.1", 1),
                lambda: asyncio.start_server(print, "127.0.0.1", 0),
                lambda: asyncio.get_running_loop().create_datagram_endpoint(
                    asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
                ),
            ):
                try:
                    await make()
                except Exception as error:
                    print(type(error), error)

        asyncio.run(main())
    """,
    "sockets of another class": """
        class Counting(socket.socket):
            def connect(self, address):
                print("connect")
                return super().connect(address)

            def recv(self, size):
                data = super().recv(size)
                print("recv", len(data))
                return data

            def send(self, data):
                print("send", len(data))
                return super().send(data)

        async def serve(reader, writer):
            writer.write(await reader.readline())
            writer.close()

        async def main():
            server = await asyncio.start_server(serve, "127.0.0.1", 0)
            port = server.sockets[0].getsockname()[1]
            with mock.patch("socket.socket", Counting):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"hello\\n")
            print(await reader.read())
            writer.close()
            await writer.wait_closed()
            server.close()

        asyncio.run(main())
    """,
    "getaddrinfo": """
        def look_up(host, port, *args, **kwargs):
            print("asked for", host)
            raise socket.gaierror(1, "nobody knows")

        async def main():
            with mock.patch("socket.getaddrinfo", look_up):
                try:
                    await asyncio.open_connection("name.invalid", 80)
                except OSError as error:
                    print(type(error), error)

        asyncio.run(main())
    """,
    "MemoryBIO": """
        real = ssl.MemoryBIO

        def loud():
            print("MemoryBIO")
            return real()

        async def main():
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            ours, theirs = socket.socketpair()
            theirs.close()
            with mock.patch("ssl.MemoryBIO", loud):
                try:
                    await asyncio.open_connection(sock=ours, ssl=context, server_hostname="x")
                except OSError as error:
                    print(isinstance(error, OSError))

        asyncio.run(main())
    """,
    "functions of asyncio": """
        async def no_sleep(delay, result=None):
            print("sleeps", delay)
            return result

        async def connected(*args, **kwargs):
            return "reader", "writer"

        async def started(*args, **kwargs):
            return "process"

        async def main():
            with mock.patch("asyncio.sleep", no_sleep):
                print(await asyncio.sleep(1000, 3))
            with mock.patch("asyncio.sleep") as sleep:
                await asyncio.sleep(1000)
                print(sleep.await_count, sleep.await_args)
            with mock.patch("asyncio.open_connection", connected):
                print(await asyncio.open_connection("nowhere", 1))
            with mock.patch("asyncio.create_subprocess_exec", started):
                print(await asyncio.create_subprocess_exec("nothing"))
            with mock.patch("asyncio.wait_for", side_effect=TimeoutError):
                try:
                    await asyncio.wait_for(asyncio.Future(), 1)
                except TimeoutError:
                    print("timed out")
            with mock.patch("asyncio.tasks.ensure_future", side_effect=ValueError("no")):
                for wants in (asyncio.shield, asyncio.gather):
                    try:
                        wants(asyncio.Future())
                    except ValueError as error:
                        print(wants.__name__, error)

        asyncio.run(main())
    """,
    "the loop": """
        class Standing:
            def __repr__(self):
                return "a loop"

        with mock.patch("asyncio.get_event_loop", return_value=Standing()):
            print(asyncio.get_event_loop())
        with mock.patch("asyncio.new_event_loop", side_effect=RuntimeError("no loops")):
            try:
                asyncio.new_event_loop()
            except RuntimeError as error:
                print(error)

        async def main():
            loop = asyncio.get_running_loop()
            with mock.patch.object(loop, "call_soon", wraps=loop.call_soon) as call_soon:
                await asyncio.sleep(0)
                future = loop.create_future()
                future.add_done_callback(lambda future: print("done"))
                future.set_result(None)
                print(call_soon.call_count > 0)
                await asyncio.sleep(0)
            with mock.patch.object(loop, "run_in_executor", side_effect=ValueError("no threads")):
                try:
                    await asyncio.to_thread(print)
                except ValueError as error:
                    print(error)

        asyncio.run(main())
    """,
    "classes of asyncio": """
        class Loud(asyncio.Queue):
            def put_nowait(self, item):
                print("put", item)
                super().put_nowait(item)

        async def main():
            with mock.patch.object(asyncio, "Queue", Loud):
                queue = asyncio.Queue()
                await queue.put(1)
                print(await queue.get())
            with mock.patch("asyncio.Event.wait", side_effect=ValueError("no")):
                try:
                    await asyncio.Event().wait()
                except ValueError as error:
                    print(error)
            with mock.patch.object(asyncio.Lock, "acquire", return_value=True) as acquire:
                lock = asyncio.Lock()
                async with lock:
                    print(acquire.await_count, lock.locked())
                    lock._locked = True
            with mock.patch.object(asyncio.StreamReader, "readline", return_value=b"line"):
                print(await asyncio.StreamReader().readline())

        asyncio.run(main())
    """,
    # freezegun, time-machine, looptime: the clock is a program's.
    "time": """
        now = 1000.0

        async def main():
            global now
            loop = asyncio.get_running_loop()
            with mock.patch("time.monotonic", lambda: now):
                print(loop.time())
                fired = []
                loop.call_later(500, fired.append, 1)
                await asyncio.sleep(0)
                print(fired)
                now += 501
                while not fired:
                    await asyncio.sleep(0)
                print(fired, loop.time())

        asyncio.run(main())
    """,
}


@pytest.mark.parametrize("form", [(), ("--loop-only",)], ids=["classes", "loop-only"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_what_a_program_patches(form: tuple[str, ...], name: str, tmp_path: Path) -> None:
    command: Command = ferrio_run(*form)
    text = PREAMBLE + "\n".join(line.removeprefix(" " * 8) for line in PROGRAMS[name].splitlines())
    (tmp_path / "app.py").write_text(text)
    expected = python().run(["app.py"], cwd=tmp_path)
    assert expected.status == 0, expected
    assert command.run(["app.py"], cwd=tmp_path) == expected

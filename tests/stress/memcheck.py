"""A short program that uses most of a loop, to be watched by a memory checker: `make memcheck`."""

from __future__ import annotations

import asyncio
import socket
import sys

import ferrio


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(4096):
        writer.write(data)
        await writer.drain()
    writer.close()


async def talk(address: tuple[str, int]) -> None:
    reader, writer = await asyncio.open_connection(*address)
    for _ in range(5):
        writer.write(b"x" * 3000)
        assert len(await reader.readexactly(3000)) == 3000
    writer.close()
    await writer.wait_closed()


async def streams() -> None:
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    await asyncio.gather(*(talk(address) for _ in range(5)))
    server.close()
    await server.wait_closed()


async def tasks() -> None:
    queue: asyncio.Queue[int] = asyncio.Queue()

    async def consume() -> int:
        return sum([await queue.get() for _ in range(50)])

    consumer = asyncio.create_task(consume())
    for number in range(50):
        queue.put_nowait(number)
        await asyncio.sleep(0)
    assert await consumer == 1225
    try:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(10)
    except TimeoutError:
        pass
    else:
        raise AssertionError("no timeout")


async def sockets() -> None:
    loop = asyncio.get_running_loop()
    one, two = socket.socketpair()
    with one, two:
        one.setblocking(False)
        two.setblocking(False)
        waiting = asyncio.create_task(loop.sock_recv(two, 10))
        await asyncio.sleep(0)
        await loop.sock_sendall(one, b"hello")
        assert await waiting == b"hello"


async def processes() -> None:
    process = await asyncio.create_subprocess_exec(
        "/bin/cat", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate(b"hi")
    assert output == b"hi"


async def names() -> None:
    loop = asyncio.get_running_loop()
    assert await loop.getaddrinfo("127.0.0.1", 80)
    assert await loop.run_in_executor(None, sys.getrefcount, None)


async def main() -> None:
    for part in (streams, tasks, sockets, processes, names):
        await part()
        print(part.__name__, "done", flush=True)


if __name__ == "__main__":
    ferrio.run(main())

"""A name server that never answers is the trouble of those who ask it, and of nobody else."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Callable

import pytest

from .conftest import Load

# Runs in a network and a file system of its own, in which the only name server is a socket that
# nobody reads from.
BLACK_HOLE = """
    import asyncio, ctypes, fcntl, json, os, socket, struct, sys, tempfile, time
    from tests import loops

    CLONE_NEWUSER, CLONE_NEWNET, CLONE_NEWNS = 0x10000000, 0x40000000, 0x20000
    MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
    SIOCSIFFLAGS, IFF_UP = 0x8914, 1

    def skip(why):
        print(json.dumps({"skip": why}))
        sys.exit()

    libc = ctypes.CDLL(None, use_errno=True)

    def put(text, path):
        with tempfile.NamedTemporaryFile("w", delete=False) as file:
            file.write(text)
        os.chmod(file.name, 0o644)
        if libc.mount(file.name.encode(), path.encode(), None, MS_BIND, None):
            skip(f"{path}: {os.strerror(ctypes.get_errno())}")
        # What is mounted stays.
        os.unlink(file.name)

    spaces = CLONE_NEWNET | CLONE_NEWNS
    if libc.unshare(CLONE_NEWUSER | spaces) and libc.unshare(spaces):
        skip(os.strerror(ctypes.get_errno()))
    if libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None):
        skip(os.strerror(ctypes.get_errno()))
    put("nameserver 127.0.0.1\\noptions timeout:30 attempts:5\\n", "/etc/resolv.conf")
    put("hosts: files dns\\n", "/etc/nsswitch.conf")
    put("127.0.0.1 localhost known.test\\n", "/etc/hosts")
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))
        black_hole = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        black_hole.bind(("127.0.0.1", 53))
    except OSError as error:
        skip(str(error))

    name, count = sys.argv[1], int(sys.argv[2])
    found = {}

    def known():
        return asyncio.get_running_loop().getaddrinfo("known.test", 80, type=socket.SOCK_STREAM)

    async def main():
        loop = asyncio.get_running_loop()
        server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        lost = [
            loop.create_task(loop.getaddrinfo(f"n{number}.example.com", 80))
            if number % 2
            else loop.create_task(loop.create_connection(asyncio.Protocol, f"n{number}.test", 80))
            for number in range(count)
        ]
        await asyncio.sleep(0.1)
        # Somebody has asked, and nobody answers.
        found["asked"] = len(black_hole.recv(512, socket.MSG_DONTWAIT)) > 0
        # What needs no name server does not wait for one.
        start = time.monotonic()
        transport, _ = await loop.create_connection(asyncio.Protocol, *address)
        transport.abort()
        found["literal"] = (await loop.getaddrinfo("127.0.0.1", 80))[0][4]
        found["numeric"] = await loop.getnameinfo(("127.0.0.1", 80), 3)
        found["literal_seconds"] = time.monotonic() - start
        # Given up one after the other, those under way first, as gather() does it.
        start = time.monotonic()
        for task in lost:
            task.cancel()
        done = await asyncio.gather(*lost, return_exceptions=True)
        found["cancelled"] = sum(isinstance(error, asyncio.CancelledError) for error in done)
        found["cancelled_seconds"] = time.monotonic() - start
        start = time.monotonic()
        found["known"] = (await known())[0][4]
        found["known_seconds"] = time.monotonic() - start
        # Timeouts of the program's own, and a look-up after each of them.
        timeouts = 0
        for number in range(20):
            try:
                async with asyncio.timeout(0.01):
                    await loop.getaddrinfo(f"t{number}.example.com", 80)
            except TimeoutError:
                timeouts += 1
            await known()
        found["timeouts"] = timeouts
        # Still under way when the loop is closed.
        found["left"] = [loop.create_task(loop.getaddrinfo("left.example.com", 80))]
        await asyncio.sleep(0.01)
        server.close()

    with asyncio.Runner(loop_factory=loops.factory_named(name)) as runner:
        runner.run(main())
        start = time.monotonic()
    found["close_seconds"] = time.monotonic() - start
    found["left"] = [task.cancelled() for task in found["left"]]
    found["threads"] = len(os.listdir("/proc/self/task"))
    print(json.dumps(found), flush=True)
    """


@pytest.mark.skipif(sys.platform != "linux", reason="takes a network of its own")
def test_a_name_server_that_never_answers(
    request: pytest.FixtureRequest, load: Load, figures: Callable[[str], None]
) -> None:
    """It would take 150 seconds to give up: the test's own limit is shorter."""
    count = load(100, 1_000)
    done = subprocess.run(
        [
            *(sys.executable, "-c", textwrap.dedent(BLACK_HOLE)),
            *(request.config.getoption("--loop"), str(count)),
        ],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    if "skip" in found:
        pytest.skip(f"no network of its own: {found['skip']}")
    assert found["asked"]
    assert found["literal"] == ["127.0.0.1", 80]
    assert found["numeric"] == ["127.0.0.1", "80"]
    assert found["cancelled"] == count
    assert found["known"] == ["127.0.0.1", 80]
    assert found["timeouts"] == 20
    assert found["left"] == [True]
    # Threads are not collected for each name: jobs that never began are dropped.
    assert found["threads"] < 110
    figures(
        f"{count} look-ups without an answer: a literal connected in "
        f"{found['literal_seconds'] * 1e3:.1f} ms meanwhile, all were cancelled in "
        f"{found['cancelled_seconds'] * 1e3:.1f} ms, the next name was found after "
        f"{found['known_seconds'] * 1e3:.1f} ms, the loop closed in "
        f"{found['close_seconds'] * 1e3:.1f} ms with one under way; {found['threads']} threads"
    )

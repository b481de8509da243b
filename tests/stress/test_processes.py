"""Forked children, interpreters that end with loops alive, and interpreters within one process."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from tests import loops

from .conftest import Load

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="processes of Unix"),
    # They are right; here it is done on purpose.
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
]

Loop = asyncio.AbstractEventLoop
LOCALHOST = "127.0.0.1"


def in_child(body: Callable[[], object]) -> int:
    """Forks; the child runs body and ends, with 0 if that raised nothing. Its number."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        signal.alarm(20)
        body()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def ended_well(pid: int) -> None:
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1000):
        writer.write(data)
    writer.close()


async def talk(address: Any, word: bytes = b"word") -> None:
    reader, writer = await asyncio.open_connection(*address)
    writer.write(word)
    assert await reader.readexactly(len(word)) == word
    writer.close()
    await writer.wait_closed()


async def serve_and_talk() -> None:
    server = await asyncio.start_server(echo, LOCALHOST, 0)
    await talk(server.sockets[0].getsockname())
    server.close()
    await server.wait_closed()


def test_fork_in_a_coroutine(loop: Loop, new_loop: loops.Factory) -> None:
    """The child has no running loop, and can have one of its own."""

    def child() -> None:
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(serve_and_talk())

    async def main() -> None:
        server = await asyncio.start_server(echo, LOCALHOST, 0)
        address = server.sockets[0].getsockname()
        reader, writer = await asyncio.open_connection(*address)
        pids = [in_child(child) for _ in range(3)]
        for pid in pids:
            await asyncio.to_thread(ended_well, pid)
        # What was there before goes on.
        writer.write(b"still here")
        assert await reader.readexactly(10) == b"still here"
        writer.close()
        await talk(address)
        server.close()
        await server.wait_closed()

    loop.run_until_complete(main())


def closes_its_copy(loop: Any, held: dict[str, Any]) -> None:
    loop.close()
    gc.collect()


def drops_its_transports(loop: Any, held: dict[str, Any]) -> None:
    for name in list(held):
        held[name].abort()
    loop.run_until_complete(asyncio.sleep(0.01))
    held.clear()
    gc.collect()
    loop.close()


def takes_readers_away(loop: Any, held: dict[str, Any]) -> None:
    for number in range(3, 100):
        try:
            loop._remove_reader(number)
            loop._remove_writer(number)
        except (OSError, ValueError):
            pass


def wakes_its_copy(loop: Any, held: dict[str, Any]) -> None:
    for _ in range(1000):
        loop.call_soon_threadsafe(print)


def runs_its_copy(loop: Any, held: dict[str, Any]) -> None:
    """The copy has its own list of what it watches, and its own timers."""
    one, two = socket.socketpair()
    one.setblocking(False)

    async def main() -> bytes:
        loop.call_later(0.01, two.send, b"x")
        return await loop.sock_recv(one, 1)

    assert loop.run_until_complete(main()) == b"x"
    one.close()
    two.close()


@pytest.mark.parametrize(
    "body",
    [closes_its_copy, drops_its_transports, takes_readers_away, wakes_its_copy, runs_its_copy],
)
def test_a_child_does_not_disturb_its_parent(loop: Loop, body: Any) -> None:
    one, two = socket.socketpair()
    one.setblocking(False)
    seen: list[bytes] = []
    held: dict[str, Any] = {}
    streams: list[Any] = []

    async def before() -> None:
        reader, writer = await asyncio.open_connection(*await serving())
        writer.write(b"before")
        assert await reader.readexactly(6) == b"before"
        streams.extend((reader, writer))
        loop.add_reader(one, lambda: seen.append(one.recv(100)))
        transport, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, local_addr=(LOCALHOST, 0)
        )
        held["datagrams"] = transport

    async def serving() -> Any:
        server = await asyncio.start_server(echo, LOCALHOST, 0)
        streams.append(server)
        return server.sockets[0].getsockname()

    async def after() -> None:
        server, reader, writer = streams
        two.send(b"heard")
        async with asyncio.timeout(60):
            while not seen:
                await asyncio.sleep(0.001)
            writer.write(b"after")
            assert await reader.readexactly(5) == b"after"
            await talk(server.sockets[0].getsockname())
        loop.remove_reader(one)
        held["datagrams"].close()
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()

    loop.run_until_complete(before())
    ended_well(in_child(lambda: body(loop, held)))
    loop.run_until_complete(after())
    one.close()
    two.close()


def test_many_forks_while_a_loop_runs(
    loop: Loop,
    new_loop: loops.Factory,
    descriptors: None,
    load: Load,
    figures: Callable[[str], None],
) -> None:
    """The children collect garbage, wake the loop's copy or make one of their own."""
    count = load(40, 1_000)
    bodies = [gc.collect, lambda: wakes_its_copy(loop, {}), lambda: own_loop(new_loop)]

    async def main() -> None:
        server = await asyncio.start_server(echo, LOCALHOST, 0)
        address = server.sockets[0].getsockname()
        reader, writer = await asyncio.open_connection(*address)
        for number in range(count):
            writer.write(b"across")
            pid = in_child(bodies[number % 3])
            await talk(address)
            assert await reader.readexactly(6) == b"across"
            await asyncio.to_thread(ended_well, pid)
        writer.close()
        server.close()
        await server.wait_closed()

    start = time.monotonic()
    loop.run_until_complete(main())
    figures(
        f"{count} forks amid {2 * count} exchanges: every child ended with 0, nothing was missed; "
        f"{time.monotonic() - start:.1f} s"
    )


def own_loop(new_loop: loops.Factory) -> None:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(asyncio.sleep(0.001))


def test_fork_from_another_thread_than_the_loops(loop: Loop, new_loop: loops.Factory) -> None:
    def child() -> None:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(serve_and_talk())

    pids: list[int] = []

    async def main() -> None:
        thread = threading.Thread(target=lambda: pids.append(in_child(child)))
        thread.start()
        while not pids:
            await talk_to_self()
        thread.join()

    async def talk_to_self() -> None:
        await serve_and_talk()

    loop.run_until_complete(main())
    ended_well(pids[0])


def test_names_are_resolved_in_a_child_whose_parent_had_threads_for_it(
    loop: Loop, new_loop: loops.Factory
) -> None:
    async def main() -> None:
        await asyncio.get_running_loop().getaddrinfo("localhost", 80)

    loop.run_until_complete(main())

    def child() -> None:
        loop.run_until_complete(main())
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(main())

    ended_well(in_child(child))
    loop.run_until_complete(main())


def square(number: int) -> int:
    """In another process, on a loop of its own."""
    import ferrio

    async def main() -> int:
        await asyncio.sleep(0)
        await serve_and_talk()
        return number * number

    with asyncio.Runner(loop_factory=ferrio.new_event_loop) as runner:
        return runner.run(main())


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(new_loop: loops.Factory, method: str) -> None:
    async def main() -> None:
        context = multiprocessing.get_context(method)
        with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
            running = asyncio.get_running_loop()
            futures = [running.run_in_executor(pool, square, number) for number in range(6)]
            async with asyncio.timeout(60):
                assert await asyncio.gather(*futures) == [n * n for n in range(6)]

    # Not the fixture's loop: the module keeps a helper process, and a pipe to it.
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main())


def run(script: str, *, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """A program that has to end by itself, and without a word from the interpreter."""
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", *options, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Fatal" not in done.stderr
    assert "panicked" not in done.stderr
    return done


SCRIPTS = {
    "an open loop": """
        loop = ferrio.new_event_loop()
        loop.run_until_complete(asyncio.sleep(0))
    """,
    "live transports": """
        loop = ferrio.new_event_loop()
        held = []
        async def main():
            server = await asyncio.start_server(lambda r, w: held.append((r, w)), "127.0.0.1", 0)
            held.append(await asyncio.open_connection(*server.sockets[0].getsockname()))
            held.append(await loop.create_datagram_endpoint(
                asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)))
            r, w = os.pipe()
            held.append(await loop.connect_read_pipe(asyncio.Protocol, os.fdopen(r, "rb")))
            held.append(await loop.connect_write_pipe(asyncio.Protocol, os.fdopen(w, "wb")))
            held.append(await asyncio.create_subprocess_exec("true"))
            held.append(server)
            loop.call_later(1000, print)
            held.append(asyncio.create_task(asyncio.sleep(1000)))
        loop.run_until_complete(main())
    """,
    "a loop in a daemon thread": """
        loop = ferrio.new_event_loop()
        threading.Thread(target=loop.run_forever, daemon=True).start()
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result()
    """,
    "busy loops in daemon threads": """
        def busy():
            loop = ferrio.new_event_loop()
            async def main():
                while True:
                    await asyncio.sleep(0)
            loop.run_until_complete(main())
        for _ in range(8):
            threading.Thread(target=busy, daemon=True).start()
        time.sleep(0.2)
    """,
    "loops in daemon threads that timers and sockets keep busy": """
        def busy():
            loop = ferrio.new_event_loop()
            async def main():
                async def echo(reader, writer):
                    while data := await reader.read(100):
                        writer.write(data)
                server = await asyncio.start_server(echo, "127.0.0.1", 0)
                reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
                def tick():
                    loop.call_later(0.0001, tick)
                tick()
                while True:
                    writer.write(b"x")
                    await reader.read(100)
            loop.run_until_complete(main())
        for _ in range(4):
            threading.Thread(target=busy, daemon=True).start()
        time.sleep(0.3)
    """,
    "a daemon thread's loop that an exit handler stops": """
        import atexit
        def stop():
            loop.call_soon_threadsafe(loop.stop)
            thread.join(10)
            assert not thread.is_alive()
            loop.close()
        atexit.register(stop)
        loop = ferrio.new_event_loop()
        loop.call_later(0, print)
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()
        time.sleep(0.1)
    """,
    "resolving threads at work": """
        loop = ferrio.new_event_loop()
        async def main():
            for number in range(20):
                asyncio.ensure_future(loop.getaddrinfo(f"no-such-host-{number}.invalid", 80))
            await asyncio.sleep(0.01)
        loop.run_until_complete(main())
    """,
    "a loop in the hands of atexit": """
        import atexit
        loop = ferrio.new_event_loop()
        atexit.register(lambda: (loop.run_until_complete(asyncio.sleep(0)), loop.close()))
    """,
    "a loop stopped by sys.exit": """
        async def main():
            await asyncio.start_server(print, "127.0.0.1", 0)
            sys.exit(0)
        ferrio.run(main())
    """,
    "a finalizer that begins what it cannot end": """
        import socket
        class Last:
            def __init__(self):
                self.loop = ferrio.new_event_loop()
                self.sock, self.other = socket.socketpair()
                self.sock.setblocking(False)
                self.protocol = asyncio.Protocol
            def __del__(self):
                for coroutine in (
                    self.loop.sock_recv(self.sock, 1),
                    self.loop.create_connection(self.protocol, "127.0.0.1", 1),
                ):
                    try:
                        coroutine.send(None)
                    except RuntimeError:
                        continue
                    raise AssertionError("it has begun")
        sys.last = Last()
    """,
    "a module's finalizer": """
        class Last:
            def __init__(self):
                self.loop = ferrio.new_event_loop()
            def __del__(self):
                self.loop.close()
        sys.last = Last()
    """,
}

# One at a time: a race is kept by what the collector does not see, and keeps all else.
CONNECTING = {
    "": "create_connection(asyncio.Protocol, *address)",
    " from an address": "create_connection(asyncio.Protocol, *address, local_addr=(address[0], 0))",
    " by name": "create_connection(asyncio.Protocol, 'name', 80)",
    " by a race": "create_connection(asyncio.Protocol, 'name', 80, happy_eyeballs_delay=0.01)",
    " by sock_connect": "sock_connect(held[0], address)",
}
SCRIPTS |= {
    f"a connection that is being made{how}": f"""
        import socket
        # Full: it lets nobody else in.
        listener = socket.create_server(("127.0.0.1", 0), backlog=0)
        address = listener.getsockname()
        held = [socket.socket() for _ in range(4)]
        for each in held:
            each.setblocking(False)
        for each in held[1:]:
            each.connect_ex(address)
        loop = ferrio.new_event_loop()
        async def getaddrinfo(*args, **options):
            info = (socket.AF_INET, socket.SOCK_STREAM, 0, "", address)
            return [info, info]
        loop.getaddrinfo = getaddrinfo
        task = loop.create_task(loop.{call})
        loop.run_until_complete(asyncio.sleep(0.05))
        assert not task.done()
    """
    for how, call in CONNECTING.items()
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_an_interpreter_ends_with(name: str) -> None:
    imports = "import asyncio, ferrio, os, sys, threading, time\n"
    for _ in range(3):
        run(imports + textwrap.dedent(SCRIPTS[name]))


@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize("depth", [900, 20_000])
def test_awaits_may_be_nested_as_deep_as_one_likes(replace: bool, depth: int) -> None:
    """A RecursionError, if anything, and the loop goes on."""
    done = run(f"""
        import asyncio, ferrio
        if {replace}:
            ferrio.install(replace=True)
        async def main():
            nested = asyncio.sleep(0, "done")
            for _ in range({depth}):
                nested = asyncio.wait_for(nested, 100)
            try:
                print(await nested)
            except RecursionError:
                print("RecursionError")
            print(await asyncio.wait_for(asyncio.sleep(0, "still there"), 100))
        ferrio.run(main())
    """)
    outcome, after = done.stdout.splitlines()
    assert outcome in (["done"] if depth == 900 else ["done", "RecursionError"])
    assert after == "still there"


def test_loops_in_many_threads(new_loop: loops.Factory, descriptors: None) -> None:
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(5):
                with asyncio.Runner(loop_factory=new_loop) as runner:
                    runner.run(serve_and_talk())
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []


@pytest.mark.parametrize("first", ["main", "sub"])
@pytest.mark.parametrize("own_gil", [True, False])
def test_a_second_interpreter_is_refused(first: str, own_gil: bool) -> None:
    """Or another first one; a crash it is never."""
    done = run(f"""
        import sys
        try:
            import _interpreters as interpreters
        except ImportError:
            import _xxsubinterpreters as interpreters
        def sub():
            if sys.version_info >= (3, 13):
                sub = interpreters.create() if {own_gil} else interpreters.create("legacy")
            else:
                sub = interpreters.create(isolated={own_gil})
            code = '''if True:
                import sys
                sys.path[:] = {sys.path!r}
                try:
                    import ferrio
                    ferrio.new_event_loop().close()
                    print("sub has it")
                except ImportError as error:
                    print("sub:", error)
                sys.stdout.flush()
            '''
            run = getattr(interpreters, "exec", None) or interpreters.run_string
            print(run(sub, code) or "", end="", flush=True)
        def main():
            try:
                import ferrio
                ferrio.new_event_loop().close()
                print("main has it", flush=True)
            except ImportError as error:
                print("main:", error, flush=True)
        for step in (main, sub) if {first!r} == "main" else (sub, main):
            step()
    """)
    if first == "main":
        assert "main has it" in done.stdout
        assert "interpreter" in done.stdout
        assert "sub has it" not in done.stdout

"""Subprocesses: their pipes, their ends, their signals, and being cancelled while starting one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from typing import Any

import pytest

from tests import loops

from .peers import verbose
from .trace import Trace
from .twin import Loop, twin

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="processes of Unix")
since_312 = pytest.mark.skipif(
    sys.version_info < (3, 12),
    reason="3.11 waits in a thread, which reports and logs as it is scheduled",
)

PIPE = subprocess.PIPE


class Recorder(asyncio.SubprocessProtocol):
    """Pipes and the process are channels of their own: their order is the kernel's affair."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.transport: Any = None
        self.exited: asyncio.Future[None] = asyncio.Future()
        self.lost: asyncio.Future[None] = asyncio.Future()
        self.received = {1: bytearray(), 2: bytearray()}

    def connection_made(self, transport: Any) -> None:
        self.trace.on("process", "connection_made")
        self.transport = transport

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self.received[fd] += data
        self.trace.merge(f"pipe {fd}", "data", len(data))

    def pipe_connection_lost(self, fd: int, exc: BaseException | None) -> None:
        self.trace.on(f"pipe {fd}", "lost", exc)

    def process_exited(self) -> None:
        self.trace.on("process", "exited", self.transport.get_returncode())
        self.exited.set_result(None)

    def connection_lost(self, exc: BaseException | None) -> None:
        self.trace.on("process", "connection_lost", exc)
        self.lost.set_result(None)


def has_zombie(pid: int) -> bool:
    """Is the process there, dead or alive?"""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def start(trace: Trace, *args: str, **options: Any) -> Recorder:
    loop = asyncio.get_running_loop()
    _, protocol = await loop.subprocess_exec(lambda: Recorder(trace), *args, **options)
    return protocol


@twin
async def test_callbacks(trace: Trace) -> None:
    protocol = await start(trace, "/bin/sh", "-c", "cat; echo error >&2; exit 3")
    stdin = protocol.transport.get_pipe_transport(0)
    stdin.write(b"hello")
    stdin.close()
    await protocol.lost
    trace("received", protocol.received)
    trace("returncode", protocol.transport.get_returncode())
    trace("pipes", [type(protocol.transport.get_pipe_transport(n)).__mro__[-2] for n in (0, 1, 2)])
    trace("no pipe", protocol.transport.get_pipe_transport(3))
    trace("zombie", has_zombie(protocol.transport.get_pid()))
    protocol.transport.close()


@pytest.mark.parametrize(
    "script", ["exit 0", "exit 255", "kill -9 $$", "kill -15 $$", "kill -11 $$"]
)
@twin
async def test_return_codes(trace: Trace, script: str) -> None:
    process = await asyncio.create_subprocess_exec("/bin/sh", "-c", script)
    trace("wait", await process.wait(), process.returncode, await process.wait())
    trace("zombie", has_zombie(process.pid))


@twin
async def test_communicate(trace: Trace) -> None:
    process = await asyncio.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE, stderr=PIPE)
    data = os.urandom(2_000_000)
    out, err = await process.communicate(data)
    trace("same", out == data, err, process.returncode)


@twin
async def test_shell_and_options(trace: Trace) -> None:
    process = await asyncio.create_subprocess_shell(
        "echo $WORD; pwd; echo err >&2; ulimit -c",
        stdout=PIPE,
        stderr=subprocess.STDOUT,
        env={"WORD": "word"},
        cwd="/",
        start_new_session=True,
        preexec_fn=lambda: None,
        umask=0o77,
        restore_signals=False,
    )
    out, err = await process.communicate()
    trace("out", out.splitlines()[:3], err, process.returncode)
    reader, writer = os.pipe()
    process = await asyncio.create_subprocess_exec(
        "/bin/sh", "-c", f"echo through >&{writer}", pass_fds=[writer], stdin=subprocess.DEVNULL
    )
    os.close(writer)
    trace("wait", await process.wait(), os.read(reader, 100))
    os.close(reader)


@twin
async def test_errors(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    with trace.raises("no program"):
        await asyncio.create_subprocess_exec("/no/such/program", stdin=PIPE, stdout=PIPE)
    with trace.raises("not executable"):
        await asyncio.create_subprocess_exec("/etc/passwd")
    with trace.raises("directory"):
        await asyncio.create_subprocess_exec("true", cwd="/no/such/directory")
    with trace.raises("option"):
        await asyncio.create_subprocess_exec("true", no_such_option=1)  # type: ignore[call-arg]
    for option in ({"universal_newlines": True}, {"bufsize": 1}, {"shell": True}, {"text": True}):
        with trace.raises(repr(option)):
            await loop.subprocess_exec(lambda: Recorder(trace), "true", **option)
    with trace.raises("shell"):
        await loop.subprocess_shell(lambda: Recorder(trace), 3)  # type: ignore[arg-type]
    with trace.raises("stdin"):
        await asyncio.create_subprocess_exec("true", stdin=-7)


@twin
async def test_signals(trace: Trace) -> None:
    for method, argument in [
        ("send_signal", (signal.SIGUSR1,)),
        ("terminate", ()),
        ("kill", ()),
    ]:
        process = await asyncio.create_subprocess_exec("sleep", "100")
        getattr(process, method)(*argument)
        trace(method, await process.wait())
        with trace.raises(f"{method} afterwards"):
            getattr(process, method)(*argument)
    process = await asyncio.create_subprocess_exec("sleep", "100")
    with trace.raises("no such signal"):
        process.send_signal(12345)
    with trace.raises("no signal"):
        process.send_signal("KILL")  # type: ignore[arg-type]
    process.send_signal(0)
    process.kill()
    trace("killed", await process.wait())


@twin
async def test_waiting_many_times_and_cancelled(trace: Trace) -> None:
    process = await asyncio.create_subprocess_exec("cat", stdin=PIPE)
    waits = [asyncio.create_task(process.wait()) for _ in range(3)]
    await asyncio.sleep(0.01)
    waits[1].cancel()
    assert process.stdin is not None
    process.stdin.close()
    trace("waits", await asyncio.gather(*waits, return_exceptions=True))
    trace("again", await process.wait())


@twin
async def test_cancelled_while_starting(trace: Trace) -> None:
    """At each of the steps that starting takes."""
    pids = []
    start_child = subprocess.Popen.__init__

    def noted(self: Any, *args: Any, **kwargs: Any) -> None:
        start_child(self, *args, **kwargs)
        pids.append(self.pid)

    subprocess.Popen.__init__ = noted  # type: ignore[method-assign]
    try:
        for steps in range(8):
            task = asyncio.create_task(
                asyncio.create_subprocess_exec("sleep", "100", stdin=PIPE, stdout=PIPE)
            )
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            try:
                process = await task
            except asyncio.CancelledError:
                pass
            else:
                process.kill()
                await process.wait()
    finally:
        subprocess.Popen.__init__ = start_child  # type: ignore[method-assign]
    for _ in range(200):
        if not any(map(has_zombie, pids)):
            break
        await asyncio.sleep(0.01)
    trace("left", [pid for pid in pids if has_zombie(pid)])


@twin
async def test_close_kills(trace: Trace) -> None:
    protocol = await start(trace, "sleep", "100")
    protocol.transport.close()
    trace("closing", protocol.transport.is_closing())
    await protocol.lost
    trace("returncode", protocol.transport.get_returncode())


@since_312
@twin
async def test_close_of_a_child_that_has_ended(trace: Trace) -> None:
    protocol = await start(trace, "/bin/sh", "-c", "exit 7", stdin=None, stdout=None, stderr=None)
    # It ends while the loop does not look.
    with contextlib.suppress(ChildProcessError):  # it did look
        os.waitid(os.P_PID, protocol.transport.get_pid(), os.WEXITED | os.WNOWAIT)
    protocol.transport.kill()
    await protocol.lost
    trace("returncode", protocol.transport.get_returncode())
    if isinstance(asyncio.get_running_loop(), asyncio.SelectorEventLoop):
        # kill() polls, and asyncio's watcher then finds nobody to wait for, if it was not quicker.
        for events in trace.channels.values():
            events[:] = [event.replace("255", "7") for event in events]
        trace.channels.pop("log", None)


@twin
async def test_pipes_that_outlive_the_process(trace: Trace) -> None:
    protocol = await start(trace, "/bin/sh", "-c", "(sleep 0.1; echo late) & exit 5", stdin=None)
    await protocol.exited
    trace("lost yet", protocol.lost.done())
    await protocol.lost
    trace("received", bytes(protocol.received[1]))
    protocol.transport.close()


@twin
async def test_stdin_whose_reader_goes(trace: Trace) -> None:
    process = await asyncio.create_subprocess_exec(
        "/bin/sh", "-c", "exec <&-; sleep 0.05", stdin=PIPE
    )
    assert process.stdin is not None

    async def write(stdin: asyncio.StreamWriter) -> None:
        while True:
            stdin.write(bytes(100_000))
            await stdin.drain()

    # Which of its kinds depends on what the loop hears of first.
    with pytest.raises(ConnectionError):
        await write(process.stdin)
    trace("wait", await process.wait())
    out = await process.communicate(b"too late")
    trace("communicate", out)


@twin
async def test_files_and_sockets_as_standard_streams(trace: Trace) -> None:
    reader, writer = os.pipe()
    with open("/dev/null", "rb") as null, os.fdopen(writer, "wb") as file:
        process = await asyncio.create_subprocess_exec("echo", "word", stdin=null, stdout=file)
        trace("wait", await process.wait(), process.stdin, process.stdout)
    trace("read", os.read(reader, 100))
    os.close(reader)


@twin
async def test_many_at_once(trace: Trace) -> None:
    async def one(number: int) -> tuple[int, bytes]:
        process = await asyncio.create_subprocess_exec(
            "/bin/sh", "-c", f"read x; echo $x; exit {number}", stdin=PIPE, stdout=PIPE
        )
        out, _ = await process.communicate(b"%d\n" % number)
        assert process.returncode is not None
        return process.returncode, out

    trace("all", await asyncio.gather(*(one(number) for number in range(20))))


@twin
def test_loop_of_another_thread(trace: Trace, factory: Any) -> None:
    async def body() -> None:
        process = await asyncio.create_subprocess_exec("/bin/sh", "-c", "exit 4")
        trace("wait", await process.wait())

    def run() -> None:
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(body())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


@pytest.mark.skipif(loops.is_portable(), reason="a thread waits for the child, and may be first")
@since_312
@twin
def test_closed_loop(trace: Trace, loop: Loop) -> None:
    async def body() -> Any:
        return await asyncio.create_subprocess_exec("sleep", "100")

    process = loop.run_until_complete(body())
    pid = process.pid
    loop.close()
    os.kill(pid, signal.SIGKILL)
    trace("status", os.waitpid(pid, 0)[1])
    process._transport._proc.returncode = -9
    process._transport._closed = True


@twin
def test_debug_log(trace: Trace, loop: Loop) -> None:
    loop.set_debug(True)

    async def body() -> None:
        process = await asyncio.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
        trace.hide(process.pid, "PID")
        await process.communicate(b"x")
        process = await asyncio.create_subprocess_shell("exit 2")
        trace.hide(process.pid, "PID")
        await process.wait()

    with verbose():
        loop.run_until_complete(body())
    # The order of two pipes' ends is the kernel's affair, and each is seen by its number.
    hidden = re.compile(r"(?<=pid )\d+|(?<=pipe )\d+")
    lines = (hidden.sub("N", line) for line in trace.channels["log"])
    # What asyncio's child watcher says of it is its own affair.
    own = re.compile(r"by peer|DEBUG \['process \w+ exited|DEBUG \['<Process PID> exited")
    trace.channels["log"] = sorted(line for line in lines if not own.search(line))

"""SIGTERM under `ferrio run`: the first is as gentle as Ctrl-C, the second kills."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .command import PATIENCE, Command, ferrio_run, python

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="signals as POSIX has them")

FORMS = [
    pytest.param(ferrio_run(), id="ferrio"),
    pytest.param(ferrio_run("--loop", "asyncio"), id="asyncio"),
]


@contextmanager
def started(form: Command, source: str, cwd: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The program `source`, once it has printed its first line, "ready"."""
    (cwd / "app.py").write_text(source)
    with form.start(["app.py"], cwd=cwd) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield process
        finally:
            process.kill()


def ending(process: subprocess.Popen[bytes]) -> tuple[int, list[str], str]:
    """Exit status, remaining lines, and what was written to stderr."""
    stdout, stderr = process.communicate(timeout=PATIENCE)
    return process.returncode, stdout.decode().splitlines(), stderr.decode()


TIDY = """
import asyncio, atexit, contextlib
atexit.register(print, "exit handler")

@contextlib.asynccontextmanager
async def resource(name):
    try:
        yield
    finally:
        await asyncio.sleep(0.01)
        print("released", name)

async def background():
    async with resource("of a task"):
        await asyncio.sleep(1000)

async def generator():
    try:
        yield 1
    finally:
        print("generator closed")

async def main():
    task = asyncio.create_task(background())
    agen = generator()
    async for _ in agen:
        break
    async with resource("of main"):
        await asyncio.sleep(0)
        print("ready", flush=True)
        await asyncio.sleep(1000)

asyncio.run(main())
"""


@pytest.mark.parametrize("form", FORMS)
class TestGently:
    def test_everything_is_released(self, form: Command, tmp_path: Path) -> None:
        with started(form, TIDY, tmp_path) as process:
            process.send_signal(signal.SIGTERM)
            status, lines, stderr = ending(process)
        assert lines[0] == "released of main"
        assert set(lines[1:-1]) == {"released of a task", "generator closed"}
        assert lines[-1] == "exit handler"
        assert (status, stderr) == (-signal.SIGTERM, "")

    def test_the_second_kills(self, form: Command, tmp_path: Path) -> None:
        program = """
import asyncio
async def main():
    print("ready", flush=True)
    try:
        await asyncio.sleep(1000)
    finally:
        print("cleaning up", flush=True)
        await asyncio.sleep(1000)
        print("not reached")
asyncio.run(main())
"""
        with started(form, program, tmp_path) as process:
            process.send_signal(signal.SIGTERM)
            assert process.stdout is not None
            assert process.stdout.readline() == b"cleaning up\n"
            process.send_signal(signal.SIGTERM)
            assert ending(process) == (-signal.SIGTERM, [], "")

    def test_as_ctrl_c_for_those_who_catch_that(self, form: Command, tmp_path: Path) -> None:
        program = """
import asyncio
async def main():
    print("ready", flush=True)
    await asyncio.sleep(1000)
try:
    asyncio.run(main())
except KeyboardInterrupt:
    print("interrupted")
"""
        with started(form, program, tmp_path) as process:
            process.send_signal(signal.SIGTERM)
            assert ending(process) == (-signal.SIGTERM, ["interrupted"], "")

    def test_exit_status_of_the_programs_own(self, form: Command, tmp_path: Path) -> None:
        program = """
import asyncio, sys
async def main():
    print("ready", flush=True)
    await asyncio.sleep(1000)
try:
    asyncio.run(main())
except KeyboardInterrupt:
    sys.exit(5)
"""
        with started(form, program, tmp_path) as process:
            process.send_signal(signal.SIGTERM)
            assert ending(process) == (5, [], "")

    def test_failing_clean_up_is_reported(self, form: Command, tmp_path: Path) -> None:
        program = """
import asyncio
async def main():
    print("ready", flush=True)
    try:
        await asyncio.sleep(1000)
    finally:
        1 / 0
asyncio.run(main())
"""
        with started(form, program, tmp_path) as process:
            process.send_signal(signal.SIGTERM)
            status, lines, stderr = ending(process)
        assert (status, lines) == (1, [])
        assert stderr.endswith("ZeroDivisionError: division by zero\n")

    def test_while_the_loop_is_busy(self, form: Command, tmp_path: Path) -> None:
        program = """
import asyncio
async def main():
    print("ready", flush=True)
    try:
        while True:
            sum(range(1000))
            await asyncio.sleep(0)
    finally:
        print("released")
asyncio.run(main())
"""
        with started(form, program, tmp_path) as process:
            process.send_signal(signal.SIGTERM)
            assert ending(process) == (-signal.SIGTERM, ["released"], "")

    def test_run_forever(self, form: Command, tmp_path: Path) -> None:
        program = """
import asyncio
loop = asyncio.new_event_loop()
loop.call_soon(lambda: print("ready", flush=True))
try:
    loop.run_forever()
finally:
    loop.run_until_complete(asyncio.sleep(0.01))
    loop.close()
    print("closed")
"""
        with started(form, program, tmp_path) as process:
            process.send_signal(signal.SIGTERM)
            assert ending(process) == (-signal.SIGTERM, ["closed"], "")

    def test_sigint_handler_of_the_loop_is_used(self, form: Command, tmp_path: Path) -> None:
        program = """
import asyncio, signal
async def main():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)
    print("ready", flush=True)
    await stop.wait()
    print("stopped")
asyncio.run(main())
"""
        with started(form, program, tmp_path) as process:
            process.send_signal(signal.SIGTERM)
            assert ending(process) == (-signal.SIGTERM, ["stopped"], "")

    def test_where_sigint_is_ignored(self, form: Command, tmp_path: Path) -> None:
        program = TIDY.replace("asyncio.run(", "import signal\nsignal.signal(2, 1)\nasyncio.run(")
        with started(form, program, tmp_path) as process:
            process.send_signal(signal.SIGINT)
            process.send_signal(signal.SIGTERM)
            status, lines, stderr = ending(process)
        assert (status, stderr) == (-signal.SIGTERM, "")
        assert {"released of main", "released of a task", "exit handler"} <= set(lines)

    def test_a_program_that_names_ferrio(self, form: Command, tmp_path: Path) -> None:
        program = TIDY.replace("asyncio.run(", "import ferrio\nferrio.run(")
        with started(form, program, tmp_path) as process:
            process.send_signal(signal.SIGTERM)
            assert ending(process)[0::2] == (-signal.SIGTERM, "")

    def test_a_later_run_is_gentle_too(self, form: Command, tmp_path: Path) -> None:
        program = "import asyncio\nasyncio.run(asyncio.sleep(0))\n" + TIDY
        with started(form, program, tmp_path) as process:
            process.send_signal(signal.SIGTERM)
            assert ending(process)[0::2] == (-signal.SIGTERM, "")


@pytest.mark.parametrize("form", FORMS)
class TestLeftAlone:
    def test_handler_of_the_program(self, form: Command, tmp_path: Path) -> None:
        program = """
import asyncio, signal, sys
def handler(signum, frame):
    print("own handler")
    sys.exit(6)
signal.signal(signal.SIGTERM, handler)
async def main():
    print("ready", flush=True)
    await asyncio.sleep(1000)
asyncio.run(main())
"""
        with started(form, program, tmp_path) as process:
            process.send_signal(signal.SIGTERM)
            assert ending(process) == (6, ["own handler"], "")

    def test_handler_of_the_programs_loop(self, form: Command, tmp_path: Path) -> None:
        program = """
import asyncio, signal
async def main():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    print("ready", flush=True)
    await stop.wait()
    print("stopped")
asyncio.run(main())
"""
        with started(form, program, tmp_path) as process:
            process.send_signal(signal.SIGTERM)
            assert ending(process) == (0, ["stopped"], "")

    def test_ignored(self, form: Command, tmp_path: Path) -> None:
        program = """
import asyncio, signal, os
signal.signal(signal.SIGTERM, signal.SIG_IGN)
async def main():
    print("ready", flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.sleep(0.05)
    print("done")
asyncio.run(main())
"""
        with started(form, program, tmp_path) as process:
            assert ending(process) == (0, ["done"], "")

    def test_program_without_a_loop(self, form: Command, tmp_path: Path) -> None:
        program = """
import atexit, signal, time
atexit.register(print, "not reached")
assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
print("ready", flush=True)
time.sleep(1000)
"""
        with started(form, program, tmp_path) as process:
            process.send_signal(signal.SIGTERM)
            assert ending(process) == (-signal.SIGTERM, [], "")

    def test_program_between_two_loops(self, form: Command, tmp_path: Path) -> None:
        program = """
import asyncio, atexit, time
atexit.register(print, "not reached")
asyncio.run(asyncio.sleep(0))
print("ready", flush=True)
time.sleep(1000)
"""
        with started(form, program, tmp_path) as process:
            process.send_signal(signal.SIGTERM)
            assert ending(process) == (-signal.SIGTERM, [], "")

    def test_loop_in_another_thread(self, form: Command, tmp_path: Path) -> None:
        program = """
import asyncio, threading
async def main():
    print("ready", flush=True)
    await asyncio.sleep(1000)
threading.Thread(target=asyncio.run, args=(main(),), daemon=True).start()
threading.Event().wait()
"""
        with started(form, program, tmp_path) as process:
            process.send_signal(signal.SIGTERM)
            assert ending(process) == (-signal.SIGTERM, [], "")

    def test_forked_child(self, form: Command, tmp_path: Path) -> None:
        program = """
import asyncio, os, signal, time
asyncio.run(asyncio.sleep(0))
reader, writer = os.pipe()
child = os.fork()
if not child:
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    os.write(writer, b"ready\\n")
    time.sleep(1000)
    os._exit(0)
print(os.read(reader, 100).decode(), end="", flush=True)
os.kill(child, signal.SIGTERM)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
        with started(form, program, tmp_path) as process:
            assert ending(process)[:2] == (0, [str(-signal.SIGTERM)])

    def test_loop_of_a_forked_child(self, form: Command, tmp_path: Path) -> None:
        """Supervisors end their workers by SIGTERM, and ask how they have ended."""
        program = """
import asyncio, multiprocessing, os, signal
async def work(queue):
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    queue.put(os.getpid())
    try:
        await asyncio.sleep(1000)
    finally:
        print("not reached", flush=True)
async def main():
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    child = context.Process(target=lambda: asyncio.run(work(queue)))
    child.start()
    print("ready", flush=True)
    assert queue.get() == child.pid
    child.terminate()
    child.join()
    print(child.exitcode)
{start}
"""
        for start in (
            "asyncio.run(main())",
            "main().send(None)",
        ):
            source = program.replace("{start}", f"try:\n    {start}\nexcept StopIteration: pass")
            with started(form, source, tmp_path) as process:
                status, lines, stderr = ending(process)
            assert (status, lines) == (0, [str(-signal.SIGTERM)]), stderr
            assert "Traceback" not in stderr


@pytest.mark.parametrize("form", [*FORMS, pytest.param(python(), id="python")])
class TestCtrlC:
    """Ctrl-C stays what it was; the interpreter itself stands beside the forms as a check."""

    def test_ends_by_sigint_after_cleaning_up(self, form: Command, tmp_path: Path) -> None:
        with started(form, TIDY, tmp_path) as process:
            process.send_signal(signal.SIGINT)
            status, lines, stderr = ending(process)
        assert lines[-1] == "exit handler"
        assert "released of main" in lines
        assert status == -signal.SIGINT
        assert stderr.endswith("KeyboardInterrupt\n")

    def test_caught(self, form: Command, tmp_path: Path) -> None:
        program = """
import asyncio
async def main():
    print("ready", flush=True)
    await asyncio.sleep(1000)
try:
    asyncio.run(main())
except KeyboardInterrupt:
    print("caught")
"""
        with started(form, program, tmp_path) as process:
            process.send_signal(signal.SIGINT)
            assert ending(process) == (0, ["caught"], "")


#: How programs end that take SIGTERM for Ctrl-C, as they must: `python` dies by the signal.
ENDS = {
    "sys.exit()": "",
    "sys.exit(0)": "",
    "sys.exit(False)": "",
    "sys.exit(1)": "",
    "sys.exit(130)": "",
    "sys.exit('aborted')": "aborted",
    "raise SystemExit(1) from None": "",
}

WAITING = """
import asyncio, sys
async def main():
    print("ready", flush=True)
    await asyncio.sleep(1000)
"""


@pytest.mark.parametrize("form", FORMS)
class TestExitStatus:
    @pytest.mark.parametrize("end", ENDS)
    def test_of_one_who_was_interrupted(self, form: Command, end: str, tmp_path: Path) -> None:
        program = WAITING + f"try:\n    asyncio.run(main())\nexcept KeyboardInterrupt:\n    {end}"
        with started(form, program, tmp_path) as process:
            process.send_signal(signal.SIGTERM)
            status, lines, stderr = ending(process)
        assert (status, lines, stderr.strip()) == (-signal.SIGTERM, [], ENDS[end])

    def test_of_main_functions(self, form: Command, tmp_path: Path) -> None:
        """The way in which console scripts end."""
        program = (
            WAITING
            + """
def run():
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        print("bye")
sys.exit(run())
"""
        )
        with started(form, program, tmp_path) as process:
            process.send_signal(signal.SIGTERM)
            assert ending(process) == (-signal.SIGTERM, ["bye"], "")

    @pytest.mark.parametrize("status", [2, 3, 42, 255])
    def test_that_says_something_else(self, form: Command, status: int, tmp_path: Path) -> None:
        program = (
            WAITING
            + f"""
try:
    asyncio.run(main())
except KeyboardInterrupt:
    sys.exit({status})
"""
        )
        with started(form, program, tmp_path) as process:
            process.send_signal(signal.SIGTERM)
            assert ending(process) == (status, [], "")

    @pytest.mark.parametrize("standalone", [True, False])
    def test_under_click(self, form: Command, standalone: bool, tmp_path: Path) -> None:
        pytest.importorskip("click")
        program = (
            WAITING
            + f"""
import click
@click.command()
def run():
    asyncio.run(main())
run(standalone_mode={standalone})
"""
        )
        with started(form, program, tmp_path) as process:
            process.send_signal(signal.SIGTERM)
            status, _, _ = ending(process)
        # Out of the other mode click.Abort comes, which nobody catches here.
        assert status == (-signal.SIGTERM if standalone else 1)

    def test_of_a_signal_that_is_raised_again(self, form: Command, tmp_path: Path) -> None:
        """uvicorn handles SIGTERM by itself, and then raises it for whoever started it."""
        program = """
import asyncio, signal, sys
async def main():
    stop = asyncio.Event()
    original = signal.signal(signal.SIGTERM, lambda *args: stop.set())
    print("ready", flush=True)
    while not stop.is_set():
        await asyncio.sleep(0.01)
    print("stopped")
    signal.signal(signal.SIGTERM, original)
    signal.raise_signal(signal.SIGTERM)
try:
    asyncio.run(main())
except KeyboardInterrupt:
    pass
sys.exit(0)
"""
        with started(form, program, tmp_path) as process:
            process.send_signal(signal.SIGTERM)
            assert ending(process) == (-signal.SIGTERM, ["stopped"], "")


STUBBORN = """
import asyncio, atexit
async def main():
    print("ready", flush=True)
    try:
        await asyncio.sleep(1000)
    finally:
        print("cleaning up", flush=True)
        await asyncio.sleep(1000)
asyncio.run(main())
"""

BETWEEN_LOOPS = """
import asyncio, time
asyncio.run(asyncio.sleep(0))
print("ready", flush=True)
while True:
    time.sleep(0.01)
"""

#: What nobody waits for: a child of its own, and one that a child has left behind.
FAMILY = """
import asyncio, os

def zombie():
    return os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)

async def main():
    print("ready", flush=True)
    child = await asyncio.create_subprocess_exec("true")
    while child.returncode is None:
        await asyncio.sleep(0.01)
    try:
        print("left of the child:", zombie())
    except ChildProcessError:
        print("left of the child: nothing")
    shell = await asyncio.create_subprocess_shell(
        "sleep 0.1 >/dev/null & echo $!", stdout=asyncio.subprocess.PIPE
    )
    orphan, _ = await shell.communicate()
    while not zombie():
        await asyncio.sleep(0.01)
    print("left of the orphan:", zombie().si_pid == int(orphan))
asyncio.run(main())
"""

#: A program without a word on SIGTERM.
HEEDLESS = """
import asyncio, os, signal
signal.signal(signal.SIGUSR1, lambda *args: os._exit(7))
async def main():
    print("ready", flush=True)
    await asyncio.sleep(1000)
asyncio.run(main())
"""

SERVICE = """
import asyncio, ferrio
async def say_ready():
    print("ready", flush=True)
async def main():
    server = await asyncio.start_server(lambda *args: None, "127.0.0.1", 0)
    done = await ferrio.serve_until_signal(server, say_ready())
    print(done.signal.name, done.drained)
ferrio.run(main())
"""

#: To the first process of a container the kernel gives no signal that it does not handle.
FIRST_PROCESS = ["unshare", "--pid", "--fork", "--kill-child"]


def can_be_first() -> bool:
    try:
        done = subprocess.run([*FIRST_PROCESS, "true"], check=False, capture_output=True)
    except OSError:
        return False
    return done.returncode == 0


@pytest.mark.skipif(not can_be_first(), reason="no namespace can be made here")
class TestFirstProcess:
    """PID 1, as in containers: the exit status says what the signal cannot."""

    @contextmanager
    def first(
        self, source: str, cwd: Path, form: Command | None = None
    ) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
        form = form or ferrio_run()
        with started(Command([*FIRST_PROCESS, *form.words]), source, cwd) as process:
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
            yield process, int(children)

    @pytest.mark.parametrize("loop", ["ferrio", "asyncio"])
    def test_children_are_waited_for_and_orphans_are_not(self, loop: str, tmp_path: Path) -> None:
        with self.first(FAMILY, tmp_path, ferrio_run("--loop", loop)) as (process, _):
            status, lines, stderr = ending(process)
        assert (status, stderr) == (0, "")
        assert lines == ["left of the child: nothing", "left of the orphan: True"]

    def test_the_kernel_keeps_sigterm_from_who_does_not_handle_it(self, tmp_path: Path) -> None:
        with self.first(HEEDLESS, tmp_path, python()) as (process, pid):
            os.kill(pid, signal.SIGTERM)
            os.kill(pid, signal.SIGUSR1)
            assert ending(process) == (7, [], "")

    def test_a_service_ends_in_good_order(self, tmp_path: Path) -> None:
        with self.first(SERVICE, tmp_path, python()) as (process, pid):
            os.kill(pid, signal.SIGTERM)
            assert ending(process) == (0, ["SIGTERM True"], "")

    def test_dies_after_cleaning_up(self, tmp_path: Path) -> None:
        with self.first(TIDY, tmp_path) as (process, pid):
            os.kill(pid, signal.SIGTERM)
            status, lines, stderr = ending(process)
        assert (status, lines[-1], stderr) == (143, "exit handler", "")

    def test_the_second_kills(self, tmp_path: Path) -> None:
        with self.first(STUBBORN, tmp_path) as (process, pid):
            os.kill(pid, signal.SIGTERM)
            assert process.stdout is not None
            assert process.stdout.readline() == b"cleaning up\n"
            os.kill(pid, signal.SIGTERM)
            assert ending(process) == (143, [], "")

    def test_between_two_loops(self, tmp_path: Path) -> None:
        with self.first(BETWEEN_LOOPS, tmp_path) as (process, pid):
            os.kill(pid, signal.SIGTERM)
            assert ending(process) == (143, [], "")

    def test_ctrl_c(self, tmp_path: Path) -> None:
        with self.first(TIDY, tmp_path) as (process, pid):
            os.kill(pid, signal.SIGINT)
            assert ending(process)[0] == 130


@pytest.mark.parametrize("program", ["STUBBORN", "BETWEEN_LOOPS"])
def test_who_takes_itself_for_the_first_process_exits(program: str, tmp_path: Path) -> None:
    """The same without a namespace, which cannot be had everywhere."""
    source = "import os\nos.getpid = lambda: 1\n" + globals()[program]
    with started(ferrio_run(), source, tmp_path) as process:
        process.send_signal(signal.SIGTERM)
        if program == "STUBBORN":
            assert process.stdout is not None
            assert process.stdout.readline() == b"cleaning up\n"
            process.send_signal(signal.SIGTERM)
        assert ending(process) == (143, [], "")

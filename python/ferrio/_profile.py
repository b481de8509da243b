"""`ferrio run --profile`: where the program's time goes, by py-spy or by cProfile.

py-spy looks at this process from outside: it costs the program next to nothing, sees all threads,
and its flame graph is a page for a browser. cProfile is in the standard library: it counts every
call of the main thread, which makes calls slower.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ._command_line import MistakeError

if TYPE_CHECKING:
    from cProfile import Profile

#: What py-spy writes, by the end of a file's name.
FORMATS = {".svg": "flamegraph", ".json": "speedscope", ".txt": "raw"}
#: What cProfile writes.
STATISTICS = (".prof", ".pstats")
#: Seconds in which py-spy has begun, or said why it cannot.
PATIENCE = 10
#: From Linux' sys/prctl.h: who may look into this process, where only parents may otherwise.
PR_SET_PTRACER = 0x59616D61


def find_py_spy() -> str | None:
    from . import _scripts

    return _scripts.find("py-spy")


@contextlib.contextmanager
def profiling(file: str, program: str) -> Iterator[None]:
    """Profile what runs in this block.

    Args:
        file: Where to; the end of its name says what. Empty: `NAME.svg` or `NAME.prof`, here.
        program: What is run, to name the file by.

    Raises:
        MistakeError: There is no such kind of profile, or no such folder.
    """
    end = os.path.splitext(file)[1]
    if file and end not in (*FORMATS, *STATISTICS):
        ends = ", ".join((*FORMATS, *STATISTICS))
        raise MistakeError(f"--profile={file}: the name has to end in one of {ends}")
    folder = os.path.dirname(file)
    if folder and not os.path.isdir(folder):
        raise MistakeError(f"--profile={file}: there is no folder {folder}")
    name = file or f"profile-{stem(program)}.svg"
    if end not in STATISTICS:
        refusal = "py-spy is not installed (pip install py-spy)"
        if (py_spy := find_py_spy()) is not None:
            spy = Spy(py_spy, name)
            refusal = spy.start()
            if not refusal:
                try:
                    yield
                finally:
                    spy.finish()
                return
        if file:
            raise MistakeError(f"--profile={file}: {refusal}; cProfile writes --profile=FILE.prof")
        say(f"{refusal}; cProfile is used")
        name = f"profile-{stem(program)}.prof"
    with counting(name):
        yield


def stem(program: str) -> str:
    """`app` of `src/app.py`."""
    name = os.path.basename(program.rstrip("/")).removesuffix(".py")
    return re.sub(r"[^\w.-]+", "-", name).strip("-.") or "program"


def say(text: str) -> None:
    print(f"ferrio run: {text}", file=sys.stderr, flush=True)


class Spy:
    """py-spy, started beside this process to look at it."""

    def __init__(self, program: str, file: str) -> None:
        self._program = program
        self._file = file
        self._process: subprocess.Popen[str]

    def start(self) -> str:
        """Starts it, and returns why it cannot be; an empty text if all is well."""
        may_be_looked_at_by_anybody()
        kind = FORMATS[os.path.splitext(self._file)[1]]
        command = [self._program, "record", "--pid", str(os.getpid()), "--format", kind]
        self._process = subprocess.Popen(
            [*command, "--output", self._file],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # Ctrl-C is for the program; py-spy goes on until that has ended.
            process_group=0,
        )
        assert self._process.stdout is not None
        watchdog = threading.Timer(PATIENCE, self._process.kill)
        watchdog.start()
        lines = []
        try:
            for line in self._process.stdout:
                if "Sampling process" in line:
                    threading.Thread(target=self._drain, daemon=True).start()
                    say(f"profiling by py-spy, into {self._file}")
                    return ""
                lines.append(line.strip())
        finally:
            watchdog.cancel()
        self._process.wait()
        said = " ".join(line for line in lines if line)
        return f"py-spy cannot look at this process ({said or 'it does not say why'})"

    def _drain(self) -> None:
        assert self._process.stdout is not None
        self._process.stdout.read()

    def finish(self) -> None:
        self._process.send_signal(signal.SIGINT)
        self._process.wait()
        if os.path.exists(self._file):
            say(f"{self._file}: {opened(self._file)}")
        else:
            say("py-spy has written no profile: the program was too short")


def opened(file: str) -> str:
    """How to look at a profile."""
    match os.path.splitext(file)[1]:
        case ".svg":
            return "a flame graph; open it in a browser"
        case ".json":
            return "for https://www.speedscope.app, or `npx speedscope`"
        case ".txt":
            return "stacks with counts, one a line, for flamegraph.pl"
        case _:
            return (
                f"to read it: python -m pstats {shlex.quote(file)} (then: sort cumtime, stats 20)"
            )


def may_be_looked_at_by_anybody() -> None:
    """Many systems let only parents look into a process (Yama's ptrace_scope)."""
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).prctl(PR_SET_PTRACER, ctypes.c_long(-1), 0, 0, 0)


@contextlib.contextmanager
def counting(file: str) -> Iterator[None]:
    """cProfile, around the block."""
    from cProfile import Profile

    profile: Profile = Profile()
    say(f"profiling by cProfile, into {file}")
    profile.enable()
    try:
        yield
    finally:
        profile.disable()
        profile.dump_stats(file)
        say(f"{file}: {opened(file)}")

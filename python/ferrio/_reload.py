"""`ferrio run --reload`: the program again whenever a file changes.

This process runs no program: it watches files and starts `ferrio run` without `--reload` in a
process of its own, which SIGTERM ends gently.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, TypeAlias

from ._command_line import CommandLine, MistakeError

#: Seconds between two looks, where watchfiles is not installed.
LOOK = 0.5
#: Seconds that a program gets to end.
PATIENCE = 10
#: How many of the files that have changed are named.
NAMED = 3

OWN = ("--reload",)
OWN_WITH_VALUE = ("--watch",)

Changed: TypeAlias = set[Path]


@dataclass(frozen=True)
class _Ended:
    """The process of this number has ended."""

    pid: int


@dataclass(frozen=True)
class _Signal:
    number: int


class Watched:
    """What is watched: Python files in a folder, or whatever there is in paths that were named."""

    def __init__(self, paths: Sequence[Path], *, is_named: bool) -> None:
        self.paths = paths
        self._is_named = is_named

    @classmethod
    def of(cls, named: Sequence[str], program: Sequence[str]) -> Watched:
        """
        Args:
            named: Paths of `--watch`.
            program: The words of the program: its folder is watched if no paths are named.

        Raises:
            MistakeError: There is no such path.
        """
        for name in named:
            if not os.path.exists(name):
                raise MistakeError(f"--watch {name}: there is no such file or folder")
        if named:
            return cls([Path(path).resolve() for path in named], is_named=True)
        first = program[0]
        if first.startswith("-") or not os.path.exists(first):
            return cls([Path.cwd()], is_named=False)
        path = Path(first).resolve()
        return cls([path if path.is_dir() else path.parent], is_named=False)

    def __str__(self) -> str:
        names = ", ".join(map(shown, self.paths))
        return f"everything in {names}" if self._is_named else f"Python files in {names}"

    def wants(self, path: Path) -> bool:
        """Is this a file whose changes count?"""
        if path in self.paths:
            return True
        if not self._is_named and path.suffix != ".py":
            return False
        root = next((each for each in self.paths if path.is_relative_to(each)), None)
        if root is None or path.name.startswith(".") or path.suffix == ".pyc":
            return False
        between = path.relative_to(root).parts[:-1]
        return not any(map(is_left_out, between))

    def files(self) -> Iterator[Path]:
        for root in self.paths:
            if root.is_file():
                yield root
            for folder, folders, names in os.walk(root):
                folders[:] = [
                    name
                    for name in folders
                    if not is_left_out(name)
                    and not os.path.exists(os.path.join(folder, name, "pyvenv.cfg"))
                ]
                yield from filter(self.wants, (Path(folder, name) for name in names))


def is_left_out(folder: str) -> bool:
    """Folders in which nobody writes source by hand."""
    return folder.startswith(".") or folder in {"__pycache__", "node_modules", "site-packages"}


def shown(path: Path) -> str:
    """As a reader would name it here."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


def watch(watched: Watched, report: Callable[[Changed], object], stop: threading.Event) -> None:
    """Tell of files that change, are made or go, until `stop` is set."""
    try:
        import watchfiles
    except ImportError:
        look(watched, report, stop)
        return
    changes = watchfiles.watch(
        *watched.paths,
        watch_filter=lambda _, path: watched.wants(Path(path)),
        stop_event=stop,
        raise_interrupt=False,
        debounce=200,
    )
    for change in changes:
        report({Path(path) for _, path in change})


def look(watched: Watched, report: Callable[[Changed], object], stop: threading.Event) -> None:
    """The same by comparing times and sizes every now and then."""
    before = snapshot(watched)
    while not stop.wait(LOOK):
        now = snapshot(watched)
        if now != before:
            changed = {
                path for path in before.keys() | now.keys() if before.get(path) != now.get(path)
            }
            before = now
            report(changed)


def snapshot(watched: Watched) -> dict[Path, tuple[int, int]]:
    found = {}
    for path in watched.files():
        try:
            status = path.stat()
        except OSError:
            continue  # it has gone meanwhile
        found[path] = status.st_mtime_ns, status.st_size
    return found


def how() -> str:
    """How changes are noticed here."""
    try:
        import watchfiles
    except ImportError:
        return f"looking every {LOOK} s; pip install watchfiles is told of changes at once"
    return f"by watchfiles {watchfiles.__version__}"


def run(words: Sequence[str], named: Sequence[str]) -> int:
    """Run the program of `ferrio run WORDS` until Ctrl-C or SIGTERM, and again at every change.

    Raises:
        MistakeError: There is no path of that name.
    """
    line = CommandLine.parse(words)
    watched = Watched.of(named, line.program)
    supervisor = Supervisor(command(line))
    say(f"watching {watched} ({how()}); Ctrl-C ends it")
    return supervisor.run(watched)


def command(line: CommandLine) -> list[str]:
    """What starts the program once, with this interpreter's options."""
    interpreter = CommandLine.parse(sys.orig_argv[1:]).interpreter
    own = list(line.own)
    kept: list[str] = []
    while own:
        word = own.pop(0)
        name, has_value, _ = word.partition("=")
        if name in OWN_WITH_VALUE:
            del own[: not has_value]
        elif name not in OWN:
            kept.append(word)
    return [sys.executable, *interpreter, "-m", "ferrio", "run", *kept, *line.program]


def say(text: str) -> None:
    print(f"ferrio run: {text}", file=sys.stderr, flush=True)


class Supervisor:
    """Starts a command, and starts it anew."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._events: queue.SimpleQueue[Changed | _Ended | _Signal] = queue.SimpleQueue()
        self._child: subprocess.Popen[bytes] | None = None

    def run(self, watched: Watched) -> int:
        stop = threading.Event()
        before: dict[int, Any] = {}
        for handled in (signal.SIGINT, signal.SIGTERM):
            before[handled] = signal.signal(handled, self._received)
        watcher = threading.Thread(
            target=watch, args=(watched, self._events.put, stop), daemon=True
        )
        watcher.start()
        try:
            self._start()
            while True:
                match self._events.get():
                    case _Signal(number):
                        return self._end_with(number)
                    case _Ended(pid) if self._child is not None and pid == self._child.pid:
                        self._has_ended(self._child)
                    case _Ended():
                        pass
                    case changed:
                        self._restart(changed)
        finally:
            stop.set()
            for each, handler in before.items():
                signal.signal(each, handler)

    def _received(self, number: int, frame: FrameType | None) -> None:
        self._events.put(_Signal(number))

    def _start(self) -> None:
        self._child = child = subprocess.Popen(self._command)

        def wait() -> None:
            child.wait()
            self._events.put(_Ended(child.pid))

        threading.Thread(target=wait, daemon=True).start()

    def _has_ended(self, child: subprocess.Popen[bytes]) -> None:
        self._child = None
        ending = status(child.returncode)
        say(f"the program has ended ({ending}); a change of a file starts it again")

    def _restart(self, changed: Changed) -> None:
        names = sorted(map(shown, changed))
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        say(f"{', '.join(names[:NAMED])}{more} changed: starting again")
        if self._child is not None:
            self._stop(self._child, signal.SIGTERM)
        self._start()

    def _stop(self, child: subprocess.Popen[bytes], number: int | None) -> None:
        """Ends the program, by this signal if it has not got one already, or else at once."""
        if number is not None:
            child.send_signal(number)
        deadline = time.monotonic() + PATIENCE
        while child.poll() is None:
            left = deadline - time.monotonic()
            try:
                event = self._events.get(timeout=max(left, 0))
            except queue.Empty:
                say(f"the program has not ended within {PATIENCE} s; killing it")
                child.kill()
                child.wait()
                return
            match event:
                case _Signal():
                    self._events.put(event)
                    child.kill()
                    child.wait()
                case _Ended():
                    child.wait()
                case _:
                    pass  # changed again: what starts next has it

    def _end_with(self, number: int) -> int:
        child, self._child = self._child, None
        if child is not None:
            # What a terminal sends goes to both.
            is_told = number == signal.SIGINT and is_in_foreground()
            self._stop(child, None if is_told else number)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        return 128 + number  # as PID 1, which does not die by signals


def is_in_foreground() -> bool:
    """Does Ctrl-C at the terminal go to this process, and so to those that it has started?"""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


def status(code: int) -> str:
    if code < 0:
        try:
            return f"killed by {signal.Signals(-code).name}"
        except ValueError:
            return f"killed by signal {-code}"
    return f"exit status {code}"

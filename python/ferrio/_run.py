"""`ferrio run`: a program that knows nothing of ferrio, on ferrio.

What the program sees is what `python` would have shown it: `sys.argv`, `sys.path[0]`, a module
`__main__` with the same names in it. What the caller sees is the same too: output, traceback, exit
status. CPython's `Modules/main.c` and `Python/pythonrun.c` are the model, and `tests/cli` compares
with the interpreter byte by byte.

Only SIGTERM is treated better, see `Termination`.
"""

from __future__ import annotations

import asyncio
import builtins
import importlib.machinery
import io
import linecache
import os
import pkgutil
import signal
import sys
import textwrap
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from types import FrameType, ModuleType, TracebackType
from typing import Any, TypeAlias

from . import _ferrio
from ._choice import Choice


@dataclass(frozen=True)
class Script:
    """A file of source or byte code, or a folder or zip archive with a `__main__.py` in it."""

    path: str

    def execute(self, arguments: Sequence[str]) -> None:
        sys.argv[:] = [self.path, *arguments]
        # Relative to the folder at this moment, and not normalised: so `__file__` has always been.
        path = os.path.join(os.getcwd(), self.path)
        if pkgutil.get_importer(path) is not None:
            if sys.flags.safe_path:
                sys.path.insert(0, path)
            else:
                sys.path[0] = path
            _execute_module("__main__", alter_argv=False)
        else:
            _prepend_path(os.path.dirname(os.path.realpath(path)))
            self._execute_file(path)

    def _execute_file(self, path: str) -> None:
        try:
            io.open_code(path).close()
        except OSError as error:
            reason = f"[Errno {error.errno}] {error.strerror}"
            print(f"{sys.executable}: can't open file {path!r}: {reason}", file=sys.stderr)
            sys.exit(2)
        main = _fresh_main()
        main.__file__ = path
        if sys.version_info < (3, 15):
            main.__cached__ = None
        if path.endswith(".pyc"):
            main.__loader__ = loader = importlib.machinery.SourcelessFileLoader("__main__", path)
            code = loader.get_code("__main__")
            assert code is not None  # or ImportError
            exec(code, main.__dict__)
        else:
            main.__loader__ = importlib.machinery.SourceFileLoader("__main__", path)
            _execute_source(path, main)


@dataclass(frozen=True)
class Module:
    """A module or package by its name: `-m`."""

    name: str

    def execute(self, arguments: Sequence[str]) -> None:
        # The first item becomes the module's file once that is known.
        sys.argv[:] = ["-m", *arguments]
        _prepend_path(os.getcwd())
        _execute_module(self.name, alter_argv=True)


@dataclass(frozen=True)
class Command:
    """Source text: `-c`."""

    source: str

    def execute(self, arguments: Sequence[str]) -> None:
        sys.argv[:] = ["-c", *arguments]
        _prepend_path("")
        source = self.source
        if sys.version_info >= (3, 14):
            source = textwrap.dedent(source)
        main = _fresh_main()
        if sys.version_info >= (3, 13):
            # Tracebacks of a command show its lines since 3.13.
            linecache.cache["<string>"] = (
                len(source),
                None,
                [line + "\n" for line in source.splitlines()],
                "<string>",
            )
        exec(compile(source, "<string>", "exec", dont_inherit=True), main.__dict__)


@dataclass(frozen=True)
class StandardInput:
    """Source text on standard input: `-`."""

    def execute(self, arguments: Sequence[str]) -> None:
        sys.argv[:] = ["-", *arguments]
        _prepend_path("")
        main = _fresh_main()
        main.__file__ = "<stdin>"
        if sys.version_info < (3, 15):
            main.__cached__ = None
        source = sys.stdin.buffer.read()
        exec(compile(source, "<stdin>", "exec", dont_inherit=True), main.__dict__)


Program: TypeAlias = Script | Module | Command | StandardInput


def run(
    program: Program,
    arguments: Sequence[str],
    *,
    choice: Choice,
    children: bool = True,
) -> int:
    """Run `program` as the process's main program and return the exit status that is due.

    SystemExit passes through: only the interpreter itself knows all of its forms.

    Args:
        children: Are processes that the program starts to run on what it runs on?
    """
    termination = Termination()
    try:
        choice.put_in_force(termination.watch)
    except ImportError:
        sys.exit(f"ferrio run: {choice.loop} is not installed (pip install {choice.loop})")
    choice.tell_children(children)
    uncaught: BaseException | None = None
    try:
        program.execute(arguments)
    except SystemExit as exit:
        if sys.flags.interactive:
            return report(exit)
        if not (termination.received and is_of_the_interrupted(exit)):
            raise
        if isinstance(exit.code, str):
            print(exit.code, file=sys.stderr)
        return end_by(signal.SIGTERM)
    except BaseException as exception:
        uncaught = exception
    # Reported only here: inside the clause above, an exception of the program's own
    # `sys.excepthook` would carry the reported one as its context.
    if uncaught is None or (termination.received and isinstance(uncaught, KeyboardInterrupt)):
        if termination.received:
            return end_by(signal.SIGTERM)
        return 0
    report(uncaught)
    if sys.flags.interactive:
        return 0
    if type(uncaught) is KeyboardInterrupt:  # the interpreter does not ask for subclasses either
        return end_by(signal.SIGINT)
    return 1


def report(uncaught: BaseException) -> int:
    """Report what the program has raised; 0, for the interpreter that goes on after it (`-i`)."""
    uncaught.__traceback__ = without_own_frames(uncaught.__traceback__)
    _ferrio.report_uncaught(uncaught)
    return 0


class Termination:
    """SIGTERM as gentle as Ctrl-C, for a program that has no plan of its own for it.

    By default SIGTERM ends a process on the spot: no `finally`, no `async with`, no goodbye to
    peers. Here the first one is turned into what Ctrl-C does to the program. Under `asyncio.run`
    and `Runner` the main task is cancelled, and KeyboardInterrupt comes out of `run` once
    everything is cleaned up; a program with a SIGINT handler gets to use it. The next SIGTERM ends
    the process on the spot.

    The default is kept where there is nothing to be gentle with: until the program makes its first
    loop, in the moments in which none runs, and in children: who ends them by a signal asks how
    they have ended. A handler of the program's own is never replaced.
    """

    def __init__(self) -> None:
        self.received = False
        self._is_forked = False
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._begin_anew)

    def _begin_anew(self) -> None:
        self.received = False
        self._is_forked = True
        if signal.getsignal(signal.SIGTERM) == self._on_sigterm:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def watch(self) -> None:
        """Called for each loop that is made."""
        if (
            not self.received
            and not self._is_forked
            and threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        ):
            signal.signal(signal.SIGTERM, self._on_sigterm)

    def _on_sigterm(self, signum: int, frame: FrameType | None) -> None:
        is_first_process = os.getpid() == 1
        # The kernel keeps from it what it does not handle, so it cannot die by a signal.
        signal.signal(signum, exit_at_once if is_first_process else signal.SIG_DFL)
        self.received = True
        # A guest's loop runs between its turns, too.
        guest = sys.modules.get("ferrio.guest")
        has_guest = guest is not None and guest.is_running_in_main_thread()
        if asyncio._get_running_loop() is None and not has_guest:
            signal.raise_signal(signum)
            return
        if signal.getsignal(signal.SIGINT) in (signal.SIG_IGN, signal.SIG_DFL, None):
            # A shell starts background jobs with SIGINT ignored, and then Runner leaves it so.
            raise KeyboardInterrupt
        # Raised, not called: handlers of `loop.add_signal_handler` run on the real signal only.
        signal.raise_signal(signal.SIGINT)


def exit_at_once(signum: int, frame: FrameType | None) -> None:
    """What comes nearest to death by a signal, with the status that a shell would show for it."""
    os._exit(128 + signum)


def is_of_the_interrupted(exit: SystemExit) -> bool:
    """After a SIGTERM: does the program say no more than that it has ended, or was interrupted?

    It says so of the KeyboardInterrupt that the signal was turned into, so the signal is meant. 1
    is among it, which click says, outside of the handler, so that the context does not tell.
    """
    return exit.code in (None, 0, 1, 128 + signal.SIGINT) or isinstance(exit.code, str)


def end_by(signum: signal.Signals) -> int:
    """Have the process end by `signum` after its shutdown; the status in case that it survives."""
    if sys.platform != "win32":
        _ferrio.die_after_shutdown(signum)
    return 128 + signum


def without_own_frames(traceback: TracebackType | None) -> TracebackType | None:
    """The part of `traceback` that `python` would have shown: all below this module."""
    while traceback is not None and traceback.tb_frame.f_globals is globals():
        traceback = traceback.tb_next
    return traceback


def _fresh_main() -> Any:
    """A new module `__main__`, as empty as the interpreter's own is."""
    main: Any = ModuleType("__main__")
    main.__builtins__ = builtins
    main.__loader__ = importlib.machinery.BuiltinImporter
    if sys.version_info < (3, 14):
        main.__annotations__ = {}
    sys.modules["__main__"] = main
    return main


def _prepend_path(entry: str) -> None:
    # What stands first is what the interpreter put there for `ferrio` itself, unless told not to.
    if not sys.flags.safe_path:
        sys.path[0] = entry


def _execute_source(path: str, main: Any) -> None:
    if sys.platform != "win32":
        _ferrio.run_file(path, main.__dict__)
    else:
        with io.open_code(path) as file:
            code = compile(file.read(), path, "exec", dont_inherit=True)
        exec(code, main.__dict__)


def _execute_module(name: str, *, alter_argv: bool) -> None:
    # The function that `python -m` itself calls, which finds its namespace in sys.modules; its
    # frames belong into the traceback.
    import runpy

    _fresh_main()
    runpy._run_module_as_main(name, alter_argv)  # type: ignore[attr-defined]

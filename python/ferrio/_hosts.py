"""How Tk and Qt are asked to call something, from whatever thread."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

#: In the order in which they are looked for.
QT = ("PySide6", "PyQt6", "PySide2", "PyQt5")


class HostEndedError(RuntimeError):
    """The host's loop has come to its end, as it should one day."""


class TkHost:
    """Tk's main loop.

    Other threads may not call Tcl: before `mainloop()` it refuses, and after it nobody answers.
    They write into a pipe that Tk watches.
    """

    _reading: int
    _writing: int
    _command: Any

    def __init__(self, root: Any) -> None:
        import tkinter

        self._root = root
        self._calls: deque[Callable[[], None]] = deque()
        #: Who writes has to find the pipe open, and not another file under its number.
        self._lock = threading.Lock()
        if sys.platform == "win32" or not hasattr(root.tk, "createfilehandler"):
            raise RuntimeError("this Tk cannot wait for descriptors: it is not one for Unix")
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._reading, False)
        os.set_blocking(self._writing, False)
        root.tk.createfilehandler(self._reading, tkinter.READABLE, self._called)
        self._command = root.register(self._call)
        # Of the window that is at the top, not of `root`, which may be a widget in it.
        root.nametowidget(".").bind("<Destroy>", self._destroyed, add=True)

    def call_soon_threadsafe(self, function: Callable[[], None]) -> None:
        with self._lock:
            self._check_open()
            self._calls.append(function)
            with contextlib.suppress(BlockingIOError):  # full: it is readable as it is
                os.write(self._writing, b"\0")

    def call_soon(self, function: Callable[[], None]) -> None:
        self._check_open()
        self._calls.append(function)
        # First what waits for Tk to be idle, the drawing above all: a guest that always has
        # something to do must not keep it waiting. And only then, by way of a timer, events.
        self._root.tk.call("after", "idle", "after", "0", self._command)

    def close(self) -> None:
        """Nothing is called any more."""
        with self._lock:
            if self._writing < 0:
                return
            self._root.tk.deletefilehandler(self._reading)
            os.close(self._reading)
            os.close(self._writing)
            self._writing = -1

    def _check_open(self) -> None:
        if self._writing < 0:
            raise HostEndedError("the window was destroyed")

    def _called(self, fd: int, mask: int) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(fd, 4096)
        self._call()

    def _call(self) -> None:
        for _ in range(len(self._calls)):
            try:
                self._calls.popleft()()
            except Exception:
                self._root.report_callback_exception(*sys.exc_info())

    def _destroyed(self, event: Any) -> None:
        # Widgets in the window tell of their own end, too.
        if str(event.widget) == ".":
            self.close()


class QtHost:
    """Qt's event loop: a signal that is emitted in another thread is queued for the object's."""

    def __init__(self) -> None:
        core = qt_core()
        signal = core.Signal if hasattr(core, "Signal") else core.pyqtSignal

        class Calls(core.QObject):  # type: ignore[misc, name-defined]
            call = signal(object)

            def run(self, function: Callable[[], None]) -> None:
                try:
                    function()
                except Exception:
                    # PyQt aborts the process for what comes out of a slot.
                    sys.excepthook(*sys.exc_info())

        self._calls = Calls()
        # Queued even in its own thread.
        self._calls.call.connect(self._calls.run, core.Qt.ConnectionType.QueuedConnection)

    def call_soon_threadsafe(self, function: Callable[[], None]) -> None:
        self._calls.call.emit(function)


def qt_core() -> Any:
    """The module QtCore of the binding that the program has imported."""
    for name in QT:
        if (core := sys.modules.get(f"{name}.QtCore")) is not None:
            return core
    raise RuntimeError(f"no Qt is imported; import one of {', '.join(QT)} first")

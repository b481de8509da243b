"""Signal handlers of a loop that is a guest.

asyncio's `add_signal_handler` has the interpreter write signals to a descriptor of the loop's.
There is only one such *wakeup descriptor* in a process, and the host's loop may have lent its own:
taken away, the host would hear of no signal any more. So the host's stays where it is. The guest
hears of signals by functions that the interpreter calls, which is what the host is woken for.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeAlias

if sys.platform != "win32":
    if TYPE_CHECKING:
        from asyncio import AbstractEventLoop as _UnixSelectorEventLoop
    else:
        from asyncio.unix_events import _UnixSelectorEventLoop

    #: A ferrio.Loop, with what is asyncio's own in it.
    Loop: TypeAlias = Any

    NONE = -1

    class Received:
        """What the interpreter calls for a signal that the guest `loop` has a handler for."""

        def __init__(self, loop: Loop) -> None:
            self._loop = loop

        def __call__(self, signum: int, frame: FrameType | None) -> None:
            # Where the descriptor is the guest's, the loop reads the signal from it.
            if wakeup_fd() != own_fd(self._loop):
                self._loop._handle_signal(signum)

    def add(loop: Loop, sig: int, callback: Callable[..., object], *args: Any) -> None:
        """`loop.add_signal_handler` of a guest."""
        if threading.current_thread() is not threading.main_thread():
            # Refused, in asyncio's words.
            _UnixSelectorEventLoop.add_signal_handler(loop, sig, callback, *args)
            return
        before = wakeup_fd()
        try:
            _UnixSelectorEventLoop.add_signal_handler(loop, sig, callback, *args)
        finally:
            keep(before, loop)
        signal.signal(sig, Received(loop))
        # As asyncio does, and `signal.signal` undoes.
        signal.siginterrupt(sig, False)

    def remove(loop: Loop, sig: int) -> bool:
        """`loop.remove_signal_handler` of a guest, also at its end."""
        removed: bool
        if threading.current_thread() is not threading.main_thread():
            # There can be none.
            removed = _UnixSelectorEventLoop.remove_signal_handler(loop, sig)
            return removed
        before = wakeup_fd()
        try:
            removed = _UnixSelectorEventLoop.remove_signal_handler(loop, sig)
            return removed
        finally:
            keep(before, loop)

    def keep(before: int, loop: Loop) -> None:
        """Put the wakeup descriptor back if it is the host's."""
        if before not in (NONE, own_fd(loop)):
            signal.set_wakeup_fd(before, warn_on_full_buffer=False)

    def own_fd(loop: Loop) -> int:
        descriptor = loop._csock
        return NONE if descriptor is None else descriptor.fileno()

    def wakeup_fd() -> int:
        """The descriptor that signals are written to now, which can only be exchanged."""
        fd = signal.set_wakeup_fd(NONE)
        if fd != NONE:
            signal.set_wakeup_fd(fd, warn_on_full_buffer=False)
        return fd

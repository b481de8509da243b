"""Subprocesses: asyncio's own transport, whose child the loop waits for natively."""

from __future__ import annotations

import contextlib
import signal as signals
import sys
import threading
from asyncio import events, unix_events
from asyncio.unix_events import _UnixSubprocessTransport  # type: ignore[attr-defined]
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._ferrio import ChildWatch

__all__ = ["SubprocessTransport"]


class SubprocessTransport(_UnixSubprocessTransport):  # type: ignore[misc]
    """A child process and its pipes.

    Starting it, its pipes and the order of its callbacks are those of this version's asyncio. Its
    end comes from a descriptor that stands for the process, and so its signals go there: they
    reach it or nobody, never another process that was given its number.
    """

    _child: ChildWatch | None = None
    # asyncio's: who waits for the child, None once they were told.
    _exit_waiters: Any

    def watch(self) -> None:
        """Have the loop wait for the child."""
        pid: int = self.get_pid()
        try:
            self._child = self._loop._watch_child(pid, self._child_exited)
        except OSError:
            # Not Linux, an old one, a container that forbids it, or no descriptor to be had.
            watcher = watcher_of_the_program()
            if watcher is None:
                threads().add_child_handler(pid, self._thread_waited, self._loop)
                return
            with watcher:
                watcher.add_child_handler(pid, self._thread_waited, self._loop)

    async def _connect_pipes(self, waiter: Any) -> None:
        # Closed meanwhile, by whoever has given the child up: asyncio leaves open what it connects
        # after that, and up to 3.13 whoever waits for the child waits for its pipes, too.
        await super()._connect_pipes(waiter)
        if self._closed:
            for protocol in self._pipes.values():
                if protocol is not None:
                    protocol.pipe.close()

    def _child_exited(self, returncode: int | None) -> None:
        self._child = None
        if returncode is None:
            # Popen.poll() waits for a child that has ended, and keeps what it has found.
            returncode = self._proc.returncode
        if returncode is None:
            # asyncio's words and number.
            unix_events.logger.warning(  # type: ignore[attr-defined]
                "child process pid %d exit status already read:  will report returncode 255",
                self.get_pid(),
            )
            returncode = 255
        self._process_exited(returncode)

    def _process_exited(self, returncode: int) -> None:
        super()._process_exited(returncode)
        # As asyncio's of today (gh-119710): a grandchild may keep the pipes open for as long as it
        # likes, and up to 3.13 whoever waits for the child waits for them, too.
        for waiter in self._exit_waiters or ():
            if not waiter.done():
                waiter.set_result(returncode)
        self._exit_waiters = self._exit_waiters and []

    def _thread_waited(self, pid: int, returncode: int, loop: Any) -> None:
        # In the waiting thread, or wherever else the watcher is told.
        if events._get_running_loop() is loop:
            # Just reaped: from now on no signal may go to its number.
            self._process_exited(returncode)
        else:
            loop.call_soon_threadsafe(self._process_exited, returncode)

    def send_signal(self, signal: int) -> None:
        self._check_proc()
        if self._returncode is not None:
            return
        # Nowhere else is there a child that has a descriptor.
        if sys.platform != "linux" or self._child is None:
            super().send_signal(signal)
            return
        # What Popen would do.
        sys.audit("os.kill", self.get_pid(), signal)
        with contextlib.suppress(ProcessLookupError):
            signals.pidfd_send_signal(self._child.fileno(), signal)

    def terminate(self) -> None:
        self.send_signal(signals.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signals.SIGKILL)


def watcher_of_the_program() -> Any:
    """The watcher that the program has given to the policy (up to 3.13), None if there is none.

    One that waits for any child would take ours from the thread that waits for it.
    """
    found = getattr(getattr(events, "_event_loop_policy", None), "_watcher", None)
    if found is None or type(found).__name__ in DEFAULT_WATCHERS or not found.is_active():
        return None
    return found


DEFAULT_WATCHERS = ("PidfdChildWatcher", "ThreadedChildWatcher")

_threads: Any = None
_threads_lock = threading.Lock()


def threads() -> Any:
    """asyncio's watcher that has a thread wait for each child; one for all loops."""
    global _threads
    with _threads_lock:
        if _threads is None:
            name = "_ThreadedChildWatcher"  # its name since 3.14
            found = getattr(unix_events, name, None) or getattr(unix_events, name[1:])
            _threads = found()
        return _threads

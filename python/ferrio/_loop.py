"""``ferrio.Loop``: the native loop completed to an ``asyncio.AbstractEventLoop``."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import socket
import sys
import threading
import time
import warnings
import weakref
from asyncio import coroutines
from typing import TYPE_CHECKING, Any

from . import _socket_transport as _socket_transport  # on what asyncio has by now
from . import _tasks
from ._ferrio import BaseLoop, track_coroutine_origins
from ._sendfile import sendfile_fallback, sendfile_native
from ._serving import create_server
from ._tls import start_tls
from ._waiting import replaced_selector

if TYPE_CHECKING:
    # The same methods, with a `self` that this loop is.
    from asyncio import AbstractEventLoop as BaseEventLoop
    from asyncio import AbstractEventLoop as BaseSelectorEventLoop
    from asyncio import AbstractEventLoop as _UnixSelectorEventLoop
    from collections.abc import AsyncGenerator, Callable
    from concurrent.futures import ThreadPoolExecutor
    from typing import TypeVarTuple

    Ts = TypeVarTuple("Ts")
else:
    from asyncio.base_events import BaseEventLoop
    from asyncio.selector_events import BaseSelectorEventLoop

    if sys.platform != "win32":
        from asyncio.unix_events import _UnixSelectorEventLoop

if sys.platform != "win32":
    from ._sendfile import send_part
    from ._serving import create_unix_server
    from ._subprocess import SubprocessTransport

__all__ = ["Loop"]


class Loop(BaseLoop, asyncio.AbstractEventLoop):
    """An event loop for asyncio programs, written in Rust.

    It is used like any other loop of asyncio:

        asyncio.run(main(), loop_factory=ferrio.Loop)

    What runs for every callback, packet or connection is native. What runs a few times in a
    loop's life, and differs in its texts and in the order of its steps between versions of
    CPython, is the interpreter's own function: it sees this loop as one of asyncio's.

    Args:
        c_tasks: True has tasks and futures be `asyncio.Task` and `asyncio.Future` themselves
            instead of `ferrio.Task` and `ferrio.Future`, which inherit from them. None leaves it to
            `ferrio run --c-tasks` and to the environment variable FERRIO_C_TASKS.
        driver: What the loop waits for events with. "epoll" is the default on Linux. "portable"
            does without what Linux alone has (threads wait for child processes, for one): it is
            the default on other systems, and there to try a program as they would run it. None
            leaves it to the environment variable FERRIO_DRIVER, and to the system.

    Raises:
        ValueError: This system has no such driver.
    """

    # Where its users find it.
    __module__ = "ferrio"

    # Not in the instance's dictionary: as long as there is none, CPython specializes the look-up of
    # `loop.call_soon` and its like, a tenth of what such a call costs.
    __slots__ = (
        "_asyncgens",
        "_asyncgens_shutdown_called",
        "_clock_resolution",
        "_coroutine_origin_tracking_enabled",
        "_coroutine_origin_tracking_saved_depth",
        "_current_handle",
        "_default_executor",
        "_exception_handler",
        "_executor_shutdown_called",
        "_is_guest",
        "_signal_handlers",
        "_transports",
        "_unix_server_sockets",
        "slow_callback_duration",
    )

    slow_callback_duration: float
    """Debug mode logs callbacks that take longer than this, in seconds: 0.1 at first."""

    def __init__(self, *, c_tasks: bool | None = None, driver: str | None = None) -> None:
        super().__init__()
        if driver is not None and driver != self._driver:
            # `__new__` has seen the arguments of the subclass, and no other.
            raise TypeError(
                f"{type(self).__name__} was made with the driver {self._driver!r}, and its "
                f"__init__ asks for {driver!r}: give driver= to the class itself, or to its __new__"
            )
        self._c_tasks = _tasks.c_tasks if c_tasks is None else c_tasks
        self.slow_callback_duration = 0.1
        # The names are asyncio's (Lib/asyncio/base_events.py): its functions below use them, and
        # so do programs.
        self._exception_handler: Callable[[Any, dict[str, Any]], object] | None = None
        # Programs compare timers with it. No timer is early here, whatever it says.
        self._clock_resolution = time.get_clock_info("monotonic").resolution
        self._current_handle: asyncio.Handle | None = None
        self._default_executor: ThreadPoolExecutor | None = None
        self._executor_shutdown_called = False
        self._asyncgens: weakref.WeakSet[AsyncGenerator[Any, Any]] = weakref.WeakSet()
        self._asyncgens_shutdown_called = False
        self._signal_handlers: dict[int, asyncio.Handle] = {}
        # Is it made for a host (see guest.py)?
        self._is_guest = False
        # The inode of the file of each server's Unix socket, to be removed with it.
        self._unix_server_sockets: dict[socket.socket, int] = {}
        self._coroutine_origin_tracking_enabled = False
        self._coroutine_origin_tracking_saved_depth: int | None = None
        remember(self)
        if (selector := replaced_selector()) is not None:
            self._wait_by(selector)
        if type(self).time is not BaseLoop.time:
            self._ask_for_time()
        if coroutines._is_debug_mode():  # type: ignore[attr-defined]
            self.set_debug(True)

    if not TYPE_CHECKING:

        def __setattr__(self, name: str, value: object) -> None:
            if name == "time":
                self._ask_for_time()
            super().__setattr__(name, value)

    # Errors.
    set_exception_handler = BaseEventLoop.set_exception_handler
    get_exception_handler = BaseEventLoop.get_exception_handler
    default_exception_handler = BaseEventLoop.default_exception_handler
    call_exception_handler = BaseEventLoop.call_exception_handler

    # Debug mode.
    _check_callback = BaseEventLoop._check_callback  # type: ignore[attr-defined]

    def _set_coroutine_origin_tracking(self, enabled: bool) -> None:
        if enabled:
            track_coroutine_origins()
        BaseEventLoop._set_coroutine_origin_tracking(self, enabled)  # type: ignore[attr-defined]

    # Asynchronous generators.
    _asyncgen_firstiter_hook = BaseEventLoop._asyncgen_firstiter_hook  # type: ignore[attr-defined]
    _asyncgen_finalizer_hook = BaseEventLoop._asyncgen_finalizer_hook  # type: ignore[attr-defined]
    shutdown_asyncgens = BaseEventLoop.shutdown_asyncgens

    # The default executor.
    if hasattr(BaseEventLoop, "_check_default_executor"):
        _check_default_executor = BaseEventLoop._check_default_executor
    set_default_executor = BaseEventLoop.set_default_executor
    shutdown_default_executor = BaseEventLoop.shutdown_default_executor
    _do_shutdown = BaseEventLoop._do_shutdown  # type: ignore[attr-defined]

    def _write_to_self(self) -> None:
        """Wakes the loop, of whose queue another thread has put something without saying so."""
        # As asyncio's, of a closed loop too.
        with contextlib.suppress(RuntimeError):
            self.call_soon_threadsafe(int)

    # Signals: the native half lends the interpreter a pipe, found as self._csock.
    if sys.platform != "win32":

        def add_signal_handler(
            self, sig: int, callback: Callable[[*Ts], object], *args: *Ts
        ) -> None:
            """Have the loop call a function when the process receives a signal."""
            if self._is_guest:
                from . import _guest_signals

                _guest_signals.add(self, sig, callback, *args)
            else:
                _UnixSelectorEventLoop.add_signal_handler(self, sig, callback, *args)

        _check_signal = _UnixSelectorEventLoop._check_signal  # type: ignore[attr-defined]
        _handle_signal = _UnixSelectorEventLoop._handle_signal  # type: ignore[attr-defined]

        def remove_signal_handler(self, sig: int) -> bool:
            """Takes the handler of a signal away; True if there was one."""
            removed: bool
            if self._is_guest:
                from . import _guest_signals

                removed = _guest_signals.remove(self, sig)
            else:
                removed = _UnixSelectorEventLoop.remove_signal_handler(self, sig)
            self._wakeup_fd_changed()
            return removed

    else:
        # As asyncio's loops there: not implemented.
        add_signal_handler = asyncio.AbstractEventLoop.add_signal_handler
        remove_signal_handler = asyncio.AbstractEventLoop.remove_signal_handler

    # Names.
    _ensure_resolved = BaseEventLoop._ensure_resolved  # type: ignore[attr-defined]
    _getaddrinfo_debug = BaseEventLoop._getaddrinfo_debug  # type: ignore[attr-defined]

    # UDP: asyncio's function makes and binds the socket, the transport is native.
    create_datagram_endpoint = BaseEventLoop.create_datagram_endpoint

    # Sendfile. What asyncio calls for each part of a file needs a loop that watches descriptors.
    sendfile = BaseEventLoop.sendfile
    sock_sendfile = BaseEventLoop.sock_sendfile
    _check_sendfile_params = BaseEventLoop._check_sendfile_params  # type: ignore[attr-defined]
    _sock_sendfile_fallback = BaseEventLoop._sock_sendfile_fallback  # type: ignore[attr-defined]
    _sendfile_native = sendfile_native
    _sendfile_fallback = sendfile_fallback
    if sys.platform != "win32":
        _sock_sendfile_native = (
            _UnixSelectorEventLoop._sock_sendfile_native  # type: ignore[attr-defined]
        )
        _sock_sendfile_native_impl = send_part
        _sock_sendfile_update_filepos = (
            _UnixSelectorEventLoop._sock_sendfile_update_filepos  # type: ignore[attr-defined]
        )
        _sock_add_cancellation_callback = (
            _UnixSelectorEventLoop._sock_add_cancellation_callback  # type: ignore[attr-defined]
        )

    # Pipes: asyncio's functions make protocol and waiter, the transports are native.
    connect_read_pipe = BaseEventLoop.connect_read_pipe
    connect_write_pipe = BaseEventLoop.connect_write_pipe

    # Subprocesses: asyncio's functions check the arguments.
    subprocess_exec = BaseEventLoop.subprocess_exec
    subprocess_shell = BaseEventLoop.subprocess_shell
    _log_subprocess = BaseEventLoop._log_subprocess  # type: ignore[attr-defined]

    if sys.platform != "win32":

        async def _make_subprocess_transport(
            self,
            protocol: asyncio.BaseProtocol,
            args: Any,
            shell: bool,
            stdin: Any,
            stdout: Any,
            stderr: Any,
            bufsize: int,
            extra: dict[str, Any] | None = None,
            **kwargs: Any,
        ) -> SubprocessTransport:
            # As asyncio's, without the policy's watcher: whoever started the child waits for it.
            waiter = self.create_future()
            transport = SubprocessTransport(
                self,
                protocol,
                args,
                shell,
                stdin,
                stdout,
                stderr,
                bufsize,
                waiter=waiter,
                extra=extra,
                **kwargs,
            )
            transport.watch()
            try:
                await waiter
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException:
                transport.close()
                await transport._wait()
                raise
            return transport

    # Servers.
    _create_server_getaddrinfo = (
        BaseEventLoop._create_server_getaddrinfo  # type: ignore[attr-defined]
    )

    create_server = create_server

    # Unix sockets. asyncio's functions end in self._create_connection_transport(), as native as
    # the transport it makes.
    if sys.platform != "win32":
        create_unix_connection = _UnixSelectorEventLoop.create_unix_connection
        create_unix_server = create_unix_server

        def _stop_serving(self, sock: socket.socket) -> None:
            if sock not in self._unix_server_sockets:
                super()._stop_serving(sock)
                return
            from ._unix import stop_serving

            stop_serving(self._unix_server_sockets, sock, super()._stop_serving)

    # TLS. Beside a handshake, a task and a few calls of Python cost nothing.
    start_tls = start_tls
    _accept_connection2 = (
        BaseSelectorEventLoop._accept_connection2  # type: ignore[attr-defined]
    )

    def __repr__(self) -> str:
        return (
            f"<{self.__class__.__name__} running={self.is_running()} "
            f"closed={self.is_closed()} debug={self.get_debug()}>"
        )

    def __del__(self, _warn: Callable[..., None] = warnings.warn) -> None:
        if not hasattr(self, "_signal_handlers"):
            # Refused by `__init__`: nobody has had it.
            return
        if not self.is_closed():
            _warn(f"unclosed event loop {self!r}", ResourceWarning, source=self)
            if not self.is_running():
                self.close()


# What a forked child has to give up before it does anything else.
_open: weakref.WeakSet[Loop] = weakref.WeakSet()
_lock = threading.Lock()
_is_minded = False


def remember(loop: Loop) -> None:
    """Have forked children and the end of the interpreter know of this loop.

    Children begin with a copy of it that is no longer the parent's. The kernel's list of what a
    loop watches is shared after a fork; asyncio leaves it so, and a child that closes its copy of
    the loop, or a transport, takes the parent's events away.
    """
    global _is_minded
    with _lock:
        _open.add(loop)
        if not _is_minded:
            if hasattr(os, "register_at_fork"):
                os.register_at_fork(after_in_child=_after_fork)
            if sys.version_info < (3, 14):
                atexit.register(BaseLoop._before_exit)
            _is_minded = True


def _after_fork() -> None:
    global _lock
    # It may have been held by a thread that is not here.
    _lock = threading.Lock()
    for loop in list(_open):
        if not loop.is_closed():
            loop._after_fork()

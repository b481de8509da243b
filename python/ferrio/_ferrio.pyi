"""The native half of ferrio. Names without an underscore mean what they mean in asyncio."""

import socket
import sys
from asyncio import (
    BaseProtocol,
    BaseTransport,
    Handle,
    ReadTransport,
    TimerHandle,
    Transport,
    _AwaitableLike,
    _CoroutineLike,
)
from asyncio import (
    DatagramTransport as _DatagramTransport,
)
from asyncio import (
    Future as _Future,
)
from asyncio import (
    Task as _Task,
)
from asyncio.events import _TaskFactory
from collections.abc import Callable, Generator
from concurrent.futures import Executor
from contextvars import Context
from os import PathLike
from socket import _Address, _GetAddrInfoResult, _RetAddress
from ssl import SSLContext
from types import TracebackType
from typing import Any, Generic, Literal, Self, TypeVar, final, overload

from _typeshed import FileDescriptorLike, ReadableBuffer, WriteableBuffer
from typing_extensions import TypeVarTuple, disjoint_base

__all__ = [
    "BaseLoop",
    "BaseSSLProtocol",
    "BaseServer",
    "ChildWatch",
    "Coroutine",
    "DatagramTransport",
    "Future",
    "ReadPipeTransport",
    "SSLTransport",
    "StreamTransport",
    "Task",
    "WritePipeTransport",
    "__version__",
    "build_info",
    "die_after_shutdown",
    "report_uncaught",
    "run_file",
]

_T = TypeVar("_T")
_ProtocolT = TypeVar("_ProtocolT", bound=BaseProtocol)
_T_co = TypeVar("_T_co", covariant=True)
_Ts = TypeVarTuple("_Ts")

__version__: str

class Future(_Future[_T]):
    """An asyncio.Future that ferrio's loop makes and knows how to wake quickly."""

    def set_result(self, result: _T, /) -> None: ...

@disjoint_base
class Task(_Task[_T_co]):
    """An asyncio.Task that ferrio's loop steps itself."""

@disjoint_base
class BaseLoop:
    """What of `ferrio.Loop` runs for every callback, packet or connection.

    Not for use by itself: `ferrio.Loop` completes it to an `asyncio.AbstractEventLoop`.
    """

    def __new__(cls, *_args: object, **_kwargs: object) -> Self: ...

    # Lifecycle.
    def run_forever(self) -> None:
        """Run until `stop()` is called."""
    def run_until_complete(self, future: _AwaitableLike[_T]) -> _T:
        """Run until the future is done; return its result or raise its exception."""
    def stop(self) -> None:
        """Have `run_forever` return at the end of this turn."""
    def close(self) -> None:
        """Drop all callbacks and give every descriptor back. Nothing runs after this."""
    def is_running(self) -> bool: ...
    def is_closed(self) -> bool: ...

    # Scheduling.
    def call_soon(
        self,
        callback: Callable[[*_Ts], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> Handle:
        """Call `callback(*args)` in the next turn, after everything scheduled before it."""
    def call_soon_threadsafe(
        self,
        callback: Callable[[*_Ts], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> Handle:
        """`call_soon` from any thread, or from a signal handler; wakes the loop up."""
    def call_later(
        self,
        delay: float,
        callback: Callable[[*_Ts], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> TimerHandle:
        """Call `callback(*args)` after `delay` seconds, never earlier."""
    def call_at(
        self,
        when: float,
        callback: Callable[[*_Ts], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> TimerHandle:
        """Call `callback(*args)` at the time `when` of the loop's clock, never earlier."""
    def time(self) -> float:
        """The loop's clock: seconds, `time.monotonic()`."""

    # Tasks and futures.
    _c_tasks: bool
    def create_future(self) -> _Future[Any]: ...
    if sys.version_info >= (3, 13):
        def create_task(
            self,
            coro: _CoroutineLike[_T],
            *,
            name: str | None = None,
            context: Context | None = None,
            eager_start: bool | None = None,
        ) -> _Task[_T]:
            """A task that runs `coro`, made by the task factory if there is one."""
    else:
        def create_task(
            self,
            coro: _CoroutineLike[_T],
            *,
            name: str | None = None,
            context: Context | None = None,
        ) -> _Task[_T]:
            """A task that runs `coro`, made by the task factory if there is one."""

    def set_task_factory(self, factory: _TaskFactory | None) -> None: ...
    def get_task_factory(self) -> _TaskFactory | None: ...

    # Debug mode.
    def get_debug(self) -> bool: ...
    def set_debug(self, enabled: bool) -> None: ...

    # Threads.
    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*_Ts], _T], *args: *_Ts
    ) -> _Future[_T]:
        """Call `func(*args)` in a thread of `executor`, of the default one if that is None."""

    # Names.
    async def getaddrinfo(
        self,
        host: bytes | str | None,
        port: bytes | str | int | None,
        *,
        family: int = 0,
        type: int = 0,
        proto: int = 0,
        flags: int = 0,
    ) -> _GetAddrInfoResult:
        """`socket.getaddrinfo` in a thread of the loop's own; literals need none."""
    async def getnameinfo(
        self, sockaddr: tuple[str, int] | tuple[str, int, int, int], flags: int = 0
    ) -> tuple[str, str]:
        """`socket.getnameinfo` in a thread of the loop's own."""

    # Descriptors. What is ready and not dealt with is reported again in the next turn.
    def add_reader(
        self,
        fd: FileDescriptorLike,
        callback: Callable[[*_Ts], Any],
        *args: *_Ts,
    ) -> None: ...
    def remove_reader(self, fd: FileDescriptorLike) -> bool: ...
    def add_writer(
        self,
        fd: FileDescriptorLike,
        callback: Callable[[*_Ts], Any],
        *args: *_Ts,
    ) -> None: ...
    def remove_writer(self, fd: FileDescriptorLike) -> bool: ...

    # Sockets, non-blocking ones.
    async def sock_recv(self, sock: socket.socket, n: int) -> bytes:
        """Receive up to `n` bytes; b"" at the end of the stream."""
    async def sock_recv_into(self, sock: socket.socket, buf: WriteableBuffer) -> int: ...
    async def sock_recvfrom(
        self, sock: socket.socket, bufsize: int
    ) -> tuple[bytes, _RetAddress]: ...
    async def sock_recvfrom_into(
        self, sock: socket.socket, buf: WriteableBuffer, nbytes: int = 0
    ) -> tuple[int, _RetAddress]: ...
    async def sock_sendall(self, sock: socket.socket, data: ReadableBuffer) -> None: ...
    async def sock_sendto(
        self, sock: socket.socket, data: ReadableBuffer, address: _Address
    ) -> int: ...
    async def sock_connect(self, sock: socket.socket, address: _Address) -> None: ...
    def _wakeup_fd_changed(self) -> None:
        """Have a look at `signal.set_wakeup_fd` again."""
    def _stop_serving(self, sock: socket.socket) -> None:
        """Accept no more connections on a socket, and close it."""
    def _ask_for_time(self) -> None: ...
    @staticmethod
    def _before_exit() -> None: ...
    def _after_fork(self) -> None:
        """Give up what is shared with the loop of the parent process."""
    async def sock_accept(self, sock: socket.socket) -> tuple[socket.socket, _RetAddress]: ...

    # TCP.
    @overload
    async def create_connection(
        self,
        protocol_factory: Callable[[], _ProtocolT],
        host: str = ...,
        port: int = ...,
        *,
        ssl: bool | SSLContext | None = None,
        family: int = 0,
        proto: int = 0,
        flags: int = 0,
        sock: None = None,
        local_addr: tuple[str, int] | None = None,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        happy_eyeballs_delay: float | None = None,
        interleave: int | None = None,
        all_errors: bool = False,
    ) -> tuple[Transport, _ProtocolT]:
        """Connect to a host and port; the pair (transport, protocol)."""
    @overload
    async def create_connection(
        self,
        protocol_factory: Callable[[], _ProtocolT],
        host: None = None,
        port: None = None,
        *,
        ssl: bool | SSLContext | None = None,
        family: int = 0,
        proto: int = 0,
        flags: int = 0,
        sock: socket.socket,
        local_addr: None = None,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        happy_eyeballs_delay: float | None = None,
        interleave: int | None = None,
        all_errors: bool = False,
    ) -> tuple[Transport, _ProtocolT]: ...
    async def connect_accepted_socket(
        self,
        protocol_factory: Callable[[], _ProtocolT],
        sock: socket.socket,
        *,
        ssl: bool | SSLContext | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> tuple[Transport, _ProtocolT]:
        """Serve a connection that somebody else accepted; the pair (transport, protocol)."""

@disjoint_base
class BaseServer:
    """What of `ferrio.Server` runs for every connection."""

    def __new__(cls, *_args: object, **_kwargs: object) -> Self: ...
    def close_clients(self) -> None:
        """Close every connection, after its buffered data is sent."""
    def abort_clients(self) -> None:
        """Close every connection at once; buffered data is lost."""

@final
class StreamTransport(Transport):
    """A TCP connection."""

@final
class DatagramTransport(Transport, _DatagramTransport):
    """A UDP or Unix datagram socket."""

@final
class ReadPipeTransport(ReadTransport):
    """The reading end of a pipe."""

@final
class WritePipeTransport(Transport):
    """The writing end of a pipe."""

@final
class ChildWatch:
    """A child process whose end a loop waits for."""

    def fileno(self) -> int:
        """The descriptor that stands for the process."""

@final
class SSLTransport(Transport):
    """A TLS connection, over a transport of any kind."""

    def set_read_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the watermarks, in bytes, of what waits while reading is paused."""
    def get_read_buffer_limits(self) -> tuple[int, int]:
        """Return the watermarks: `(low, high)`."""
    def get_read_buffer_size(self) -> int:
        """Return how many bytes wait while reading is paused."""

@disjoint_base
class BaseSSLProtocol:
    """The native half of `ferrio.SSLProtocol`, which completes it to a `BufferedProtocol`."""

    def __new__(
        cls,
        loop: BaseLoop,
        app_protocol: BaseProtocol,
        sslcontext: SSLContext | None,
        waiter: _Future[None] | None,
        server_side: bool = False,
        server_hostname: str | None = None,
        call_connection_made: bool = True,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> Self: ...
    def connection_made(self, transport: BaseTransport) -> None: ...
    def connection_lost(self, exc: BaseException | None) -> None: ...
    def eof_received(self) -> bool: ...
    def get_buffer(self, n: int) -> memoryview: ...
    def buffer_updated(self, nbytes: int) -> None: ...
    def pause_writing(self) -> None: ...
    def resume_writing(self) -> None: ...

@final
class Coroutine(Generic[_T_co]):
    """What the coroutine methods of the loop return. Await it once, or give it to `create_task`."""

    def send(self, value: None, /) -> Any: ...
    def throw(
        self,
        typ: type[BaseException] | BaseException,
        val: BaseException | object = None,
        tb: TracebackType | None = None,
        /,
    ) -> Any: ...
    def close(self) -> None: ...
    def __await__(self) -> Generator[Any, None, _T_co]: ...
    def __next__(self) -> Any: ...
    __name__: str
    __qualname__: str
    @property
    def cr_running(self) -> bool: ...

def build_info() -> dict[str, str]:
    """What was fixed when this module was built, by name."""

def report_uncaught(exception: BaseException) -> None:
    """Report an exception that nobody caught, as the interpreter does."""

if sys.platform != "win32":
    def run_file(path: str | PathLike[str], globals: dict[str, Any]) -> None:
        """Run a source file in the namespace `globals`."""
    def die_after_shutdown(signum: int) -> None:
        """Have `signum` end this process, after the interpreter has shut down."""

# What ferrio.aio's classes are made of: asyncio's own without what only asyncio's have.

@disjoint_base
class Event:
    """A flag that tasks can wait for."""

    # A subclass may be made with anything, and passes nothing on to `__init__`.
    def __new__(cls, *args: object, **kwargs: object) -> Self: ...
    def is_set(self) -> bool:
        """True if the flag is set."""

    def set(self) -> None:
        """Sets the flag, and wakes all who wait for it."""

    def clear(self) -> None:
        """Takes the flag back: whoever waits from now on, waits until it is set again."""

    async def wait(self) -> Literal[True]:
        """Waits until the flag is set, and returns True; at once if it is."""

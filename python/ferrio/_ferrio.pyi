"""The native half of ferrio. Names without an underscore mean what they mean in asyncio."""

import socket
import sys
from asyncio import (
    AbstractEventLoop,
    BaseProtocol,
    BaseTransport,
    Handle,
    ReadTransport,
    TimerHandle,
    Transport,
    WriteTransport,
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
    Lock as _Lock,
)
from asyncio import (
    StreamReader as _StreamReader,
)
from asyncio import (
    Task as _Task,
)
from asyncio.events import _TaskFactory
from collections import deque
from collections.abc import Awaitable, Callable, Generator, Iterable, Sized
from collections.abc import Coroutine as AbcCoroutine
from concurrent.futures import Executor
from contextvars import Context
from os import PathLike
from selectors import BaseSelector
from socket import _Address, _GetAddrInfoResult, _RetAddress
from ssl import SSLContext
from types import CoroutineType, FrameType, GenericAlias, TracebackType
from typing import (
    Any,
    Generic,
    Literal,
    Protocol,
    Self,
    SupportsIndex,
    TypeVar,
    final,
    overload,
)

from _typeshed import FileDescriptorLike, ReadableBuffer, WriteableBuffer
from typing_extensions import TypeVarTuple, disjoint_base

__all__ = [
    "Barrier",
    "BaseLoop",
    "BaseSSLProtocol",
    "BaseServer",
    "BoundedSemaphore",
    "ChildWatch",
    "Condition",
    "Coroutine",
    "DatagramTransport",
    "Event",
    "Future",
    "LifoQueue",
    "Lock",
    "PriorityQueue",
    "Queue",
    "ReadPipeTransport",
    "SSLTransport",
    "Semaphore",
    "StreamReader",
    "StreamReaderProtocol",
    "StreamTransport",
    "StreamWriter",
    "Task",
    "TaskGroup",
    "Timeout",
    "WritePipeTransport",
    "_AsCompletedIterator",
    "__version__",
    "_adopt_gathering_future",
    "build_info",
    "die_after_shutdown",
    "gather",
    "report_uncaught",
    "run_file",
    "shield",
    "sleep",
    "step_coroutine",
    "timeout",
    "timeout_at",
    "track_coroutine_origins",
    "wait",
    "wait_for",
]

_T = TypeVar("_T")
_ProtocolT = TypeVar("_ProtocolT", bound=BaseProtocol)
_T_co = TypeVar("_T_co", covariant=True)
_Ts = TypeVarTuple("_Ts")

__version__: str

class Future(_Future[_T]):
    """An `asyncio.Future` whose waiters the loop puts straight onto its ready queue.

    What `loop.create_future()` makes. It keeps everything where `asyncio.Future` keeps it, so
    whatever takes one of those takes this one.
    """

    def set_result(self, result: _T, /) -> None:
        """Mark the future done, and schedule its callbacks and the tasks that wait for it.

        Raises:
            asyncio.InvalidStateError: The future is done already.
        """

@disjoint_base
class Task(_Task[_T_co]):
    """An `asyncio.Task` whose steps are items of the loop's ready queue, with no handle for each.

    What `loop.create_task()` makes. It keeps everything where `asyncio.Task` keeps it: `all_tasks`,
    `current_task`, `asyncio ps` and subclass checks know no difference.
    """

@disjoint_base
class BaseLoop:
    """What of `ferrio.Loop` runs for every callback, packet or connection.

    Not for use by itself: `ferrio.Loop` completes it to an `asyncio.AbstractEventLoop`.
    """

    def __new__(cls, *_args: object, **kwargs: object) -> Self: ...
    @property
    def _driver(self) -> str:
        """What it waits with: "epoll" or "portable"."""

    # asyncio's private names that programs read.
    @property
    def _scheduled(self) -> list[TimerHandle]: ...
    @property
    def _ready(self) -> deque[Handle]: ...

    # Lifecycle.
    def run_forever(self) -> None:
        """Run until `stop()` is called.

        KeyboardInterrupt and SystemExit come out of it, from whatever callback raised them.

        Raises:
            RuntimeError: The loop is closed or running, or another one runs in this thread.
        """
    def run_until_complete(self, future: _AwaitableLike[_T]) -> _T:
        """Run until the future is done; return its result or raise its exception.

        A coroutine becomes a task first.

        Raises:
            RuntimeError: The loop is closed or running, another one runs in this thread, or
                `stop()` was called before the future was done.
        """
    def stop(self) -> None:
        """Have `run_forever` return at the end of this turn.

        What is ready already still runs; what that schedules does not.
        """
    def close(self) -> None:
        """Drop all callbacks and give every descriptor back. Nothing runs after this.

        The default executor is told to end and not waited for. A second call does nothing.

        Raises:
            RuntimeError: The loop is running.
        """
    def is_running(self) -> bool:
        """Whether the loop runs, in whatever thread."""
    def is_closed(self) -> bool:
        """Whether `close()` was called."""

    # Scheduling.
    def call_soon(
        self,
        callback: Callable[[*_Ts], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> Handle:
        """Call `callback(*args)` in the next turn, after everything scheduled before it.

        It runs in `context`, or in the caller's context if that is None. Cancel it by
        the handle that is returned.

        Raises:
            RuntimeError: The loop is closed; in debug mode also if another thread calls this.
        """
    def call_soon_threadsafe(
        self,
        callback: Callable[[*_Ts], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> Handle:
        """`call_soon` from any thread, or from a signal handler; wakes the loop up.

        The calls of one thread keep their order.

        Raises:
            RuntimeError: The loop is closed.
        """
    def call_later(
        self,
        delay: float,
        callback: Callable[[*_Ts], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> TimerHandle:
        """Call `callback(*args)` after `delay` seconds, never earlier.

        Callbacks of equal deadlines run in the order in which they were scheduled. The resolution
        is a microsecond where the kernel has `epoll_pwait2`, and a millisecond elsewhere. The
        handle that is returned cancels it, and frees what it holds at once.

        Raises:
            RuntimeError: The loop is closed; in debug mode also if another thread calls this.
            TypeError: `delay` is None.
        """
    def call_at(
        self,
        when: float,
        callback: Callable[[*_Ts], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> TimerHandle:
        """Call `callback(*args)` at the time `when` of the loop's clock, in seconds, never earlier.

        Else as `call_later`.
        """
    def time(self) -> float:
        """The loop's clock: seconds, as `time.monotonic()`.

        A subclass or an instance may have another one; timers then go by that.
        """

    # Tasks and futures.
    _c_tasks: bool
    def create_future(self) -> _Future[Any]:
        """A future of this loop: a `ferrio.Future`, an `asyncio.Future` with `c_tasks=True`."""
    if sys.version_info >= (3, 13):
        def create_task(
            self,
            coro: _CoroutineLike[_T],
            *,
            name: str | None = None,
            context: Context | None = None,
            eager_start: bool | None = None,
        ) -> _Task[_T]:
            """A task that runs `coro`, beginning in the next turn.

            It is what the task factory makes, if there is one; else a `ferrio.Task`, or an
            `asyncio.Task` with `c_tasks=True`. The loop does not keep it alive while it waits.

            Raises:
                RuntimeError: The loop is closed.
                TypeError: `coro` is no coroutine.
            """
    else:
        def create_task(
            self,
            coro: _CoroutineLike[_T],
            *,
            name: str | None = None,
            context: Context | None = None,
        ) -> _Task[_T]:
            """A task that runs `coro`, beginning in the next turn.

            It is what the task factory makes, if there is one; else a `ferrio.Task`, or an
            `asyncio.Task` with `c_tasks=True`. The loop does not keep it alive while it waits.

            Raises:
                RuntimeError: The loop is closed.
                TypeError: `coro` is no coroutine.
            """

    def set_task_factory(self, factory: _TaskFactory | None) -> None:
        """Have `factory(loop, coro, **kwargs)` make the tasks; None for the loop's own way.

        Raises:
            TypeError: `factory` is neither callable nor None.
        """
    def get_task_factory(self) -> _TaskFactory | None:
        """What `set_task_factory` was given; None for the default."""

    # Debug mode.
    def get_debug(self) -> bool:
        """Whether debug mode is on: at first by `-X dev` and `PYTHONASYNCIODEBUG`."""
    def set_debug(self, enabled: bool) -> None:
        """Turn debug mode on or off, from the next callback on."""

    # Threads.
    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*_Ts], _T], *args: *_Ts
    ) -> _Future[_T]:
        """Call `func(*args)` in `executor`, or in a thread of the default one if that is None.

        The future that is returned gets the result or the exception. Cancelling it does not stop a
        call that has begun.

        Raises:
            RuntimeError: The loop is closed, or the default executor was shut down.
        """

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
        """`socket.getaddrinfo` in a thread of the loop's own; literal addresses need none.

        A list of tuples `(family, type, proto, canonname, address)`. A full default executor does
        not hold it up.

        Raises:
            socket.gaierror: The name or the service is not known, or nobody could be asked.
        """
    async def getnameinfo(
        self, sockaddr: tuple[str, int] | tuple[str, int, int, int], flags: int = 0
    ) -> tuple[str, str]:
        """`socket.getnameinfo` in a thread of the loop's own: the pair `(host, service)`.

        Raises:
            socket.gaierror: There is no name, and `flags` has NI_NAMEREQD.
        """

    # Descriptors. What is ready and not dealt with is reported again in the next turn.
    def add_reader(
        self,
        fd: FileDescriptorLike,
        callback: Callable[[*_Ts], Any],
        *args: *_Ts,
    ) -> None:
        """Call `callback(*args)` in each turn in which `fd` is ready to be read from.

        Takes the place of an earlier reader of the same descriptor. Level-triggered: what is left
        unread is reported again.

        Raises:
            RuntimeError: The loop is closed, or a transport uses the descriptor.
            OSError: It cannot be watched, as regular files cannot (EPERM).
        """
    def remove_reader(self, fd: FileDescriptorLike) -> bool:
        """Stop watching `fd` for reading. Whether there was a reader."""
    def add_writer(
        self,
        fd: FileDescriptorLike,
        callback: Callable[[*_Ts], Any],
        *args: *_Ts,
    ) -> None:
        """Call `callback(*args)` in each turn in which `fd` has room to be written to.

        Else as `add_reader`.
        """
    def remove_writer(self, fd: FileDescriptorLike) -> bool:
        """Stop watching `fd` for writing. Whether there was a writer."""

    # Sockets, non-blocking ones.
    async def sock_recv(self, sock: socket.socket, n: int) -> bytes:
        """Receive up to `n` bytes; b"" at the end of the stream.

        Here as in all of `sock_*` the socket has to be non-blocking; debug mode checks it.

        Raises:
            ValueError: Debug mode is on and the socket blocks.
            OSError: What the system call failed with.
        """
    async def sock_recv_into(self, sock: socket.socket, buf: WriteableBuffer) -> int:
        """Receive into `buf`; the number of bytes, 0 at the end of the stream."""
    async def sock_recvfrom(self, sock: socket.socket, bufsize: int) -> tuple[bytes, _RetAddress]:
        """Receive a datagram of up to `bufsize` bytes: the pair `(data, address)`.

        What does not fit is lost.
        """
    async def sock_recvfrom_into(
        self, sock: socket.socket, buf: WriteableBuffer, nbytes: int = 0
    ) -> tuple[int, _RetAddress]:
        """Receive a datagram into `buf`: the pair `(number of bytes, address)`.

        At most `nbytes` bytes, or as many as `buf` takes if that is 0.
        """
    async def sock_sendall(self, sock: socket.socket, data: ReadableBuffer) -> None:
        """Send all of `data`.

        If it is cancelled or fails, there is no telling how much was sent.
        """
    async def sock_sendto(
        self, sock: socket.socket, data: ReadableBuffer, address: _Address
    ) -> int:
        """Send a datagram to `address`; the number of bytes sent."""
    async def sock_connect(self, sock: socket.socket, address: _Address) -> None:
        """Connect `sock` to `address`, whose host may be a name."""
    def _wakeup_fd_changed(self) -> None:
        """Have a look at `signal.set_wakeup_fd` again."""
    def _stop_serving(self, sock: socket.socket) -> None:
        """Accept no more connections on a socket, and close it."""
    def _ask_for_time(self) -> None: ...
    def _block(self) -> None:
        """Block, where `run_forever` has called a function for that."""
    def _wait_by(self, selector: BaseSelector) -> None:
        """Have the loop wait by way of this selector, which becomes the loop's."""
    def _begin_guest(self) -> None:
        """Run from now on, in turns of this thread: see `ferrio.guest`."""
    def _guest_turn(self) -> bool:
        """Run a turn that does not wait; True if there is to be another one at once."""
    def _guest_wait(self) -> None:
        """Block, in whatever thread, until there is something for a turn to do."""
    def _end_guest(self) -> None: ...
    @staticmethod
    def _before_exit() -> None: ...
    def _after_fork(self) -> None:
        """Give up what is shared with the loop of the parent process."""
    async def sock_accept(self, sock: socket.socket) -> tuple[socket.socket, _RetAddress]:
        """Accept a connection: the pair `(connection, address)`, the connection non-blocking."""

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
        """Connect to a host and port, or use `sock`; the pair `(transport, protocol)`.

        The addresses of a host are tried one after the other; with `happy_eyeballs_delay`, in
        seconds, the next one begins while the one before is still under way. With `ssl` it returns
        after the handshake. Timeouts are in seconds.

        Raises:
            OSError: No address could be connected to; the texts of all of them are in it.
            ExceptionGroup: The same with `all_errors=True`: each exception by itself.
            ssl.SSLError: The handshake failed.
            ValueError: The arguments contradict each other.
        """
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
        """Serve a connection that somebody else accepted; the pair `(transport, protocol)`.

        The transport closes `sock`. Timeouts are in seconds.
        """

@disjoint_base
class BaseServer:
    """What of `ferrio.Server` runs for every connection."""

    def __new__(cls, *_args: object, **_kwargs: object) -> Self: ...
    def close_clients(self) -> None:
        """Call `close()` of every connection: it ends when its buffered data is sent."""
    def abort_clients(self) -> None:
        """Call `abort()` of every connection: it ends at once, buffered data is lost."""

@final
class StreamTransport(Transport):
    """A connection over TCP or a Unix socket.

    The kernel has what was written when `write` returns. What it has no room for waits: `bytes`
    where they are, anything mutable as a copy. The watermarks are asyncio's: 64 KiB and 16 KiB
    unless set otherwise.
    """

@final
class DatagramTransport(Transport, _DatagramTransport):
    """A UDP or Unix datagram socket.

    `sendto` sends at once where nothing waits before it.
    """

@final
class ReadPipeTransport(ReadTransport):
    """The reading end of a pipe, or what else `connect_read_pipe` takes: a socket, a terminal."""

@final
class WritePipeTransport(Transport):
    """The writing end of a pipe, or what else `connect_write_pipe` takes: a socket, a terminal."""

@final
class ChildWatch:
    """A child process whose end a loop waits for: on Linux by a pidfd."""

    def fileno(self) -> int:
        """The descriptor that stands for the process."""

@final
class SSLTransport(Transport):
    """A TLS connection, over a transport of any kind.

    What `ssl=` and `start_tls` give. Records are OpenSSL's, made by the program's `ssl.SSLContext`;
    `get_extra_info("ssl_object")` is the `ssl.SSLObject`.
    """

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
    """What the coroutine methods of the loop return. Await it once, or give it to `create_task`.

    It passes for one of Python's own: `isinstance(coroutine, types.CoroutineType)` is True. There
    is no Python code in it, so `cr_code` and `cr_await` are None.
    """

    def send(self, value: None, /) -> Any: ...
    @property
    def cr_origin(self) -> tuple[tuple[str, int, str], ...] | None:
        """Where it was made, if origins are tracked: (file, line, function), innermost first."""

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
    @property
    def cr_suspended(self) -> bool: ...
    if sys.version_info >= (3, 15):
        @property
        def cr_state(self) -> str:
            """What `inspect.getcoroutinestate` answers."""

    @property
    def cr_frame(self) -> FrameType | None:
        """A frame that shows the name; None once the coroutine has finished."""

    @property
    def cr_code(self) -> None: ...
    @property
    def cr_await(self) -> None: ...

def build_info() -> dict[str, str]:
    """What was fixed when this module was built, by name: profile, target, compiler, drivers."""

def track_coroutine_origins() -> None:
    """From now on coroutines ask how deep their origin is to be tracked (`cr_origin`)."""

def step_coroutine(
    coroutine: AbcCoroutine[Any, Any, Any], value: object, error: BaseException | None
) -> tuple[bool, Any]:
    """Step a native coroutine: whether it has ended, and what it returns or waits for."""

def report_uncaught(exception: BaseException) -> None:
    """Report an exception that nobody caught, as the interpreter does: by `sys.excepthook`."""

if sys.platform != "win32":
    def run_file(path: str | PathLike[str], globals: dict[str, Any]) -> None:
        """Run a source file in the namespace `globals`, as the interpreter runs its main program.

        Raises whatever the program raises, SystemExit included.
        """
    def die_after_shutdown(signum: int) -> None:
        """Have `signum` end this process, after exit handlers have run and output is written."""

# What ferrio.aio's classes are made of: asyncio's own without what only asyncio's have.

@disjoint_base
class Event:
    """A flag that tasks can wait for."""

    # A subclass may be made with anything, and passes nothing on to `__init__`.
    def __new__(cls, *args: object, **kwargs: object) -> Self: ...
    def __init__(self) -> None: ...
    def is_set(self) -> bool:
        """True if the flag is set."""

    def set(self) -> None:
        """Sets the flag, and wakes all who wait for it."""

    def clear(self) -> None:
        """Takes the flag back: whoever waits from now on, waits until it is set again."""

    async def wait(self) -> Literal[True]:
        """Waits until the flag is set, and returns True; at once if it is."""

@disjoint_base
class Lock:
    """What one task at a time can have."""

    def __new__(cls, *args: object, **kwargs: object) -> Self: ...
    def __init__(self) -> None: ...
    def locked(self) -> bool:
        """True if somebody has the lock."""

    async def acquire(self) -> Literal[True]:
        """Waits until the lock is free, takes it and returns True."""

    def release(self) -> None:
        """Gives the lock back, and wakes the first who waits for it.

        RuntimeError if nobody has it.
        """

    async def __aenter__(self) -> None: ...
    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None: ...

@disjoint_base
class Condition:
    """A lock whose holder can wait until another tells it of something."""

    def __new__(cls, *args: object, **kwargs: object) -> Self: ...
    def __init__(self, lock: _Lock | None = None) -> None: ...
    locked: Callable[[], bool]
    """The lock's `locked`."""
    acquire: Callable[[], AbcCoroutine[Any, Any, Literal[True]]]
    """The lock's `acquire`."""
    release: Callable[[], None]
    """The lock's `release`."""

    async def wait(self) -> Literal[True]:
        """Gives the lock back, waits until notified, takes the lock again and returns True.

        RuntimeError if nobody has the lock. It may return without a notification.
        """

    async def wait_for(self, predicate: Callable[[], _T]) -> _T:
        """Waits until `predicate()` is true, and returns what it returned."""

    def notify(self, n: int = 1) -> None:
        """Wakes up to `n` of those who wait. RuntimeError if nobody has the lock."""

    def notify_all(self) -> None:
        """Wakes all who wait. RuntimeError if nobody has the lock."""

    async def __aenter__(self) -> None: ...
    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None: ...

@disjoint_base
class Semaphore:
    """What so many tasks at a time can have."""

    def __new__(cls, *args: object, **kwargs: object) -> Self: ...
    def __init__(self, value: int = 1) -> None: ...
    def locked(self) -> bool:
        """True if it cannot be acquired at once: all have been given out, or others come first."""

    async def acquire(self) -> Literal[True]:
        """Waits until fewer have it than can, and until all who came before have it."""

    def release(self) -> None:
        """Gives one back, and wakes the first who waits for one."""

    async def __aenter__(self) -> None: ...
    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None: ...

class BoundedSemaphore(Semaphore):
    """One that cannot be released more often than it was acquired."""

    def __new__(cls, *args: object, **kwargs: object) -> Self: ...

@disjoint_base
class Barrier:
    """Where so many tasks wait for each other, and then go on together."""

    def __new__(cls, *args: object, **kwargs: object) -> Self: ...
    def __init__(self, parties: int) -> None: ...
    async def wait(self) -> int:
        """Waits until as many wait as the barrier is for; returns a number from 0 on.

        BrokenBarrierError if the barrier is or gets broken, or is reset meanwhile.
        """

    async def reset(self) -> None:
        """Makes it as it was at first; those who wait get BrokenBarrierError."""

    async def abort(self) -> None:
        """Breaks it: whoever waits now or later gets BrokenBarrierError."""

    @property
    def parties(self) -> int:
        """How many tasks it waits for."""

    @property
    def n_waiting(self) -> int:
        """How many tasks wait now for the others to come."""

    @property
    def broken(self) -> bool:
        """True if it has been aborted."""

    async def __aenter__(self) -> int: ...
    async def __aexit__(self, *args: object) -> None: ...

@disjoint_base
class Queue(Generic[_T]):
    """What tasks hand things to each other through: what was put in first comes out first."""

    def __new__(cls, *args: object, **kwargs: object) -> Self: ...
    def __init__(self, maxsize: int = 0) -> None: ...
    def __class_getitem__(cls, key: Any) -> GenericAlias: ...
    def qsize(self) -> int:
        """How many items there are."""

    @property
    def maxsize(self) -> int:
        """How many items there may be; zero or less: any number."""

    def empty(self) -> bool:
        """True if there is no item."""

    def full(self) -> bool:
        """True if there are as many items as there may be."""

    async def put(self, item: _T) -> None:
        """Waits until there is room, and puts an item in. QueueShutDown after shutdown()."""

    def put_nowait(self, item: _T) -> None:
        """Puts an item in. QueueFull if there is no room; QueueShutDown after shutdown()."""

    async def get(self) -> _T:
        """Waits until there is an item, takes it out and returns it.

        QueueShutDown if there is none and will be none.
        """

    def get_nowait(self) -> _T:
        """Takes the next item out and returns it.

        QueueEmpty if there is none; QueueShutDown if there will be none either.
        """

    async def join(self) -> None:
        """Waits until task_done() has been called for every item that was put in."""

    def task_done(self) -> None:
        """Says that an item that was taken out has been dealt with.

        ValueError if that was said of all that were put in.
        """

    if sys.version_info >= (3, 13):
        def shutdown(self, immediate: bool = False) -> None:
            """From now on `put` raises QueueShutDown, and `get` too once the queue is empty.

            With `immediate` it is emptied at once, and what was in it counts as done.
            """

class PriorityQueue(Queue[_T]):
    """A queue out of which the lowest comes first."""

    def __new__(cls, maxsize: int = 0) -> Self: ...

class LifoQueue(Queue[_T]):
    """A queue out of which comes first what was put in last."""

    def __new__(cls, maxsize: int = 0) -> Self: ...

# What ferrio.aio's functions over tasks are.

@overload
async def sleep(delay: float) -> None:
    """Coroutine that completes after a given time (in seconds)."""

@overload
async def sleep(delay: float, result: _T) -> _T: ...
async def wait(
    fs: Iterable[_Future[_T]], *, timeout: float | None = None, return_when: str = "ALL_COMPLETED"
) -> tuple[set[_Future[_T]], set[_Future[_T]]]:
    """Wait for the futures; returns those that are done and those that are pending."""

async def wait_for(fut: Awaitable[_T], timeout: float | None) -> _T:
    """The result of the awaitable, or TimeoutError after so many seconds."""

def gather(
    *coros_or_futures: Awaitable[Any], return_exceptions: bool = False
) -> _Future[list[Any]]:
    """Return a future aggregating results from the given coroutines/futures."""

def shield(arg: Awaitable[_T]) -> _Future[_T]:
    """Wait for a future, shielding it from cancellation."""

def _adopt_gathering_future(gathering: type[Future[Any]]) -> None:
    """Takes the class of what `gather` returns, with `_children` and `_cancel_requested`."""

@final
class _AsCompletedIterator:
    """The futures of `aws`, in the order in which they are done."""

    def __new__(cls, aws: Iterable[Awaitable[Any]], timeout: float | None) -> Self: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> CoroutineType[Any, Any, Any]: ...
    def __aiter__(self) -> Self: ...
    async def __anext__(self) -> _Future[Any]: ...
    def __len__(self) -> int: ...

def timeout(delay: float | None) -> Timeout:
    """A timeout so many seconds from now."""

def timeout_at(when: float | None) -> Timeout:
    """A timeout at this time of the loop's clock."""

@disjoint_base
class Timeout:
    """Asynchronous context manager for cancelling overdue coroutines."""

    def __new__(cls, *args: object, **kwargs: object) -> Self: ...
    def __init__(self, when: float | None) -> None: ...
    def when(self) -> float | None:
        """The deadline, in the time of the loop's clock."""

    def reschedule(self, when: float | None) -> None:
        """Sets another deadline; only between enter and exit."""

    def expired(self) -> bool:
        """Has the time been over within?"""

    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None: ...

@disjoint_base
class TaskGroup:
    """Asynchronous context manager for managing groups of tasks."""

    def __new__(cls, *args: object, **kwargs: object) -> Self: ...
    def __init__(self) -> None: ...
    def create_task(self, coro: _CoroutineLike[_T], **kwargs: Any) -> _Task[_T]:
        """Create a new task in this group and return it."""

    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self,
        et: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> Literal[True] | None: ...

class _Separator(ReadableBuffer, Sized, Protocol): ...

@disjoint_base
class StreamReader:
    """Bytes that come from a transport, for coroutines that wait for them."""

    # As of Event.
    def __new__(cls, *args: object, **kwargs: object) -> Self: ...
    def __init__(self, limit: int = 65536, loop: AbstractEventLoop | None = None) -> None: ...
    def exception(self) -> Exception | None:
        """The exception that all reading ends with, None if there is none."""

    def set_exception(self, exc: Exception) -> None:
        """Has all reading end with this exception; who waits gets it at once."""

    def set_transport(self, transport: BaseTransport) -> None:
        """Says where the bytes come from; once."""

    def feed_eof(self) -> None:
        """No more bytes will come."""

    def feed_data(self, data: Iterable[SupportsIndex]) -> None:
        """Bytes have come."""

    def at_eof(self) -> bool:
        """True if no more bytes will come and all were read."""

    async def read(self, n: int = -1) -> bytes:
        """Reads at most n bytes, as soon as there are any; b'' at the end.

        With a negative n, all bytes until the end."""

    async def readexactly(self, n: int) -> bytes:
        """Reads exactly n bytes.

        Raises IncompleteReadError, with what there was, if the stream ends before."""

    async def readline(self) -> bytes:
        """Reads a line, with its newline; what is left at the end of the stream, b'' if nothing is.

        Raises ValueError if it is longer than the limit, and drops it."""

    if sys.version_info >= (3, 13):
        async def readuntil(self, separator: _Separator | tuple[_Separator, ...] = b"\n") -> bytes:
            """Reads up to and with the first of a tuple of separators, or the only one.

            Raises IncompleteReadError, with what there was, if the stream ends before, and
            LimitOverrunError if there are more bytes before it than the limit."""
    else:
        async def readuntil(self, separator: _Separator = b"\n") -> bytes:
            """Reads up to and with a separator.

            Raises IncompleteReadError, with what there was, if the stream ends before, and
            LimitOverrunError if there are more bytes before it than the limit."""

    def __aiter__(self) -> Self: ...
    async def __anext__(self) -> bytes: ...
    def __setattr__(self, name: str, value: Any, /) -> None: ...
    def __delattr__(self, name: str, /) -> None: ...

@disjoint_base
class StreamWriter:
    """Bytes for a transport, and coroutines that wait until they are on their way."""

    # As of Event.
    def __new__(cls, *args: object, **kwargs: object) -> Self: ...
    def __init__(
        self,
        transport: WriteTransport,
        protocol: BaseProtocol,
        reader: _StreamReader | None,
        loop: AbstractEventLoop,
    ) -> None: ...
    @property
    def transport(self) -> WriteTransport:
        """The transport."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Sends bytes, without waiting: see `drain`."""

    def writelines(self, data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Sends each of an iterable of bytes."""

    def write_eof(self) -> None:
        """Ends the sending side once all is sent."""

    def can_write_eof(self) -> bool:
        """Whether the transport can do that."""

    def close(self) -> None:
        """Closes the transport once all is sent: see `wait_closed`."""

    def is_closing(self) -> bool:
        """True once it was closed or lost."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What the transport knows under this name."""

    async def drain(self) -> None:
        """Waits until it is appropriate to write on.

        Raises the reader's exception, if it has one, and ConnectionResetError if the connection is
        lost."""

    async def wait_closed(self) -> None:
        """Waits until the connection is closed; raises what it was lost by."""

@disjoint_base
class StreamReaderProtocol:
    """Gives a reader what a transport has received, and tells writers when to wait."""

    # As of Event.
    def __new__(cls, *args: object, **kwargs: object) -> Self: ...
    def data_received(self, data: bytes) -> None:
        """Gives the reader what was received."""

    def eof_received(self) -> bool:
        """Tells the reader. Over TLS, the connection is closed then."""

    def __setattr__(self, name: str, value: Any, /) -> None: ...
    def __delattr__(self, name: str, /) -> None: ...

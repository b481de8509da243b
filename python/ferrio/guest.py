"""A loop as a guest of another one: asyncio in a program whose thread belongs to Tk or Qt.

    run = ferrio.guest.start(main(), call_soon_threadsafe=host.call_soon_threadsafe)

`main` runs in the host's own thread, turn by turn, between the host's events. While there is
nothing to do, a thread of ferrio's waits for what comes next, without the GIL, and then asks the
host for a turn. So nothing is polled, and `main` may use the window's objects as the window does.

    start_in_tk(main(), root)    the same in tkinter
    start_in_qt(main())          in PySide6, PyQt6, PySide2 or PyQt5
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import contextvars
import inspect
import logging
import os
import signal
import sys
import threading
from asyncio import constants
from asyncio import tasks as asyncio_tasks
from collections.abc import Awaitable, Callable
from types import FrameType, TracebackType
from typing import Any, Generic, Self, TypeAlias, TypeVar

from ._hosts import HostEndedError, QtHost, TkHost
from ._loop import Loop
from ._runner import new_event_loop

__all__ = ["Run", "start", "start_in_qt", "start_in_tk"]

T = TypeVar("T")

#: What a host does with a function: it calls it later, in its own thread.
CallSoon: TypeAlias = Callable[[Callable[[], None]], object]

logger = logging.getLogger("ferrio")

#: Exchanges a thread's current task, which from 3.14 on is one for all of its loops. Before that
#: each loop has its own; and in 3.12 the function fails where there is none.
swap_current_task: Callable[[Any, Any], Any] | None = (
    getattr(asyncio_tasks, "_swap_current_task", None) if sys.version_info >= (3, 14) else None
)


def start(
    main: Awaitable[T],
    *,
    call_soon_threadsafe: CallSoon,
    call_soon: CallSoon | None = None,
    done: Callable[[Run[T]], object] | None = None,
    debug: bool | None = None,
    loop_factory: Callable[[], Loop] | None = None,
    handle_sigint: bool = True,
) -> Run[T]:
    """Start `main` on a new ferrio loop, as a guest of the loop that this thread belongs to.

    Returns at once. The host runs the guest's turns in this thread. Inside of them
    `asyncio.get_running_loop()` is the guest's loop, outside it is what it is without a guest. The
    host's own code may use the loop between turns: `task.cancel()`, `queue.put_nowait(...)`,
    `run.loop.create_task(...)`.

    When `main` has ended, what is left is ended as by `asyncio.run`: tasks are cancelled,
    asynchronous generators and the default executor are shut down, the loop is closed. Then `done`
    is called.

    The host may end first, as a window does that is closed. For that, run it in a `with` block:

        with ferrio.guest.start(main(), call_soon_threadsafe=...) as run:
            host.run()

    Args:
        main: A coroutine, or anything else that can be awaited.
        call_soon_threadsafe: Takes a function and has the host call it once, soon, in the thread in
            which `start` was called. It is called in other threads, too, and must not call the
            function itself. Such are `loop.call_soon_threadsafe` of asyncio, `GLib.idle_add` and
            `wx.CallAfter`.
        call_soon: The same for calls out of the host's own thread, if the host has something
            quicker or fairer for that; `call_soon_threadsafe` if it is None.
        done: Called by the host when all is over; `run.result()` tells what has come of it. Not
            called where `run.finish()` or `with` has run on without the host.
        debug: As for `ferrio.run`.
        loop_factory: Makes the loop; `ferrio.new_event_loop` if it is None.
        handle_sigint: In the main thread, and if nobody else handles it, have Ctrl-C cancel `main`,
            and `run.result()` raise KeyboardInterrupt. The second Ctrl-C interrupts the host.

    Raises:
        TypeError: `main` cannot be awaited, a function is none, or the loop is not ferrio's.
        RuntimeError: The loop cannot be a guest.
    """
    if not inspect.isawaitable(main):
        raise TypeError(f"a coroutine or an awaitable is needed, got {main!r}")
    for name, function in (("call_soon_threadsafe", call_soon_threadsafe), ("done", done)):
        if not callable(function) and not (name == "done" and function is None):
            raise TypeError(f"{name} must be a function, got {function!r}")
    loop = (loop_factory or new_event_loop)()
    if not isinstance(loop, Loop):
        loop.close()
        raise TypeError(f"only a ferrio.Loop can be a guest, got {loop!r}")
    if debug is not None:
        loop.set_debug(debug)
    try:
        loop._begin_guest()
    except BaseException:
        loop.close()
        raise
    loop._is_guest = True
    run = Run(main, loop, call_soon_threadsafe, call_soon or call_soon_threadsafe, done)
    run._start(handle_sigint)
    return run


def start_in_tk(main: Awaitable[T], root: Any, **options: Any) -> Run[T]:
    """Start `main` as a guest of tkinter's main loop.

        root = tkinter.Tk()
        with ferrio.guest.start_in_tk(main(), root, done=lambda run: root.destroy()):
            root.mainloop()

    It may be called before `root.mainloop()`. A `done` that raises is reported by
    `root.report_callback_exception`, as any callback of Tk's.

    Args:
        main: As for `start`.
        root: The `tkinter.Tk`, or any other widget of it.
        **options: Those of `start`: `done`, `debug`, `loop_factory`, `handle_sigint`.
    """
    host = TkHost(root)
    try:
        run = start(
            main,
            call_soon_threadsafe=host.call_soon_threadsafe,
            call_soon=host.call_soon,
            **options,
        )
    except BaseException:
        host.close()
        raise
    run._leave_host = host.close
    return run


def start_in_qt(main: Awaitable[T], **options: Any) -> Run[T]:
    """Start `main` as a guest of Qt's event loop.

        app = QApplication([])
        with ferrio.guest.start_in_qt(main(), done=lambda run: app.quit()):
            app.exec()

    It may be called before `app.exec()`, and after a QApplication was made. A `done` that raises is
    reported by `sys.excepthook`.

    Args:
        main: As for `start`.
        **options: Those of `start`: `done`, `debug`, `loop_factory`, `handle_sigint`.

    Raises:
        RuntimeError: None of PySide6, PyQt6, PySide2 and PyQt5 is imported.
    """
    return start(main, call_soon_threadsafe=QtHost().call_soon_threadsafe, **options)


class Run(Generic[T]):
    """A guest's run, as `start` returns it: from then on until `main` and all else has ended."""

    __module__ = "ferrio.guest"

    def __init__(
        self,
        main: Awaitable[T],
        loop: Loop,
        call_soon_threadsafe: CallSoon,
        call_soon: CallSoon,
        done: Callable[[Run[T]], object] | None,
    ) -> None:
        self._loop = loop
        self._thread = threading.get_ident()
        self._call_soon_threadsafe = call_soon_threadsafe
        self._call_soon = call_soon
        self._done = done
        self._leave_host: Callable[[], object] | None = None
        self._main = main if asyncio.iscoroutine(main) else _awaiting(main)
        self._task: asyncio.Task[T]
        self._end: asyncio.Task[None] | None = None
        # The host's thread has all the rest, except what stands beside this lock.
        self._lock = threading.Lock()
        #: The host was asked for a turn that it has not begun.
        self._is_asked = False
        #: The host runs the turns. Otherwise `finish` does, or nobody any more.
        self._is_hosted = True
        self._is_in_turn = False
        self._is_asking = False
        #: The helper's thread is to wait, or to end.
        self._baton = threading.Semaphore(0)
        #: It does not wait.
        self._is_back = threading.Event()
        self._is_back.set()
        self._is_over = False
        self._is_in_with = False
        self._was_interrupted = False
        self._failure: BaseException | None = None
        self._is_failure_known = False

    @property
    def loop(self) -> Loop:
        """The guest's loop."""
        return self._loop

    @property
    def task(self) -> asyncio.Task[T]:
        """The task that `main` runs in."""
        return self._task

    def done(self) -> bool:
        """Has everything ended, and is the loop closed?"""
        return self._is_over

    def result(self) -> T:
        """What `main` has returned; or raises what it has raised.

        Raises:
            asyncio.InvalidStateError: It has not ended yet.
            asyncio.CancelledError: It was cancelled.
            KeyboardInterrupt: By Ctrl-C.
        """
        if not self._is_over:
            raise asyncio.InvalidStateError("the guest has not ended yet")
        self._is_failure_known = True
        if self._failure is not None:
            raise self._failure
        return self._task.result()

    def cancel(self, msg: Any = None) -> None:
        """Cancel `main`, from whatever thread. Without effect if it has ended."""
        if threading.get_ident() == self._thread:
            self._task.cancel(msg)
            return
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            self._loop.call_soon_threadsafe(self._task.cancel, msg)

    def finish(self) -> T:
        """Run on without the host until `main` has ended, and return its result.

        For when the host has ended, or is not to go on: it blocks, as `ferrio.run` does.

        Raises:
            RuntimeError: It is called in another thread than the host's, or in a turn.
            BaseException: What `result` raises.
        """
        self._check_thread("finish()")
        if self._is_in_turn:
            raise RuntimeError("finish() was called by what it is to wait for: use `await`")
        self._take_over()
        while not self._is_over:
            if not self._turn():
                self._loop._guest_wait()
        return self.result()

    def __enter__(self) -> Self:
        self._is_in_with = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Cancel `main` if it has not ended, and run on until it has.

        Raises what `main` has raised, unless somebody has asked `result` for it or the block has
        raised something itself.
        """
        is_cancelled = not self._is_over
        if is_cancelled:
            self.cancel()
        elif self._is_failure_known:
            return
        try:
            self.finish()
        except asyncio.CancelledError:
            if not is_cancelled:
                raise
        except BaseException as failure:
            if error is None or failure is error:
                raise
            self._report(failure)

    def __repr__(self) -> str:
        state = "done" if self._is_over else "running" if self._is_hosted else "finishing"
        return f"<ferrio.guest.Run {state} {self._main!r}>"

    def __del__(self) -> None:
        if self._is_over and not self._is_failure_known and self._failure is not None:
            self._report(self._failure)

    def _start(self, handle_sigint: bool) -> None:
        loop = self._loop
        helper = threading.Thread(target=self._help, name="ferrio guest", daemon=True)
        try:
            # As for asyncio.Runner: what is set in it later is not seen by whoever has called.
            context = contextvars.copy_context()
            self._task = loop.create_task(self._main, context=context)
            self._task.add_done_callback(self._main_has_ended)
            helper.start()
            self._ask(self._call_soon_threadsafe)
        except BaseException:
            # Nothing of it has run.
            self._release_helper()
            self._main.close()
            if hasattr(self, "_task"):
                self._task._log_destroy_pending = False  # type: ignore[attr-defined]
            loop._end_guest()
            loop.close()
            raise
        runs.add(self)
        if handle_sigint:
            interrupts.watch(self)

    # The host's thread.

    def _called_by_host(self) -> None:
        """What the host is asked to call."""
        if self._is_asking:
            raise RuntimeError(
                "call_soon_threadsafe has called its argument; it has to be left to the host's "
                "loop, which calls it later"
            )
        self._check_thread("a turn of a guest")
        with self._lock:
            if not self._is_asked:
                # Asked for before `finish` took over.
                return
            self._is_asked = False
        if self._turn():
            if not self._is_over:
                try:
                    self._ask(self._call_soon)
                except Exception as refusal:
                    self._refused(refusal)
        else:
            self._is_back.clear()
            self._baton.release()

    def _turn(self) -> bool:
        """Runs a turn; is there to be another one at once?"""
        self._is_in_turn = True
        try:
            more = self._guest_turn()
        except BaseException as failure:
            # KeyboardInterrupt and SystemExit, as out of `run_forever`: of main or of any callback.
            more = True
            self._fail(failure)
        finally:
            self._is_in_turn = False
        loop: Any = self._loop
        if loop._stopping:
            loop._stopping = False
            if self._end is None:
                self._fail(RuntimeError("Event loop stopped before Future completed."))
        if self._end is not None and self._end.done():
            self._close()
            return True
        return more

    def _guest_turn(self) -> bool:
        outer = asyncio._get_running_loop()
        if outer is None or swap_current_task is None:
            return self._loop._guest_turn()
        task = swap_current_task(outer, None)
        try:
            return self._loop._guest_turn()
        finally:
            swap_current_task(outer, task)

    def _ask(self, call_soon: CallSoon) -> None:
        """Asks the host for a turn, in the host's own thread."""
        self._is_asked = True
        self._is_asking = True
        try:
            call_soon(self._called_by_host)
        finally:
            self._is_asking = False

    def _take_over(self) -> None:
        """From now on the host is not asked any more."""
        with self._lock:
            self._is_hosted = False
            self._is_asked = False
        if not self._is_back.is_set():
            self._loop.call_soon_threadsafe(int)
            self._is_back.wait()
        self._release_helper()

    def _release_helper(self) -> None:
        with self._lock:
            self._is_hosted = False
        self._baton.release()

    def _check_thread(self, what: str) -> None:
        if threading.get_ident() != self._thread:
            raise RuntimeError(
                f"{what} belongs to the thread in which the guest was started; this is "
                f"{threading.current_thread().name!r}"
            )

    # The end.

    def _main_has_ended(self, main: asyncio.Task[T]) -> None:
        if self._end is not None:
            return
        self._begin_end()
        if main.cancelled():
            is_by_interrupt = self._was_interrupted and main.uncancel() == 0
            error: BaseException = KeyboardInterrupt() if is_by_interrupt else _cancelled(main)
            self._failure = error
        else:
            self._failure = main.exception()

    def _fail(self, failure: BaseException) -> None:
        """The run is over, whatever `main` says."""
        self._failure = failure
        if self._end is None:
            self._begin_end()
        else:
            # While it was ending, as by a second Ctrl-C.
            self._end.cancel()
            self._close()

    def _begin_end(self) -> None:
        self._end = self._loop.create_task(self._end_the_rest(), name="ferrio.guest: end")

    async def _end_the_rest(self) -> None:
        """As the end of `asyncio.Runner`, which can only be had on a loop that does not run."""
        loop = self._loop
        rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        for task in rest:
            if task.cancelled() or task is self._task:
                continue
            if (error := task.exception()) is not None:
                context = {"message": "unhandled exception at the end of a guest"}
                loop.call_exception_handler(context | {"exception": error, "task": task})
        await loop.shutdown_asyncgens()
        if sys.version_info >= (3, 12):
            await loop.shutdown_default_executor(constants.THREAD_JOIN_TIMEOUT)
        else:
            await loop.shutdown_default_executor()

    def _close(self) -> None:
        if self._is_over:
            return
        self._is_over = True
        is_hosted = self._is_hosted
        end = self._end
        if end is not None and end.done() and not end.cancelled():
            error = end.exception()
            self._failure = self._failure or error
        tasks: tuple[Any, ...] = (self._task, end)
        for task in tasks:
            if task is not None:
                task._log_destroy_pending = False
        if self._task.done() and not self._task.cancelled():
            self._task.exception()  # what there is to be said of it `result` says
        self._release_helper()
        runs.discard(self)
        interrupts.forget(self)
        self._loop._end_guest()
        self._loop.close()
        if self._leave_host is not None:
            self._leave_host()
        if is_hosted and self._done is not None:
            self._done(self)

    def _report(self, failure: BaseException) -> None:
        self._is_failure_known = True
        if not isinstance(failure, asyncio.CancelledError):
            kind = type(failure)
            text = "a guest has failed, and nobody has asked for its result"
            logger.error(text, exc_info=(kind, failure, failure.__traceback__))

    def _abandon(self) -> None:
        """The interpreter ends. A thread must not be waiting then."""
        if not self._is_hosted:
            return
        self._take_over()
        self._task._log_destroy_pending = False  # type: ignore[attr-defined]
        logger.warning(
            "the program ends before its guest %r; `with ferrio.guest.start(...):` around the "
            "host's loop cancels it and waits for it",
            self._main,
        )

    # The helper's thread.

    def _help(self) -> None:
        """Waits for events for the next turn, whenever there is nothing to do."""
        while True:
            self._baton.acquire()
            try:
                # Once it is not hosted any more, somebody waits for this thread to come back.
                if self._is_hosted:
                    self._loop._guest_wait()
            finally:
                with self._lock:
                    is_hosted = self._is_asked = self._is_hosted
                self._is_back.set()
            if not is_hosted:
                return
            try:
                self._call_soon_threadsafe(self._called_by_host)
            except BaseException as refusal:
                self._refused(refusal)

    def _refused(self, refusal: BaseException) -> None:
        """The host does not take what it is asked for, and never will."""
        if not self._is_hosted or (self._is_in_with and isinstance(refusal, HostEndedError)):
            # `finish` runs on, or is about to.
            return
        logger.error(
            "the host of the guest %r refuses to run it: %r; "
            "`with ferrio.guest.start(...):` around the host's loop runs it to its end",
            self._main,
            refusal,
        )


async def _awaiting(main: Awaitable[T]) -> T:
    return await main


def _cancelled(task: asyncio.Task[Any]) -> BaseException:
    """The exception of a task that was cancelled, with the message of who did."""
    try:
        task.result()
    except asyncio.CancelledError as error:
        return error
    raise AssertionError("not cancelled")


class _Interrupts:
    """Ctrl-C for guests of the main thread, whose hosts mostly do not see it: they wait in C."""

    def __init__(self) -> None:
        self._runs: set[Run[Any]] = set()

    def watch(self, run: Run[Any]) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        if not self._runs:
            if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
                return
            signal.signal(signal.SIGINT, self._interrupt)
        self._runs.add(run)

    def forget(self, run: Run[Any]) -> None:
        if run not in self._runs:
            return
        self._runs.discard(run)
        if not self._runs and signal.getsignal(signal.SIGINT) == self._interrupt:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def after_fork(self) -> None:
        for run in list(self._runs):
            self.forget(run)

    def _interrupt(self, signum: int, frame: FrameType | None) -> None:
        first = [run for run in self._runs if not run._was_interrupted and not run._task.done()]
        if not first:
            raise KeyboardInterrupt
        for run in first:
            run._was_interrupted = True
            run.cancel()


def is_running_in_main_thread() -> bool:
    """Is a guest there that a signal can be turned into Ctrl-C for, though no turn runs?"""
    main = threading.main_thread().ident
    return any(run._thread == main for run in runs)


#: Those that have not ended.
runs: set[Run[Any]] = set()
interrupts = _Interrupts()


@atexit.register
def _at_exit() -> None:
    for run in list(runs):
        run._abandon()


def _after_fork() -> None:
    # The threads that have waited for them are the parent's.
    runs.clear()
    interrupts.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

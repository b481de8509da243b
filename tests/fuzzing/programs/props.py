"""What programs are furnished with beside asyncio's own objects: things that raise, or do something
else, where few do."""

from __future__ import annotations

import asyncio
import inspect
import signal
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from .stage import Awaitable, Stage

# Turns after which whatever a signal causes has happened.
TOLD = 6
SIGNAL = signal.SIGUSR1


class Props(Stage):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.concurrent_futures: list[Future[Any]] = []
        self.executor = Immediate()
        self.loop.set_default_executor(self.executor)

    def close(self) -> None:
        self.executor.shutdown()

    def concurrent(self, number: int) -> Future[Any]:
        """A future of threads, in the state that programs have left it in."""
        while len(self.concurrent_futures) <= number:
            self.concurrent_futures.append(Future())
        return self.concurrent_futures[number]

    def keep_concurrent(self, future: Future[Any]) -> None:
        self.concurrent_futures.insert(0, future)

    def value(self, value: Any) -> Any:
        return value

    def subclass(self, kind: str, method: str) -> None:
        """From now on this object is of a subclass that overrides a method."""
        base = type(getattr(self, kind))
        made = subclass(self, base, method)
        arguments: dict[str, Any] = {
            "semaphore": (2,),
            "barrier": (2,),
            "queue": (2,),
            "lifo": (1,),
            "reader": (8, self.loop),
        }
        setattr(self, kind, made(*arguments.get(kind, ())))

    def own_future(self, method: str) -> Any:
        """A future of a subclass that overrides a method."""
        return self.keep_future(subclass(self, self.aio.Future, method)(loop=self.loop))

    def own_task(self, function: Callable[..., Any], method: str) -> Any:
        made = subclass(self, self.aio.Task, method)
        name = self.name(function.__name__)
        return self.keep_task(made(function(), loop=self.loop, name=name))

    def factory(self, number: int) -> Any:
        """A task factory: none, plain ones, one that raises."""

        def plain(loop: Any, coroutine: Any, **options: Any) -> Any:
            self.note("factory", coroutine, sorted(options))
            return asyncio.Task(coroutine, loop=loop, **options)

        def own(loop: Any, coroutine: Any, **options: Any) -> Any:
            return subclass(self, self.aio.Task, "cancel")(coroutine, loop=loop, **options)

        def raising(loop: Any, coroutine: Any, **options: Any) -> Any:
            coroutine.close()
            self.throw(0)

        return (None, plain, own, raising)[number % 4]

    def die(self, callback: Callable[..., Any]) -> None:
        """Something goes, and calls this as it does."""
        Dying(callback)

    def dying(self, callback: Callable[..., Any]) -> Any:
        return Dying(callback)

    def drop(self) -> None:
        self.kept.clear()

    def raising(self, where: str, kind: int) -> Any:
        return Raising(self, where, kind)

    def afterwards(self, make: Callable[[], Any]) -> Any:
        return Afterwards(make)

    async def begun(self, function: Callable[..., Any]) -> Any:
        """An asynchronous generator that has yielded once."""
        generator = self.keep(function())
        return await generator.__anext__()

    async def signal(self) -> None:
        if signal.getsignal(SIGNAL) is not signal.SIG_DFL:
            signal.raise_signal(SIGNAL)
        for _ in range(TOLD):
            await Awaitable(lambda: iter([None]))

    def add_signal_handler(self, callback: Callable[..., Any], value: int) -> None:
        self.loop.add_signal_handler(SIGNAL, callback, value)

    def remove_signal_handler(self) -> bool:
        return self.loop.remove_signal_handler(SIGNAL)

    def interrupt(self) -> None:
        """Ctrl-C."""
        signal.raise_signal(signal.SIGINT)


class Immediate(ThreadPoolExecutor):
    """What is submitted has run when that returns: when a thread runs is up to the machine."""

    def submit(self, function: Any, /, *arguments: Any, **named: Any) -> Any:
        future = super().submit(function, *arguments, **named)
        wait([future])
        return future


class Dying:
    def __init__(self, callback: Callable[..., Any]) -> None:
        self._callback = callback

    def __del__(self) -> None:
        self._callback("dying")


class Raising:
    """A context manager that raises as it is entered or left, which it hides by turns."""

    def __init__(self, stage: Stage, where: str, kind: int) -> None:
        self._stage = stage
        self._where = where
        self._kind = kind

    def __enter__(self) -> None:
        if self._where == "enter":
            self._stage.throw(self._kind)

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> bool:
        self._stage.note("exit", error)
        if self._where == "exit":
            self._stage.throw(self._kind)
        return self._where == "hide" and error is not None

    async def __aenter__(self) -> None:
        await self._stage.turns(1)
        self.__enter__()

    async def __aexit__(self, kind: Any, error: BaseException | None, traceback: Any) -> bool:
        await self._stage.turns(1)
        return self.__exit__(kind, error, traceback)


class Afterwards:
    """Awaits something as it is left, as `finally` does."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(self, *exception: object) -> None:
        await self._make()


def subclass(stage: Stage, base: type, method: str) -> Any:
    """One of this class's, whose method is the base's but for being seen."""
    original = getattr(base, method)

    async def coroutine(self: Any, *arguments: Any, **named: Any) -> Any:
        stage.note("override", method)
        return await original(self, *arguments, **named)

    def function(self: Any, *arguments: Any, **named: Any) -> Any:
        stage.note("override", method)
        return original(self, *arguments, **named)

    override = coroutine if inspect.iscoroutinefunction(original) else function
    return type(f"Own{base.__name__}", (base,), {method: override})

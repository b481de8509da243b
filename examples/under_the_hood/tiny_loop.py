"""An event loop in fifty lines of code below its imports, without asyncio.

Who waits says for what by yielding an *arrangement*: a function that is told whom to wake, and
arranges for that. `await wait(arrangement)` does it from however deep in coroutines that call
coroutines. Three things wake: time, a socket, and the end of a task. Locks, queues and timeouts
could all be built of these.

What a grown-up loop has beyond it: cancelling, signals, other threads, two who wait for one socket,
exceptions that nobody asks for, and all that was learnt in ten years of use.
"""

from __future__ import annotations

import bisect
import selectors
import time
import types
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from operator import itemgetter
from socket import socket
from typing import Any

Wake = Callable[[], None]
Arrangement = Callable[[Wake], object]


# Makes of a generator what `await` accepts.
@types.coroutine
def wait(arrangement: Arrangement) -> Generator[Arrangement, None, None]:
    """Stop here, and in all that await this, until woken."""
    yield arrangement


class Task:
    """A coroutine on its way through the loop, from wait to wait."""

    def __init__(self, loop: Loop, coroutine: Coroutine[Arrangement, None, Any]) -> None:
        self.loop, self.coroutine = loop, coroutine
        # How it ended: a coroutine returns by raising StopIteration with its value.
        self.end: Exception | None = None
        self.waiters: list[Wake] = []
        # Not at once: whoever makes a task goes on first.
        loop.ready.append(self.step)

    def step(self) -> None:
        """Run up to the next wait, or to the end; what cannot be arranged is the end, too."""
        try:
            arrange = self.coroutine.send(None)
            arrange(self.step)
        except Exception as end:
            self.end = end
            self.loop.ready.extend(self.waiters)

    def __await__(self) -> Generator[Arrangement, None, Any]:
        if self.end is None:
            yield self.waiters.append
        return self.result()

    def result(self) -> Any:
        if isinstance(self.end, StopIteration):
            return self.end.value
        raise self.end or RuntimeError("the task has not ended")


class Loop:
    """Runs what is ready, and sleeps if nothing is."""

    def __init__(self) -> None:
        self.ready: deque[Wake] = deque()
        # In the order of their times.
        self.timers: list[tuple[float, Wake]] = []
        self.selector = selectors.DefaultSelector()

    async def sleep(self, seconds: float) -> None:
        when = time.monotonic() + seconds
        await wait(lambda wake: bisect.insort(self.timers, (when, wake), key=itemgetter(0)))

    async def until(self, event: int, sock: socket) -> None:
        """Wait until `sock` is ready for the event: selectors.EVENT_READ or EVENT_WRITE."""
        await wait(lambda wake: self.selector.register(sock, event, wake))

    def run(self, coroutine: Coroutine[Arrangement, None, Any]) -> Any:
        """Run `coroutine` to its end, and everything else for as long; once for each loop."""
        main = Task(self, coroutine)
        with self.selector:
            while main.end is None:
                self.turn()
        return main.result()

    def turn(self) -> None:
        # Here, and only here, time passes without anything being done. None is for ever.
        patience = self.timers[0][0] - time.monotonic() if self.timers else None
        if patience is None and not self.ready and not self.selector.get_map():
            raise RuntimeError("deadlock: everybody waits, and nothing is left that could wake")
        for key, _ in self.selector.select(0 if self.ready else patience):
            self.ready.append(self.selector.unregister(key.fileobj).data)
        while self.timers and self.timers[0][0] <= time.monotonic():
            self.ready.append(self.timers.pop(0)[1])
        # Those that are ready now. What they make ready has its turn in the next turn: else two
        # tasks that wake each other would keep everybody else waiting.
        for _ in range(len(self.ready)):
            self.ready.popleft()()

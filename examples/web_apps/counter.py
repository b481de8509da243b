"""A page that counts, for everybody who looks at it: a WebSocket on Starlette.

Each page gets the newest number, not every number. A page that cannot keep up skips some, and
makes nobody else wait: that is why each has a task of its own, which waits for changes, instead of
one loop that sends to all.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

PAGE = Path(__file__).with_name("counter.html")

#: What a page may ask for.
STEPS = {"more": 1, "less": -1}


@dataclass(frozen=True)
class State:
    """What a page shows."""

    count: int = 0
    visitors: int = 0


class Counter:
    """The number, and those who want to know when it changes."""

    def __init__(self) -> None:
        self._state = State()
        self._changed = asyncio.Condition()

    async def step(self, step: int) -> None:
        await self._change(step, 0)

    @contextlib.asynccontextmanager
    async def visit(self) -> AsyncIterator[None]:
        await self._change(0, 1)
        try:
            yield
        finally:
            await self._change(0, -1)

    async def changes(self) -> AsyncIterator[State]:
        """The state, and the newest one whenever it has changed since."""
        seen: State | None = None
        while True:
            async with self._changed:
                while self._state is seen:
                    await self._changed.wait()
                seen = self._state
            yield seen

    async def _change(self, step: int, visitors: int) -> None:
        async with self._changed:
            self._state = State(self._state.count + step, self._state.visitors + visitors)
            self._changed.notify_all()


async def page(request: Request) -> Response:
    return HTMLResponse(PAGE.read_text())


async def talk(websocket: WebSocket) -> None:
    counter: Counter = websocket.app.state.counter
    await websocket.accept()
    async with counter.visit():
        teller = asyncio.create_task(tell(websocket, counter))
        try:
            async for text in websocket.iter_text():
                if text in STEPS:
                    await counter.step(STEPS[text])
        finally:
            teller.cancel()
            # That it could not tell somebody who has left is no news.
            await asyncio.gather(teller, return_exceptions=True)


async def tell(websocket: WebSocket, counter: Counter) -> None:
    async for state in counter.changes():
        await websocket.send_json({"count": state.count, "visitors": state.visitors})


def make_app() -> Starlette:
    app = Starlette(routes=[Route("/", page), WebSocketRoute("/counter", talk)])
    app.state.counter = Counter()
    return app

"""The site that is visited: a museum of invented instruments, thousands of generated pages.

/                        how many pages there are
/instruments/N           a page; numbers that do not exist are 404
/distant/N               the same, with a network's delay: `DISTANCE_SECONDS`
/restored/N              the same, but every 50th is being restored: 503
/vault/N?seconds=S       the same, brought up from the vault: takes S seconds
/reading-room/N          the same, for at most `SEATS` visitors at a time: the others get 429
/statistics              what the site has seen, as JSON
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict, dataclass

from aiohttp import web
from yarl import URL

DISTANCE_SECONDS = 0.002

#: How many visitors the reading room admits at a time, and how long each of them stays.
SEATS = 16
READING_SECONDS = 0.02

KINDS = ("lute", "horn", "bellows", "chimes", "drum", "reed pipe", "glass harp", "hurdy-gurdy")
WOODS = ("pear", "ash", "walnut", "bog oak", "larch", "cherry")
REGIONS = ("the salt coast", "the upper valley", "the river towns", "the high moor")


@dataclass(frozen=True)
class Instrument:
    """What one page is about."""

    number: int
    name: str
    text: str

    @classmethod
    def invented(cls, number: int) -> Instrument:
        """The same instrument for the same number, in every process."""
        dice = random.Random(number)
        name = f"{dice.choice(WOODS)} {dice.choice(KINDS)} no. {number}".capitalize()
        sentences = [
            f"Played in {dice.choice(REGIONS)} until {dice.randint(1480, 1890)}, "
            f"it has {dice.randint(2, 40)} parts and weighs {dice.randint(300, 9000)} grams."
            for _ in range(dice.randint(4, 24))
        ]
        return cls(number, name, " ".join(sentences))

    def page(self) -> str:
        return (
            f"<!doctype html><title>{self.name}</title><h1>{self.name}</h1>"
            f"<p>{self.text}</p><a href=/instruments/{self.number + 1}>next</a>"
        )


@dataclass
class Statistics:
    """Requests, as the site saw them."""

    answered: int = 0
    refused: int = 0
    #: Those whose visitor had gone before the answer was ready.
    abandoned: int = 0
    present: int = 0
    most_at_once: int = 0

    @contextlib.contextmanager
    def visit(self) -> Iterator[None]:
        self.present += 1
        self.most_at_once = max(self.most_at_once, self.present)
        try:
            yield
        except asyncio.CancelledError:
            self.abandoned += 1
            raise
        finally:
            self.present -= 1
        self.answered += 1


PAGES = web.AppKey("PAGES", int)
STATISTICS = web.AppKey("STATISTICS", Statistics)

routes = web.RouteTableDef()


def instrument_of(request: web.Request) -> Instrument:
    number = int(request.match_info["number"])
    if number >= request.app[PAGES]:
        raise web.HTTPNotFound(text=f"no instrument has the number {number}")
    return Instrument.invented(number)


def as_page(instrument: Instrument) -> web.Response:
    return web.Response(text=instrument.page(), content_type="text/html")


@routes.get("/")
async def entrance(request: web.Request) -> web.Response:
    return web.json_response({"pages": request.app[PAGES]})


@routes.get(r"/instruments/{number:\d+}")
async def exhibited(request: web.Request) -> web.Response:
    with request.app[STATISTICS].visit():
        return as_page(instrument_of(request))


@routes.get(r"/distant/{number:\d+}")
async def distant(request: web.Request) -> web.Response:
    with request.app[STATISTICS].visit():
        await asyncio.sleep(DISTANCE_SECONDS)
        return as_page(instrument_of(request))


@routes.get(r"/restored/{number:\d+}")
async def restored(request: web.Request) -> web.Response:
    with request.app[STATISTICS].visit():
        instrument = instrument_of(request)
        if instrument.number % 50 == 49:
            raise web.HTTPServiceUnavailable(text=f"{instrument.name} is being restored")
        return as_page(instrument)


@routes.get(r"/vault/{number:\d+}")
async def vault(request: web.Request) -> web.Response:
    with request.app[STATISTICS].visit():
        instrument = instrument_of(request)
        await asyncio.sleep(float(request.query.get("seconds", "0.1")))
        return as_page(instrument)


@routes.get(r"/reading-room/{number:\d+}")
async def reading_room(request: web.Request) -> web.Response:
    statistics = request.app[STATISTICS]
    if statistics.present >= SEATS:
        statistics.refused += 1
        raise web.HTTPTooManyRequests(text="no seat is free", headers={"Retry-After": "1"})
    with statistics.visit():
        instrument = instrument_of(request)
        await asyncio.sleep(READING_SECONDS)
        return as_page(instrument)


@routes.get("/statistics")
async def statistics(request: web.Request) -> web.Response:
    return web.json_response(asdict(request.app[STATISTICS]))


@contextlib.asynccontextmanager
async def open_site(pages: int, port: int = 0) -> AsyncIterator[URL]:
    """Serve `pages` pages for the time of the block, on a free port if `port` is 0."""
    app = web.Application()
    app[PAGES] = pages
    app[STATISTICS] = Statistics()
    app.add_routes(routes)
    # A visitor who hangs up cancels the handler: what nobody waits for need not be worked out.
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port, backlog=4096).start()
        host, port = runner.addresses[0][:2]
        yield URL.build(scheme="http", host=host, port=port)
    finally:
        await runner.cleanup()

"""A web server that answers at once and works afterwards: 202, a place to ask, a queue, workers.

    POST /reports {"text"}    202 and Location, or 503 with Retry-After if too much waits
    GET  /reports/NUMBER    {"state": "waiting", "working", "done" or "failed", "digest": ...}

The program is the server and a crowd of clients. At the end the server is stopped with work left,
and finishes that first, for a limited time.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import logging
import statistics
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from aiohttp import ClientSession, web

logger = logging.getLogger(__name__)

#: Seconds that a stopped server goes on with what waits.
DRAIN = 10


@dataclass
class Report:
    number: int
    text: str
    state: str = "waiting"
    digest: str | None = None


class Office:
    """Takes reports and works on them, `workers` at a time; at most `limit` wait."""

    def __init__(self, workers: int, limit: int) -> None:
        self.reports: dict[int, Report] = {}
        self._numbers = itertools.count(1)
        self._workers = workers
        self._waiting: asyncio.Queue[Report] = asyncio.Queue(limit)

    def accept(self, text: str) -> Report:
        """Raises `asyncio.QueueFull` rather than make a client wait for the work of others."""
        report = Report(next(self._numbers), text)
        self._waiting.put_nowait(report)
        self.reports[report.number] = report
        return report

    async def run(self, app: web.Application) -> AsyncIterator[None]:
        """For `cleanup_ctx`: works while the server serves, and a little longer."""
        tasks = [asyncio.create_task(self._work()) for _ in range(self._workers)]
        yield
        try:
            async with asyncio.timeout(DRAIN):
                await self._waiting.join()
        except TimeoutError:
            print(f"background: given up after {DRAIN} s")
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    async def _work(self) -> None:
        while True:
            report = await self._waiting.get()
            report.state = "working"
            try:
                # Hashing holds a thread, not the loop: the server goes on answering.
                report.digest = await asyncio.to_thread(slow_digest, report.text)
                report.state = "done"
            except Exception:
                # One bad report is no reason to lose a worker, and who asks for it is to know.
                report.state = "failed"
                logger.exception("report %d", report.number)
            finally:
                self._waiting.task_done()


def slow_digest(text: str) -> str:
    return hashlib.pbkdf2_hmac("sha256", text.encode(), b"salt", 20_000).hex()


OFFICE = web.AppKey("OFFICE", Office)
routes = web.RouteTableDef()


@routes.post("/reports")
async def create(request: web.Request) -> web.Response:
    text = (await request.json())["text"]
    try:
        report = request.app[OFFICE].accept(text)
    except asyncio.QueueFull:
        raise web.HTTPServiceUnavailable(headers={"Retry-After": "1"}) from None
    location = f"/reports/{report.number}"
    return web.json_response({"state": report.state}, status=202, headers={"Location": location})


@routes.get(r"/reports/{number:\d+}")
async def show(request: web.Request) -> web.Response:
    report = request.app[OFFICE].reports.get(int(request.match_info["number"]))
    if report is None:
        raise web.HTTPNotFound
    return web.json_response({"state": report.state, "digest": report.digest})


async def run(reports: int, workers: int, limit: int, port: int) -> None:
    office = Office(workers, limit)
    app = web.Application()
    app[OFFICE] = office
    app.add_routes(routes)
    app.cleanup_ctx.append(office.run)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        host, actual = runner.addresses[0][:2]
        async with ClientSession(f"http://{host}:{actual}") as session:
            await visit(session, reports)
    finally:
        start = time.perf_counter()
        await runner.cleanup()
    states = [report.state for report in office.reports.values()]
    print(
        f"background: {states.count('done')} of {len(states)} done,"
        f" the last of them in {1e3 * (time.perf_counter() - start):.0f} ms after the server closed"
    )


async def visit(session: ClientSession, reports: int) -> None:
    delays: list[float] = []

    async def hand_in(number: int) -> str | None:
        """Where to ask for the report, or None if the server has too much to do."""
        start = time.perf_counter()
        async with session.post("/reports", json={"text": f"report {number}"}) as response:
            delays.append(time.perf_counter() - start)
            return response.headers["Location"] if response.status == 202 else None

    locations = await asyncio.gather(*map(hand_in, range(reports)))
    first = next(location for location in locations if location)
    taken = sum(location is not None for location in locations)
    print(
        f"background: {reports} reports at once, {taken} taken, {reports - taken} put off,"
        f" answered after {1e3 * statistics.median(delays):.1f} ms (median)"
    )
    start = time.perf_counter()
    while True:
        async with session.get(first) as response:
            answer = await response.json()
        if answer["state"] == "done":
            break
        await asyncio.sleep(0.005)
    if answer["digest"] != slow_digest(f"report {locations.index(first)}"):
        raise AssertionError(f"a wrong digest: {answer}")
    print(f"background: the first was done {1e3 * (time.perf_counter() - start):.0f} ms later")

"""What all services are: an aiohttp application that says when it is ready and ends when told to.

Each has one thing that a real one would not have: `PUT /faults` makes it slow or makes it fail, so
that its users can be seen to cope.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from dataclasses import dataclass

from aiohttp import web
from aiohttp.typedefs import Handler

#: How long requests that are being answered may take when the service ends.
DRAIN_SECONDS = 5


@dataclass
class Faults:
    """What is wrong with the service."""

    delay_seconds: float = 0.0
    #: So many of the next requests are answered with 500.
    fail_next: int = 0


FAULTS = web.AppKey("FAULTS", Faults)


@web.middleware
async def be_faulty(request: web.Request, handler: Handler) -> web.StreamResponse:
    if request.path != "/faults":
        faults = request.app[FAULTS]
        if faults.fail_next > 0:
            faults.fail_next -= 1
            raise web.HTTPInternalServerError(text="asked to fail")
        if faults.delay_seconds > 0:
            await asyncio.sleep(faults.delay_seconds)
    return await handler(request)


async def set_faults(request: web.Request) -> web.Response:
    request.app[FAULTS].__dict__.update(Faults(**await request.json()).__dict__)
    return web.Response(status=204)


def new_app() -> web.Application:
    app = web.Application(middlewares=[be_faulty])
    app[FAULTS] = Faults()
    app.router.add_put("/faults", set_faults)
    return app


async def serve(app: web.Application, name: str, port: int, *, until_eof: bool) -> None:
    """Serve until SIGTERM, SIGINT or, if `until_eof`, the end of standard input.

    The last is for those who start services through pipes: however they end, their services do too.
    """
    told_to_end = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told_to_end.set)
    if until_eof:
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        input_ended = asyncio.create_task(reader.read())
        input_ended.add_done_callback(lambda _: told_to_end.set())
    # Work for a caller who has given up is cancelled: a slow service is not to be kept busy by it.
    runner = web.AppRunner(
        app, access_log=None, handler_cancellation=True, shutdown_timeout=DRAIN_SECONDS
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        host, port = runner.addresses[0][:2]
        kind = type(loop)
        print(f"{name} on http://{host}:{port} {kind.__module__}.{kind.__qualname__}", flush=True)
        await told_to_end.wait()
    finally:
        await runner.cleanup()

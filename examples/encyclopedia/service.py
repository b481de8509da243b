"""The server: pages as HTML and JSON, a search, an export as a stream, and a feed of changes."""

from __future__ import annotations

import asyncio
import html
import json
from collections import Counter
from collections.abc import AsyncIterator

from aiohttp import WSMsgType, web
from aiohttp.typedefs import Handler
from articles import Article


class Feed:
    """Tells all listeners what each of them says, and every so often the number of visits."""

    def __init__(self, visits: Counter[str]) -> None:
        self._visits = visits
        self._listeners: set[web.WebSocketResponse] = set()

    async def attend(self, socket: web.WebSocketResponse) -> None:
        """Serve one listener until it leaves."""
        self._listeners.add(socket)
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    await self.publish({"kind": "comment", "text": message.data})
        finally:
            self._listeners.discard(socket)

    async def publish(self, message: dict[str, object]) -> None:
        text = json.dumps(message)
        # A listener that left while others were served is no reason to stop.
        await asyncio.gather(
            *(listener.send_str(text) for listener in self._listeners), return_exceptions=True
        )

    async def report_visits(self) -> None:
        while True:
            await asyncio.sleep(0.05)
            await self.publish({"kind": "visits", "total": self._visits.total()})

    async def dismiss(self) -> None:
        for listener in list(self._listeners):
            await listener.close(message=b"closing down")


ARTICLES = web.AppKey("ARTICLES", list[Article])
VISITS = web.AppKey("VISITS", Counter[str])
FEED = web.AppKey("FEED", Feed)

routes = web.RouteTableDef()


@web.middleware
async def count_visits(request: web.Request, handler: Handler) -> web.StreamResponse:
    request.app[VISITS][request.match_info.route.name or "other"] += 1
    return await handler(request)


def article_of(request: web.Request) -> Article:
    articles = request.app[ARTICLES]
    number = int(request.match_info["number"])
    if number >= len(articles):
        raise web.HTTPNotFound(text=f"no article {number}")
    return articles[number]


@routes.get(r"/pages/{number:\d+}", name="page")
async def page(request: web.Request) -> web.Response:
    article = article_of(request)
    if request.headers.get("If-None-Match") == f'"{article.digest}"':
        return web.Response(status=304)
    links = "".join(f'<li><a href="/pages/{n}">{n}</a></li>' for n in article.links)
    body = "".join(f"<p>{html.escape(text)}</p>" for text in article.paragraphs)
    return web.Response(
        text=f"<!doctype html><title>{article.title}</title>{body}<ul>{links}</ul>",
        content_type="text/html",
        headers={"ETag": f'"{article.digest}"'},
    )


@routes.get(r"/api/articles/{number:\d+}", name="json")
async def as_json(request: web.Request) -> web.Response:
    return web.json_response(article_of(request).as_dict())


@routes.get("/api/search", name="search")
async def search(request: web.Request) -> web.Response:
    word = request.query.get("word", "")
    if not word:
        raise web.HTTPBadRequest(text="?word= is missing")
    # Work for a thread: it looks at every text there is.
    found = await asyncio.to_thread(
        lambda: [
            article.number
            for article in request.app[ARTICLES]
            if any(word in paragraph for paragraph in article.paragraphs)
        ]
    )
    return web.json_response({"word": word, "articles": found})


@routes.get("/export", name="export")
async def export(request: web.Request) -> web.StreamResponse:
    """Every article, one JSON object a line, sent while it is written."""
    response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
    await response.prepare(request)
    for article in request.app[ARTICLES]:
        await response.write(json.dumps(article.as_dict()).encode() + b"\n")
    await response.write_eof()
    return response


@routes.get("/feed", name="feed")
async def feed(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    await request.app[FEED].attend(socket)
    return socket


async def feed_of_visits(app: web.Application) -> AsyncIterator[None]:
    task = asyncio.create_task(app[FEED].report_visits())
    yield
    task.cancel()
    await asyncio.wait([task])


def make_app(articles: list[Article]) -> web.Application:
    app = web.Application(middlewares=[count_visits])
    app[ARTICLES] = articles
    app[VISITS] = Counter()
    app[FEED] = Feed(app[VISITS])
    app.add_routes(routes)
    app.cleanup_ctx.append(feed_of_visits)
    app.on_shutdown.append(lambda app: app[FEED].dismiss())
    return app

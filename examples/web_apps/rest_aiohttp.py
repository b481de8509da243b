"""The library of tools as a REST service on aiohttp.

    GET /tools, GET /tools?category=garden      all tools, those of a category
    POST /tools                                 a new one: 201, or 400, or 409 if its name is taken
    GET /tools/N, DELETE /tools/N               one tool; it goes

The application owns its pool of connections, by a cleanup context.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import asdict

from aiohttp import web
from database import open_pool
from store import Store
from tools import InvalidToolError, NameTakenError, NewTool

STORE = web.AppKey("STORE", Store)

routes = web.RouteTableDef()


@routes.get("/tools")
async def tools(request: web.Request) -> web.Response:
    found = await request.app[STORE].list(request.query.get("category"))
    return web.json_response([asdict(tool) for tool in found])


@routes.post("/tools")
async def add(request: web.Request) -> web.Response:
    try:
        tool = await request.app[STORE].add(NewTool.parse(await request.read()))
    except InvalidToolError as error:
        return web.json_response({"error": str(error)}, status=400)
    except NameTakenError as error:
        return web.json_response({"error": str(error)}, status=409)
    headers = {"Location": f"/tools/{tool.id}"}
    return web.json_response(asdict(tool), status=201, headers=headers)


@routes.get(r"/tools/{number:\d{1,9}}")
async def one(request: web.Request) -> web.Response:
    tool = await request.app[STORE].find(int(request.match_info["number"]))
    if tool is None:
        raise web.HTTPNotFound
    return web.json_response(asdict(tool))


@routes.delete(r"/tools/{number:\d{1,9}}")
async def remove(request: web.Request) -> web.Response:
    if not await request.app[STORE].remove(int(request.match_info["number"])):
        raise web.HTTPNotFound
    return web.Response(status=204)


def make_app(dsn: str, connections: int) -> web.Application:
    async def with_store(app: web.Application) -> AsyncIterator[None]:
        async with open_pool(dsn, connections) as pool:
            app[STORE] = Store(pool)
            yield

    app = web.Application()
    app.cleanup_ctx.append(with_store)
    app.add_routes(routes)
    return app

"""The same service on Starlette: the paths, bodies and statuses are those of rest_aiohttp.py.

An ASGI application, so it needs a server: uvicorn. The pool lives as long as its lifespan.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import asdict

from database import open_pool
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from store import Store
from tools import InvalidToolError, NameTakenError, NewTool


def store_of(request: Request) -> Store:
    store: Store = request.state.store
    return store


async def tools(request: Request) -> Response:
    found = await store_of(request).list(request.query_params.get("category"))
    return JSONResponse([asdict(tool) for tool in found])


async def add(request: Request) -> Response:
    try:
        tool = await store_of(request).add(NewTool.parse(await request.body()))
    except InvalidToolError as error:
        return JSONResponse({"error": str(error)}, 400)
    except NameTakenError as error:
        return JSONResponse({"error": str(error)}, 409)
    return JSONResponse(asdict(tool), 201, headers={"Location": f"/tools/{tool.id}"})


async def one(request: Request) -> Response:
    tool = await store_of(request).find(request.path_params["number"])
    if tool is None:
        raise HTTPException(404)
    return JSONResponse(asdict(tool))


async def remove(request: Request) -> Response:
    if not await store_of(request).remove(request.path_params["number"]):
        raise HTTPException(404)
    return Response(status_code=204)


def make_app(dsn: str, connections: int) -> Starlette:
    @contextlib.asynccontextmanager
    async def with_store(app: Starlette) -> AsyncIterator[dict[str, Store]]:
        async with open_pool(dsn, connections) as pool:
            yield {"store": Store(pool)}

    routes = [
        Route("/tools", tools, methods=["GET"]),
        Route("/tools", add, methods=["POST"]),
        Route("/tools/{number:int}", one, methods=["GET"]),
        Route("/tools/{number:int}", remove, methods=["DELETE"]),
    ]
    return Starlette(routes=routes, lifespan=with_store)

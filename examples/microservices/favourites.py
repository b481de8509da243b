"""The favourites service: which products a user has marked."""

from __future__ import annotations

import service
from aiohttp import web
from seeds import FAVOURITES

Marks = dict[int, set[int]]
MARKS = web.AppKey("MARKS", Marks)

routes = web.RouteTableDef()


@routes.get(r"/users/{user:\d+}/favourites")
async def favourites(request: web.Request) -> web.Response:
    user = int(request.match_info["user"])
    return web.json_response(sorted(request.app[MARKS].get(user, ())))


@routes.put(r"/users/{user:\d+}/favourites/{product:\d+}")
async def mark(request: web.Request) -> web.Response:
    user, product = int(request.match_info["user"]), int(request.match_info["product"])
    request.app[MARKS].setdefault(user, set()).add(product)
    return web.Response(status=204)


def make_app() -> web.Application:
    app = service.new_app()
    app[MARKS] = {user: set(products) for user, products in FAVOURITES.items()}
    app.add_routes(routes)
    return app

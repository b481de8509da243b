"""The inventory service: how many packets there are of a product. It is asked for each."""

from __future__ import annotations

import service
from aiohttp import web
from seeds import STOCK

routes = web.RouteTableDef()


@routes.get(r"/products/{number:\d+}/stock")
async def stock(request: web.Request) -> web.Response:
    number = int(request.match_info["number"])
    if number not in STOCK:
        raise web.HTTPNotFound(text=f"no product {number}")
    return web.json_response(STOCK[number])


def make_app() -> web.Application:
    app = service.new_app()
    app.add_routes(routes)
    return app

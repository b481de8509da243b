"""The product service: what is for sale. Without it there is no shop."""

from __future__ import annotations

from dataclasses import asdict

import service
from aiohttp import web
from seeds import PRODUCTS

routes = web.RouteTableDef()


@routes.get("/products")
async def products(request: web.Request) -> web.Response:
    return web.json_response([asdict(product) for product in PRODUCTS])


@routes.get(r"/products/{number:\d+}")
async def product(request: web.Request) -> web.Response:
    number = int(request.match_info["number"])
    for candidate in PRODUCTS:
        if candidate.number == number:
            return web.json_response(asdict(candidate))
    raise web.HTTPNotFound(text=f"no product {number}")


def make_app() -> web.Application:
    app = service.new_app()
    app.add_routes(routes)
    return app

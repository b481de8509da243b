"""The cart service: what a user is about to buy, as numbers of packets."""

from __future__ import annotations

import service
from aiohttp import web
from seeds import CARTS

Carts = dict[int, dict[int, int]]
ALL_CARTS = web.AppKey("ALL_CARTS", Carts)

routes = web.RouteTableDef()


@routes.get(r"/users/{user:\d+}/cart")
async def cart(request: web.Request) -> web.Response:
    user = int(request.match_info["user"])
    return web.json_response(request.app[ALL_CARTS].get(user, {}))


@routes.post(r"/users/{user:\d+}/cart")
async def add(request: web.Request) -> web.Response:
    user, item = int(request.match_info["user"]), await request.json()
    packets = request.app[ALL_CARTS].setdefault(user, {})
    packets[item["product"]] = packets.get(item["product"], 0) + item["packets"]
    return web.json_response(packets)


def make_app() -> web.Application:
    app = service.new_app()
    app[ALL_CARTS] = {user: dict(packets) for user, packets in CARTS.items()}
    app.add_routes(routes)
    return app

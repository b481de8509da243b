"""The backend for the frontend: one request of a page becomes many to the services behind it.

    GET  /users/N/shop    the page: products with their stock, favourites and cart, as JSON
    POST /users/N/cart    adds {"product": P, "packets": K}
    GET  /peers           how it gets on with the services

The page has a budget of `PAGE_SECONDS`. What is not there by then is left out and named in
`missing`; what is there, even half of the stock, is shown. Only without the products is there no
page.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Any

import service
from aiohttp import ClientSession, web
from errors import PeerError, RejectedError
from guards import new_guard
from peer import Peer
from yarl import URL

PAGE_SECONDS = 1.0
#: Requests to the inventory that one page may have under way.
STOCK_AT_ONCE = 8

#: The services behind, by name.
PEERS = web.AppKey("PEERS", dict[str, Peer])

routes = web.RouteTableDef()


@routes.get(r"/users/{user:\d+}/shop")
async def shop(request: web.Request) -> web.Response:
    user, peers = request.match_info["user"], request.app[PEERS]
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PAGE_SECONDS
    # The two that need nothing from the products start at once.
    favourites = asyncio.create_task(peers["favourites"].get(f"/users/{user}/favourites"))
    cart = asyncio.create_task(peers["cart"].get(f"/users/{user}/cart"))
    tasks: dict[str, asyncio.Task[Any]] = {"favourites": favourites, "cart": cart}
    stock: dict[int, int] = {}
    try:
        try:
            async with asyncio.timeout_at(deadline):
                products = await peers["product"].get("/products")
        except (PeerError, TimeoutError) as error:
            raise web.HTTPServiceUnavailable(text=f"no products: {error!r}") from error
        numbers = [product["number"] for product in products]
        tasks["stock"] = asyncio.create_task(find_stock(peers["inventory"], numbers, stock))
        await asyncio.wait(tasks.values(), timeout=deadline - loop.time())
        page = {
            "products": [product | {"stock": stock.get(product["number"])} for product in products],
            "favourites": result_of(favourites),
            "cart": result_of(cart),
            "missing": [name for name, task in tasks.items() if not has_answered(task)],
        }
    finally:
        await call_off(tasks.values())
    if len(stock) < len(numbers) and "stock" not in page["missing"]:
        page["missing"].append("stock")
    return web.json_response(page)


async def find_stock(inventory: Peer, numbers: list[int], stock: dict[int, int]) -> None:
    """Fills `stock` answer by answer, so that whoever has to stop it keeps what was there."""
    limit = asyncio.Semaphore(STOCK_AT_ONCE)

    async def find(number: int) -> None:
        async with limit:
            stock[number] = await inventory.get(f"/products/{number}/stock")

    outcomes = await asyncio.gather(*map(find, numbers), return_exceptions=True)
    for outcome in outcomes:
        # A service that is ill is what this page is made for; anything else is a mistake of ours.
        if isinstance(outcome, BaseException) and not isinstance(outcome, PeerError):
            raise outcome


def has_answered(task: asyncio.Task[Any]) -> bool:
    return task.done() and task.exception() is None


def result_of(task: asyncio.Task[Any]) -> Any:
    """None if it is not to be had. Raises what is not the fault of a service."""
    if not task.done():
        return None
    error = task.exception()
    if error is not None and not isinstance(error, PeerError):
        raise error
    return task.result() if error is None else None


async def call_off(tasks: Any) -> None:
    """Ends what still runs, and waits until it has: no request outlives the page it is for."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@routes.post(r"/users/{user:\d+}/cart")
async def add_to_cart(request: web.Request) -> web.Response:
    cart = request.app[PEERS]["cart"]
    try:
        packets = await cart.post(f"/users/{request.match_info['user']}/cart", await request.json())
    except RejectedError as error:
        raise web.HTTPBadRequest(text=str(error)) from error
    except PeerError as error:
        raise web.HTTPServiceUnavailable(text=str(error)) from error
    return web.json_response(packets)


@routes.get("/peers")
async def peers(request: web.Request) -> web.Response:
    return web.json_response(
        {
            name: asdict(peer.counts) | {"breaker": peer.guard.state}
            for name, peer in request.app[PEERS].items()
        }
    )


def make_app(bases: dict[str, URL], way: str) -> web.Application:
    """`bases`: where the product, favourites, cart and inventory services are.

    `way`: how calls to them are guarded, one of guards.WAYS.
    """

    async def with_peers(app: web.Application) -> AsyncIterator[None]:
        async with ClientSession() as session:
            app[PEERS] = {
                name: Peer(name, base, session, new_guard(way, name))
                for name, base in bases.items()
            }
            yield

    app = service.new_app()
    app.cleanup_ctx.append(with_peers)
    app.add_routes(routes)
    return app

"""A visit to the shop while its services fall ill, one after the other, and recover."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from aiohttp import ClientSession
from supervisor import BEHIND, Supervisor

#: After which the scenario no longer waits for a recovery.
PATIENCE_SECONDS = 30


@dataclass
class Page:
    """A page of the shop, or its refusal."""

    status: int
    seconds: float
    content: dict[str, Any]

    def __str__(self) -> str:
        took = f"{1000 * self.seconds:5.0f} ms"
        if self.status != 200:
            return f"{took}  {self.status}, no page"
        products = self.content["products"]
        known = sum(product["stock"] is not None for product in products)
        missing = ", ".join(self.content["missing"]) or "nothing"
        return f"{took}  {len(products)} products, stock of {known}, missing: {missing}"


class Visit:
    """Somebody who looks at the shop, and is able to break its services."""

    def __init__(self, supervisor: Supervisor, session: ClientSession) -> None:
        self._supervisor = supervisor
        self._session = session

    async def all_is_well(self) -> None:
        await self._show("all is well")
        body = {"product": 5, "packets": 3}
        async with self._session.post(self._url("frontend", "/users/1/cart"), json=body) as answer:
            print(f"  {'put 3 packets of chard into the cart':46} {await answer.json()}")

    async def slow_favourites(self) -> None:
        """The page goes out when its time is up, without what is not there."""
        await self._break("favourites", delay_seconds=20)
        await self._show("favourites take 20 s")
        await self._break("favourites")

    async def stumbling_cart(self) -> None:
        """Two answers of 500, and a third attempt that succeeds: nobody notices."""
        before = await self._peer("cart")
        await self._break("cart", fail_next=2)
        await self._show("the cart fails twice")
        after = await self._peer("cart")
        print(f"  {'  calls to it that failed':36} {after['failed'] - before['failed']}")

    async def dead_inventory(self) -> None:
        """After five failures in a row it is left alone, and pages are quick again."""
        await self._supervisor.kill("inventory")
        for what in ("the inventory is killed", "  once more", "  once more"):
            await self._show(what)
            peer = await self._peer("inventory")
            print(
                f"  {'':36}           breaker {peer['breaker']}: "
                f"{peer['failed']} calls failed, {peer['spared']} spared"
            )
        await self._supervisor.start_again("inventory")
        print("  the inventory is started again")
        start = time.perf_counter()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (page := await self._look()).content["missing"]:
                await asyncio.sleep(0.1)
        print(f"  {f'whole again after {time.perf_counter() - start:.1f} s':36} {page}")
        peer = await self._peer("inventory")
        print(f"  {'':36}           breaker {peer['breaker']}")

    async def dead_product(self) -> None:
        """Some things cannot be left out."""
        await self._supervisor.kill("product")
        await self._show("the product service is killed")
        await self._supervisor.start_again("product")

    async def _show(self, what: str) -> None:
        print(f"  {what:36} {await self._look()}", flush=True)

    async def _look(self) -> Page:
        start = time.perf_counter()
        async with self._session.get(self._url("frontend", "/users/1/shop")) as response:
            content = await response.json() if response.status == 200 else {}
            return Page(response.status, time.perf_counter() - start, content)

    async def _peer(self, name: str) -> dict[str, Any]:
        async with self._session.get(self._url("frontend", "/peers")) as response:
            peer: dict[str, Any] = (await response.json())[name]
            return peer

    async def _break(self, name: str, **faults: float) -> None:
        """No faults: it is well again."""
        url = self._url(name, "/faults")
        async with self._session.put(url, json=faults, raise_for_status=True):
            pass

    def _url(self, name: str, path: str) -> str:
        return f"{self._supervisor.services[name].base}{path}"


async def run(way: str) -> None:
    """The visit, with calls that are guarded by one of guards.WAYS."""
    print(f"\nretry and breaker by {way}:", flush=True)
    async with Supervisor(0, way) as supervisor:
        for name in (*BEHIND, "frontend"):
            service = supervisor.services[name]
            print(f"  {name:11} {service.base} process {service.process.pid} {service.loop}")
        print()
        async with ClientSession() as session:
            visit = Visit(supervisor, session)
            await visit.all_is_well()
            await visit.slow_favourites()
            await visit.stumbling_cart()
            await visit.dead_inventory()
            await visit.dead_product()
    print("  all services have ended")

"""tour: each application is used once, and says what it is asked for."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import parts
from aiohttp import ClientSession
from processes import started
from serving import REST
from yarl import URL

CLICKS = 50


async def run(dsn: str) -> None:
    lacking = parts.lacking()
    for name in REST:
        if name in lacking:
            continue
        async with started(name, dsn) as base, ClientSession(base) as session:
            print(f"  {name:10} {await conversation(session)}", flush=True)
            if name == "django":
                await bridges(session)
    if "counter" in lacking:
        return
    async with started("counter", None) as base, ClientSession(base) as session:
        await counting(session, base)


async def conversation(session: ClientSession) -> str:
    """The statuses of what people do with such a service, mistakes included."""
    new = {"name": "cider barrel", "category": "garden", "cents_a_day": 700}
    statuses = []

    async def say(method: str, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        async with session.request(method, path, data=data) as response:
            statuses.append(f"{method} {response.status}")
            text = await response.text()
            return json.loads(text) if response.content_type == "application/json" else None

    garden = await say("GET", "/tools?category=garden")
    added = await say("POST", "/tools", new)
    await say("POST", "/tools", new)
    await say("POST", "/tools", {"name": "what for?"})
    found = await say("GET", f"/tools/{added['id']}")
    await say("DELETE", f"/tools/{added['id']}")
    await say("DELETE", f"/tools/{added['id']}")
    if found != added or added != new | {"id": added["id"]}:
        raise RuntimeError(f"added {added}, found {found}")
    return f"{len(garden)} tools for the garden; {', '.join(statuses)}"


async def bridges(session: ClientSession) -> None:
    async with session.get("/report", raise_for_status=True) as response:
        report = await response.json()
    print(f"    /report    {report['tools']}, sealed {report['seal'][:8]}")
    async with session.get("/offers/7", raise_for_status=True) as response:
        offers = await response.json()
    print(f"    /offers/7  {offers['offers']} in {offers['seconds']} s")
    async with session.get("/threads", raise_for_status=True) as response:
        for what, where in (await response.json()).items():
            print(f"    {what:29} {where}")


async def counting(session: ClientSession, base: URL) -> None:
    """Three visitors who count at the same time, and all see the same number in the end."""
    visitors = 3

    async def visit() -> int:
        seen = 0
        async with session.ws_connect("/counter") as socket:
            async with asyncio.timeout(30):
                while (await socket.receive_json())["visitors"] < visitors:
                    pass
            for _ in range(CLICKS):
                await socket.send_str("more")
            async with asyncio.timeout(30):
                while True:
                    state = await socket.receive_json()
                    seen += 1
                    if state["count"] == visitors * CLICKS:
                        return seen

    seen = await asyncio.gather(*(visit() for _ in range(visitors)))
    print(
        f"  counter    {visitors} visitors, {CLICKS} clicks each, all saw {visitors * CLICKS}; "
        f"messages: {', '.join(map(str, seen))}"
    )

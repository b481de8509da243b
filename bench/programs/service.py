"""A web service with FastAPI: orders come in as JSON, are checked, added up and answered.

uvicorn service:app
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from fastapi import FastAPI
from pydantic import BaseModel, Field


class Item(BaseModel):
    name: str = Field(max_length=40)
    price: float = Field(ge=0)
    quantity: int = Field(ge=1)


class Order(BaseModel):
    number: int
    placed: datetime
    items: list[Item]
    total: float


app = FastAPI()
lock = asyncio.Lock()
answered = 0


async def stock() -> list[Item]:
    """What a database would be asked for."""
    await asyncio.sleep(0)
    return [Item(name=f"part {number}", price=number / 4, quantity=number) for number in (1, 2, 3)]


@app.get("/orders/{number}")
async def order(number: int) -> Order:
    global answered
    items = await stock()
    async with lock:
        answered += 1
    total = sum(item.price * item.quantity for item in items)
    return Order(number=number, placed=datetime.now(UTC), items=items, total=total)

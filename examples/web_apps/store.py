"""Tools in Postgres, by asyncpg: what the applications on aiohttp and Starlette share."""

from __future__ import annotations

import asyncpg
from tools import NameTakenError, NewTool, Tool

COLUMNS = "id, name, category, cents_a_day"


class Store:
    """All queries there are. Each takes a connection of the pool for its own time only."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def list(self, category: str | None) -> list[Tool]:
        """By number; of all categories if `category` is None."""
        rows = await self._pool.fetch(
            f"select {COLUMNS} from tool where $1::text is null or category = $1 order by id",
            category,
        )
        return [Tool(**row) for row in rows]

    async def find(self, number: int) -> Tool | None:
        row = await self._pool.fetchrow(f"select {COLUMNS} from tool where id = $1", number)
        return None if row is None else Tool(**row)

    async def add(self, tool: NewTool) -> Tool:
        """Raises NameTakenError. That is for the database to say: between a look and an insert of
        ours, somebody else could insert."""
        try:
            row = await self._pool.fetchrow(
                "insert into tool (name, category, cents_a_day) values ($1, $2, $3)"
                f" returning {COLUMNS}",
                tool.name,
                tool.category,
                tool.cents_a_day,
            )
        except asyncpg.UniqueViolationError as error:
            raise NameTakenError(f"there is a tool named {tool.name!r}") from error
        return Tool(**row)

    async def remove(self, number: int) -> bool:
        """Whether it was there."""
        done: str = await self._pool.execute("delete from tool where id = $1", number)
        return done == "DELETE 1"

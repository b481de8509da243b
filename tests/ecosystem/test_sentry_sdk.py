"""Sentry's asyncio integration: what its transport is handed, on asyncio and on ferrio."""

from __future__ import annotations

from pathlib import Path

import pytest

from .programs import output_of

PROGRAM = """
import asyncio
import sentry_sdk
from sentry_sdk.integrations.asyncio import AsyncioIntegration
from sentry_sdk.transport import Transport

class Kept(Transport):
    def capture_envelope(self, envelope):
        EVENTS.extend(item.payload.json for item in envelope.items)

EVENTS = []

async def fetch(number):
    # Seen by this task alone: each has a scope of its own.
    sentry_sdk.set_tag("number", number)
    await asyncio.sleep(0.01)
    with sentry_sdk.start_span(op="db", name=f"query {number}"):
        await asyncio.sleep(0)
    if number == 3:
        raise ValueError("three")

async def main():
    sentry_sdk.init(
        "http://key@127.0.0.1/1",
        traces_sample_rate=1.0,
        transport=Kept,
        integrations=[AsyncioIntegration()],
        auto_enabling_integrations=False,
        shutdown_timeout=0,
    )
    with sentry_sdk.start_transaction(name="request"):
        async with asyncio.TaskGroup() as group:
            group.create_task(fetch(0))
            group.create_task(fetch(1))
        await asyncio.gather(fetch(2), fetch(3), return_exceptions=True)
        await asyncio.wait_for(asyncio.create_task(fetch(4), name="four"), 5)

asyncio.run(main())
for event in EVENTS:
    if event.get("type") == "transaction":
        names = {span["span_id"]: span["description"] for span in event["spans"]}
        for span in sorted(
            (span["op"], span["description"], names.get(span["parent_span_id"], "request"))
            for span in event["spans"]
        ):
            print(*span, sep=", ")
    else:
        (exception,) = event["exception"]["values"]
        frames = [frame["function"] for frame in exception["stacktrace"]["frames"]]
        print(exception["type"], frames, exception["mechanism"]["type"], event["tags"])
"""

SEEN = """\
ValueError ['fetch'] asyncio {'number': 3}
db, query 0, fetch
db, query 1, fetch
db, query 2, fetch
db, query 3, fetch
db, query 4, fetch
function, fetch, request
function, fetch, request
function, fetch, request
function, fetch, request
function, fetch, request
"""


@pytest.mark.parametrize("options", ["--loop=asyncio", "--loop=ferrio", "--loop-only"])
def test_spans_and_errors_of_tasks(options: str, tmp_path: Path) -> None:
    assert output_of(tmp_path, PROGRAM, "-m", "ferrio", "run", options) == SEEN

"""Giving up after some time: for one wait, for a whole block, with a deadline that moves."""

from __future__ import annotations

import asyncio

from lighthouses import ABANDONED, COAST, FARTHEST, report

NEAR = COAST[1]
#: Seconds: enough for a near lighthouse, and not enough for the farthest.
PATIENCE = 0.5


async def main() -> None:
    await one_wait()
    await a_block()
    await progress()
    await saying_so()


async def one_wait() -> None:
    for lighthouse in (NEAR, ABANDONED):
        question = asyncio.create_task(report(lighthouse))
        try:
            answer = await asyncio.wait_for(question, PATIENCE)
        except TimeoutError:
            answer = f"no answer in time; the question was cancelled: {question.cancelled()}"
        print(f"wait_for, {lighthouse.name}: {answer}")


async def a_block() -> None:
    """One deadline for several waits: inside, it is a CancelledError; outside, a TimeoutError."""
    answers = []
    try:
        async with asyncio.timeout(PATIENCE):
            for lighthouse in (NEAR, ABANDONED):
                answers.append(await report(lighthouse))
    except TimeoutError:
        print(f"timeout: {len(answers)} of 2 answers before the deadline: {answers}")


async def progress() -> None:
    """A deadline that is put off with each sign of life limits silence, not the whole."""
    loop = asyncio.get_running_loop()
    parts = 0
    async with asyncio.timeout(PATIENCE) as deadline:
        for lighthouse in COAST:
            await report(lighthouse)
            parts += 1
            deadline.reschedule(loop.time() + PATIENCE)
    print(f"reschedule: {parts} of {len(COAST)} reports arrived, expired: {deadline.expired()}")


async def saying_so() -> None:
    """`shield` keeps the timeout from cancelling: say that it takes long, and go on waiting."""
    question = asyncio.create_task(report(FARTHEST))
    try:
        await asyncio.wait_for(asyncio.shield(question), PATIENCE)
    except TimeoutError:
        print("shield: it takes longer than usual ...")
    print(f"shield: {await question}")

"""The same four questions, one after the other and all at once."""

from __future__ import annotations

import asyncio
import time

from lighthouses import COAST, report


async def one_after_the_other() -> list[str]:
    """Each `await` waits for an answer before the next question is asked."""
    return [await report(lighthouse) for lighthouse in COAST]


async def awaited_too_early() -> list[str]:
    """Looks concurrent and is not: each task is awaited before the next one is made."""
    reports = []
    for lighthouse in COAST:
        task = asyncio.create_task(report(lighthouse))
        reports.append(await task)
    return reports


async def gathered() -> list[str]:
    """All questions are asked, then all answers awaited; they come in the order of asking."""
    return await asyncio.gather(*(report(lighthouse) for lighthouse in COAST))


async def grouped() -> list[str]:
    """As above. The group also sees to it that no task outlives the block."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(report(lighthouse)) for lighthouse in COAST]
    return [task.result() for task in tasks]


async def main() -> None:
    print(f"the sum of all distances is {sum(each.distance for each in COAST):.2f} s,")
    print(f"the greatest distance is    {max(each.distance for each in COAST):.2f} s\n")
    answers = []
    for way in (one_after_the_other, awaited_too_early, gathered, grouped):
        start = time.perf_counter()
        answers.append(await way())
        print(f"{way.__name__:<20} {time.perf_counter() - start:.2f} s")
    is_same = all(answer == answers[0] for answer in answers)
    print(f"\nthe answers are {'the same' if is_same else 'different'}: {', '.join(answers[0])}")

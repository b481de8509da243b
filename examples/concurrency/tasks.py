"""What becomes of a task: when it starts, where its result goes, and where its exception does."""

from __future__ import annotations

import asyncio

from lighthouses import ABANDONED, COAST, FARTHEST, Silence, no_report, report


async def main() -> None:
    await starting()
    await failing()
    await failing_in_company()
    await failing_in_a_group()
    await forgotten()


async def starting() -> None:
    """`create_task` only says that there is work. It starts when the caller next waits."""
    log = ["before"]

    async def note() -> None:
        log.append("task")

    task = asyncio.create_task(note())
    log.append("created")
    await asyncio.sleep(0)
    log.append("after a wait")
    await task
    print(f"order of events: {', '.join(log)}")


async def failing() -> None:
    """The exception stays in the task until somebody asks; then it is raised there."""
    task = asyncio.create_task(no_report(COAST[1]), name="Old Bess")
    await asyncio.wait([task])
    print(f"{task.get_name()} is done, and its exception is {task.exception()!r}")
    try:
        await task
    except Silence as error:
        print(f"awaiting it raises {error!r}")


async def failing_in_company() -> None:
    """`gather` passes on the first exception, and the others go on, unless it is told otherwise."""
    near = COAST[1]
    other = asyncio.create_task(report(FARTHEST))
    try:
        await asyncio.gather(no_report(near), other)
    except Silence as error:
        print(f"gather raises {error!r}; the other task is {'done' if other.done() else 'running'}")
    print(f"... and ends with {await other!r}")
    answers = await asyncio.gather(no_report(near), report(COAST[3]), return_exceptions=True)
    print(f"with return_exceptions=True: {answers}")


async def failing_in_a_group() -> None:
    """A `TaskGroup` cancels the others, waits for them, and raises all that went wrong."""
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(no_report(COAST[1]))
            other = group.create_task(report(ABANDONED))
    except* Silence as errors:
        print(f"the group raises {errors.exceptions}; the other is cancelled: {other.cancelled()}")


async def forgotten() -> None:
    """Whoever starts tasks and moves on has to keep them: the loop itself holds them but weakly.

    An exception that nobody asks for is found when the task is thrown away, and goes to the loop's
    exception handler, which logs it by default.
    """
    loop = asyncio.get_running_loop()
    complaints: list[str] = []
    loop.set_exception_handler(lambda _, context: complaints.append(context["message"]))
    try:
        background = {asyncio.create_task(no_report(COAST[1]))}
        await asyncio.wait(background)
        background.clear()
        print(f"what nobody asked for ends up in the log: {complaints}")
    finally:
        loop.set_exception_handler(None)

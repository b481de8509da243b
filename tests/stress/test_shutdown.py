"""SIGTERM in the middle of the day: what was begun is finished, and the process ends."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Callable

import pytest

from .conftest import Load

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGTERM of Unix")

LOCALHOST = "127.0.0.1"
BODY = 300_000

SERVER = """
    import asyncio, json, random, signal, sys, time
    from tests import loops

    BODY = int(sys.argv[2])

    async def main():
        loop = asyncio.get_running_loop()
        over, told, served, working = asyncio.Event(), 0.0, 0, set()

        def end():
            nonlocal told
            told = time.monotonic()
            over.set()

        async def serve(reader, writer):
            nonlocal served
            working.add(asyncio.current_task())
            stopping = asyncio.ensure_future(over.wait())
            while True:
                request = asyncio.ensure_future(reader.readexactly(8))
                await asyncio.wait([request, stopping], return_when="FIRST_COMPLETED")
                if not request.done():
                    request.cancel()
                    break
                if request.exception():
                    break
                # More than the buffers take, after some work.
                await asyncio.sleep(random.random() / 20)
                writer.write(BODY.to_bytes(4))
                writer.write(request.result() * (BODY // 8))
                await writer.drain()
                served += 1
                if over.is_set():
                    break
            stopping.cancel()
            writer.close()
            await writer.wait_closed()

        async def guarded(reader, writer):
            try:
                await serve(reader, writer)
            except ConnectionError:
                pass
            finally:
                working.discard(asyncio.current_task())

        loop.add_signal_handler(signal.SIGTERM, end)
        server = await asyncio.start_server(guarded, "127.0.0.1", 0, backlog=200)
        print(json.dumps(server.sockets[0].getsockname()), flush=True)
        await over.wait()
        server.close()
        left = list(working)
        if left:
            await asyncio.wait(left, timeout=20)
        print(json.dumps({
            "served": served, "left": len(left), "unfinished": len(working),
            "seconds": time.monotonic() - told,
        }))

    with asyncio.Runner(loop_factory=loops.factory_named(sys.argv[1])) as runner:
        runner.run(main())
    """


async def visitor(address: tuple[str, int], number: int, seen: Counter[str]) -> None:
    """Asks until nobody answers any more. A body that has begun must come to its end."""
    tag = b"%08d" % number
    while True:
        try:
            reader, writer = await asyncio.open_connection(*address)
        except OSError:
            return
        begun = False
        try:
            while True:
                writer.write(tag)
                begun = False
                length = int.from_bytes(await reader.readexactly(4))
                begun = True
                body = await reader.readexactly(length)
                assert body == tag * (length // 8), "somebody else's"
                seen["complete"] += 1
        except (OSError, EOFError) as error:
            began = begun or (isinstance(error, asyncio.IncompleteReadError) and error.partial)
            seen["truncated" if began else "refused"] += 1
        finally:
            writer.close()


def test_sigterm_under_load(
    request: pytest.FixtureRequest, load: Load, figures: Callable[[str], None]
) -> None:
    rounds, visitors = load(3, 50), load(20, 100)
    seen: Counter[str] = Counter()
    seconds: list[float] = []
    left = 0
    name = request.config.getoption("--loop")
    for number in range(rounds):
        with subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(SERVER), name, str(BODY)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as server:
            assert server.stdout is not None
            address = tuple(json.loads(server.stdout.readline()))

            async def main() -> None:
                visits = [visitor(address, n, seen) for n in range(visitors)]  # noqa: B023
                visiting = asyncio.gather(*visits)
                await asyncio.sleep(0.1 + random.Random(number).random() / 5)  # noqa: B023
                server.send_signal(signal.SIGTERM)
                await asyncio.wait_for(visiting, 60)

            asyncio.run(main())
            output, errors = server.communicate(timeout=60)
            assert server.returncode == 0, errors
        report = json.loads(output)
        assert report["unfinished"] == 0
        assert errors == ""
        left += report["left"]
        seconds.append(report["seconds"])
    assert seen["truncated"] == 0
    assert seen["complete"] > 0
    seconds.sort()
    figures(
        f"{rounds} times with {visitors} visitors: {seen['complete']} bodies of {BODY} bytes, none "
        f"cut; {left} connections were open at the signal, all done after "
        f"{seconds[len(seconds) // 2] * 1e3:.0f} ms (median), {seconds[-1] * 1e3:.0f} ms (worst)"
    )

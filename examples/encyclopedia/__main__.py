"""An encyclopedia of invented articles: an aiohttp service, and a crowd of visitors that uses it.

    ferrio run examples/encyclopedia              on asyncio
    ferrio run examples/encyclopedia          on ferrio

A program as people write them, on nothing but asyncio and aiohttp: HTML pages with ETags, JSON, a
search in threads, a streamed export, WebSockets, background tasks, task groups, timeouts. It checks
everything that it receives and prints how long it took.
"""

from __future__ import annotations

import argparse
import asyncio
import time

from aiohttp import web
from articles import Article, write_articles
from measure import Stopwatch
from service import VISITS, make_app
from visitors import Visitors
from yarl import URL


async def main(options: argparse.Namespace) -> None:
    loop = type(asyncio.get_running_loop())
    print(f"running on {loop.__module__}.{loop.__qualname__}")
    articles = write_articles(options.pages)
    app = make_app(articles)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", options.port).start()
        host, port = runner.addresses[0][:2]
        base = URL.build(scheme="http", host=host, port=port)
        print(f"serving {len(articles)} articles on {base}, {options.crowd} visitors at a time\n")
        start = time.perf_counter(), time.process_time()
        await visit(base, articles, options)
        wall, cpu = time.perf_counter() - start[0], time.process_time() - start[1]
        print(f"\n{app[VISITS].total()} requests served, all answers as expected")
        print(f"{wall:.2f} s, of which {cpu:.2f} s on the CPU (server and visitors together)")
    finally:
        await runner.cleanup()


async def visit(base: URL, articles: list[Article], options: argparse.Namespace) -> None:
    print(f"{'':22} {Stopwatch.HEADER}")
    async with Visitors(base, articles, options.crowd) as visitors:
        for title, phase in {
            "crawl the pages": visitors.crawl,
            "read JSON": visitors.read,
            "search": visitors.search,
            "stream the export": visitors.download,
            "chat over WebSockets": visitors.chat,
        }.items():
            watch = Stopwatch()
            await phase(watch)
            print(f"{title:22} {watch.summary()}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pages", type=int, default=500, help="how many articles (default: 500)")
    parser.add_argument("--crowd", type=int, default=64, help="connections at once (default: 64)")
    parser.add_argument("--port", type=int, default=0, help="port to serve on (default: any)")
    asyncio.run(main(parser.parse_args()))

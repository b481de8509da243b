"""Work for the processor: processes, map and reduce, and a loop in each process.

    ferrio run examples/cpu_bound               all of it, small
    ferrio run examples/cpu_bound pool          the loop, threads and processes compared
    ferrio run examples/cpu_bound mapreduce     map and reduce with a progress bar
    ferrio run examples/cpu_bound loops         one loop in each process

`python` in place of `ferrio run` runs the same on asyncio.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import corpus
import loops
import mapreduce
import pool

WORKERS = os.cpu_count() or 2


async def main(options: argparse.Namespace) -> None:
    loop = type(asyncio.get_running_loop())
    print(f"running on {loop.__module__}.{loop.__qualname__}", flush=True)
    match options.program:
        case "pool":
            await pool.run(options.limit, options.workers)
        case "mapreduce":
            with data_set(options.lines, options.keep) as (path, uses):
                await mapreduce.run(path, options.lines, uses, options.workers)
        case "loops":
            await loops.run(options.documents, options.workers, options.connections)
        case _:
            await run_all()


async def run_all() -> None:
    await pool.run(60_000, WORKERS)
    await loops.run(400, WORKERS, 10)
    with data_set(300_000, None) as (path, uses):
        await mapreduce.run(path, 300_000, uses, WORKERS)


@contextlib.contextmanager
def data_set(lines: int, keep: Path | None) -> Iterator[tuple[Path, int]]:
    """A corpus in a file, and the uses in it; the file goes with the block, unless kept."""
    with tempfile.TemporaryDirectory() as folder:
        path = keep or Path(folder) / "words.tsv"
        start = time.perf_counter()
        uses = corpus.write_corpus(path, lines)
        took, size = time.perf_counter() - start, path.stat().st_size
        print(f"corpus: {lines} lines, {size / 1e6:.1f} MB, written in {1e3 * took:.0f} ms")
        yield path, uses


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="cpu_bound", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    programs = parser.add_subparsers(dest="program", metavar="PROGRAM")

    def add(name: str, text: str) -> argparse.ArgumentParser:
        program = programs.add_parser(
            name,
            help=text.partition("\n")[0],
            description=text,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        program.add_argument(
            "--workers", type=int, default=WORKERS, help=f"processes (default: {WORKERS})"
        )
        return program

    primes = add("pool", pool.__doc__ or "")
    primes.add_argument(
        "--limit", type=int, default=300_000, help="of the primes (default: 300000)"
    )
    words = add("mapreduce", mapreduce.__doc__ or "")
    many = add("loops", loops.__doc__ or "")
    many.add_argument("--documents", type=int, default=5000, help="to fetch (default: 5000)")
    many.add_argument("--connections", type=int, default=20, help="of each process (default: 20)")
    words.add_argument(
        "--lines", type=int, default=3_000_000, help="of the data set (default: 3000000)"
    )
    words.add_argument("--keep", type=Path, help="write the data set to this file")
    return parser.parse_args(arguments)


# Each process of a pool imports this file, by another name: what is below is for the first one.
if __name__ == "__main__":
    try:
        asyncio.run(main(parse(sys.argv[1:])))
    except KeyboardInterrupt:
        sys.exit(130)

"""Map and reduce on Dask: from a pool of processes to a cluster, and what that costs.

    ferrio run examples/cluster                 all of it, small
    ferrio run examples/cluster one             the process pool, and a cluster on this machine
    ferrio run examples/cluster two             ... on two machines, the second one simulated
    ferrio run examples/cluster connect ADDRESS a cluster that runs already

`python` in place of `ferrio run` runs the same on asyncio, scheduler and workers included. The job
is that of examples/cpu_bound: how often each word is used in a large file.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

# The job, and the pool that the cluster is compared with, are those of another recipe.
sys.path.append(str(Path(__file__).resolve().parents[1] / "cpu_bound"))

import corpus
import mapreduce
from counting import count_after_moving_the_data, count_where_the_data_is
from distributed import Client, as_completed
from machines import ALONE, Machine, NoSecondMachineError, Pair, two_machines
from nodes import cluster, run_node
from pool import SPAWN
from wordcount import count_words, merge, summary

#: Pieces that each worker's part of the data is cut into.
PIECES = 4


@dataclass(frozen=True)
class Data:
    """The words, in a file for each of two machines."""

    parts: dict[str, Path]
    #: What the files say, counted once, for all others to be compared with.
    counted: dict[str, int]

    def check(self, counted: dict[str, int]) -> None:
        if counted != self.counted:
            raise AssertionError(f"counted {summary(counted)}, expected {summary(self.counted)}")


async def on_the_pool(data: Data) -> None:
    """What a cluster has to beat: processes of this machine, which read the files themselves."""
    with ProcessPoolExecutor(len(data.parts), mp_context=SPAWN) as executor:
        start = time.perf_counter()
        counts = [
            await mapreduce.map_reduce(executor, count_words, path, corpus.cut(path, PIECES))
            for path in data.parts.values()
        ]
        took = time.perf_counter() - start
    data.check(merge(*counts))
    print(f"pool: {len(data.parts)} processes, their start included: {1e3 * took:.0f} ms")


async def on_one_machine(data: Data) -> None:
    machines = [Machine(name, "127.0.0.1") for name in data.parts]
    start = time.perf_counter()
    async with cluster(machines) as (scheduler, *workers):
        took = time.perf_counter() - start
        loops = ", ".join(sorted({node.loop for node in (scheduler, *workers)}))
        print(f"one: a scheduler and {len(workers)} workers there after {took:.1f} s, on {loops}")
        async with connected(scheduler.address) as client:
            for when in ("at first", "again"):
                start = time.perf_counter()
                data.check(await count_where_the_data_is(client, data.parts, PIECES))
                took = time.perf_counter() - start
                print(f"one: counted {when}: {1e3 * took:.0f} ms, the same words as the pool")


async def on_two_machines(data: Data) -> None:
    try:
        async with two_machines() as pair:
            print(f"two: {pair.near.address} and {pair.far.address}, joined by a cable")
            await compare(pair, data)
    except NoSecondMachineError as problem:
        print(f"two: on one machine, at two addresses of it: {problem}")
        await compare(ALONE, data)


async def compare(pair: Pair, data: Data) -> None:
    async with (
        cluster([pair.near, pair.far]) as (scheduler, *_),
        connected(scheduler.address) as client,
    ):
        # Both workers have then imported what they need.
        await count_where_the_data_is(client, data.parts, 1)
        for what, count in {
            "counted where the data is": count_where_the_data_is,
            "counted after moving it": count_after_moving_the_data,
        }.items():
            before, start = pair.carried(), time.perf_counter()
            data.check(await count(client, data.parts, PIECES))
            took, after = time.perf_counter() - start, pair.carried()
            moved = "over the loopback"
            if before is not None and after is not None:
                moved = f"{(after - before) / 1e6:.1f} MB over the cable"
            print(f"two: {what}: {1e3 * took:.0f} ms, {moved}")
    size = sum(path.stat().st_size for path in data.parts.values())
    print(f"two: {size / 1e6:.1f} MB of data; {summary(data.counted)}")


async def on_a_running_cluster(address: str, data: Data) -> None:
    """Any worker may read any piece: all must have the files, or share the folder they are in."""
    async with connected(address) as client:
        # Names and versions of Python and packages have to agree, or pickles do not.
        await client.get_versions(check=True)
        await client.wait_for_workers(1)
        count = len(await client.ncores())
        # The workers do not have this program: it is sent to them.
        for module in (corpus, sys.modules["wordcount"]):
            await client.upload_file(str(module.__file__))
        start = time.perf_counter()
        futures = [
            client.submit(count_words, path, *piece, pure=False)
            for path in data.parts.values()
            for piece in corpus.cut(path, max(PIECES, 2 * count))
        ]
        counted: dict[str, int] = {}
        async for _, uses in as_completed(futures, with_results=True):
            counted = merge(counted, uses)
        data.check(counted)
        took = time.perf_counter() - start
    print(f"connect: {count} workers: {1e3 * took:.0f} ms, the same words")


@contextlib.asynccontextmanager
async def connected(address: str) -> AsyncIterator[Client]:
    """A client on our loop: what would wait is awaited, and no thread is needed beside."""
    async with Client(address, asynchronous=True) as client:
        yield client


@contextlib.contextmanager
def data_set(lines: int) -> Iterator[Data]:
    """Half of the lines for each machine, in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        parts = {}
        start = time.perf_counter()
        # As many lines, but not the same: what is in a corpus follows from their number.
        for name, count in {"near": lines // 2 - 1, "far": lines - lines // 2 + 1}.items():
            parts[name] = Path(folder, name, "words.tsv")
            parts[name].parent.mkdir()
            corpus.write_corpus(parts[name], count)
        counted = merge(*(count_words(path, 0, path.stat().st_size) for path in parts.values()))
        took = time.perf_counter() - start
        print(f"data: {lines} lines in two files, written and counted in {1e3 * took:.0f} ms")
        yield Data(parts, counted)


async def main(options: argparse.Namespace) -> None:
    if options.program == "node":
        await run_node(options.kind, options.host, options.scheduler, options.name)
        return
    loop = type(asyncio.get_running_loop())
    print(f"running on {loop.__module__}.{loop.__qualname__}", flush=True)
    with data_set(options.lines) as data:
        if options.program in (None, "one"):
            await on_the_pool(data)
            await on_one_machine(data)
        if options.program in (None, "two"):
            await on_two_machines(data)
        if options.program == "connect":
            await on_a_running_cluster(options.address, data)


def parse(arguments: list[str]) -> argparse.Namespace:
    sized = argparse.ArgumentParser(add_help=False)
    sized.add_argument(
        "--lines", type=int, default=300_000, help="of the data set (default: 300000)"
    )
    parser = argparse.ArgumentParser(
        prog="cluster",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[sized],
    )
    programs = parser.add_subparsers(dest="program", metavar="PROGRAM")
    programs.add_parser("one", help="on this machine, beside a process pool", parents=[sized])
    programs.add_parser("two", help="on two machines, one simulated (as root)", parents=[sized])
    connect = programs.add_parser("connect", help="on a cluster that runs", parents=[sized])
    connect.add_argument("address", help="of its scheduler, as tcp://HOST:8786")
    node = programs.add_parser("node", help="a scheduler or a worker: the others start these")
    node.add_argument("kind", choices=["scheduler", "worker"])
    node.add_argument("--host", default="127.0.0.1", help="address to listen on")
    node.add_argument("--scheduler", help="worker: the scheduler's address")
    node.add_argument("--name", help="worker: how jobs may ask for it")
    return parser.parse_args(arguments)


# Each process of a pool imports this file, by another name: what is below is for the first one.
if __name__ == "__main__":
    # A worker whose scheduler has gone first says so; what fails in a job is raised by its future.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    try:
        asyncio.run(main(parse(sys.argv[1:])))
    except KeyboardInterrupt:
        sys.exit(130)

"""The job of cpu_bound on a cluster: words counted where the data is, or where the workers are.

`client.submit` gives a future that names a result in the memory of a worker. Given to another
`submit`, it stands for that result: what moves is what the next job lacks, from worker to worker,
and to us only what we gather.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from corpus import cut
from distributed import Client, Future
from wordcount import count_words, merge

T = TypeVar("T")


async def count_where_the_data_is(
    client: Client, parts: Mapping[str, Path], pieces: int
) -> dict[str, int]:
    """`parts`: the file that each worker has at hand. Dictionaries travel, lines do not."""
    totals = []
    for worker, path in parts.items():
        counts = [
            # Another worker may not have the file. Where all have it, leave that out: then Dask
            # chooses who has time.
            client.submit(count_words, path, *piece, workers=[worker], pure=False)
            for piece in cut(path, pieces)
        ]
        # Merged where they are, so that one dictionary leaves each machine, and not many.
        totals.append(tree(client, counts, workers=[worker]))
    result: dict[str, int] = await tree(client, totals)
    return result


async def count_after_moving_the_data(
    client: Client, parts: Mapping[str, Path], pieces: int
) -> dict[str, int]:
    """All of it is read by the worker that has it, and counted by the others: lines travel."""
    workers = list(parts)
    counts = []
    for number, (worker, path) in enumerate(parts.items()):
        other = workers[(number + 1) % len(workers)]
        for piece in cut(path, pieces):
            text = client.submit(read, path, *piece, workers=[worker], pure=False)
            counts.append(client.submit(count_text, text, workers=[other], pure=False))
    result: dict[str, int] = await tree(client, counts)
    return result


def tree(client: Client, futures: list[Future], **where: Any) -> Future:
    """The merged results, two at a time: a merge can begin when its two are there."""
    while len(futures) > 1:
        pairs = zip(futures[::2], futures[1::2], strict=False)
        odd = futures[len(futures) // 2 * 2 :]
        futures = [client.submit(merge, *pair, pure=False, **where) for pair in pairs] + odd
    return futures[0]


def read(path: Path, start: int, stop: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return file.read(stop - start)


def count_text(text: bytes) -> dict[str, int]:
    uses: dict[str, int] = {}
    for line in text.decode("ascii").splitlines():
        word, _, count = line.split("\t")
        uses[word] = uses.get(word, 0) + int(count)
    return uses

"""Makes a fresh process's allocator like that of a program that has run for a while."""

from __future__ import annotations

BLOCK_BYTES = 1 << 20


def settle() -> None:
    """Allocates and frees one large block.

    glibc serves blocks of 128 KiB and more by `mmap`, and gives them back at once, until the first
    of them has been freed: then it raises that limit to the block's size. asyncio reads into fresh
    blocks of 256 KiB, so that until something large happens to be freed each `recv` costs it some
    20 µs of page faults. Real programs free something large sooner or later; peers are measured at
    their best.
    """
    bytes(BLOCK_BYTES)

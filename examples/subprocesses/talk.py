"""Conversations by standard input: taking turns, and pipelines.

A prompt has no newline, so who waits for a line waits for ever: `readuntil` waits for the prompt.
And a child that reads to the end answers when its input is closed, not before.
"""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE

from processes import how_it_ended, running

#: Thinks of a number, and answers guesses; not with more than one word.
GAME = """
import random, sys
limit = int(sys.argv[1])
number = random.Random(sys.argv[2]).randint(1, limit)
while True:
    guess = int(input("your guess? "))
    if guess == number:
        break
    print("higher" if guess < number else "lower")
print("yes")
"""
PROMPT = b"your guess? "


async def play(limit: int, seed: int) -> None:
    """Finds the number that the child thinks of, by halving."""
    low, high, guesses = 1, limit, 0
    async with running(
        sys.executable, "-c", GAME, str(limit), str(seed), stdin=PIPE, stdout=PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        while True:
            await process.stdout.readuntil(PROMPT)
            guess, guesses = (low + high) // 2, guesses + 1
            process.stdin.write(b"%d\n" % guess)
            await process.stdin.drain()
            answer = (await process.stdout.readline()).strip()
            if answer == b"higher":
                low = guess + 1
            elif answer == b"lower":
                high = guess - 1
            elif answer == b"yes":
                break
            else:
                raise AssertionError(f"the child says {answer!r}")
        status = await process.wait()
    print(
        f"talk: it was {guess}, found by {guesses} guesses of 1 to {limit}, {how_it_ended(status)}"
    )


async def count_words(words: list[str]) -> dict[str, int]:
    """`sort | uniq -c`: two processes and a pipe of the system's between them."""
    reading, writing = os.pipe()
    async with running("sort", stdin=PIPE, stdout=writing, env={"LC_ALL": "C"}) as sort:
        # With our copy of the writing end open, uniq would never see the end of its input.
        os.close(writing)
        async with running("uniq", "-c", stdin=reading, stdout=PIPE) as uniq:
            os.close(reading)
            text = "".join(f"{word}\n" for word in words).encode()
            _, (output, _) = await asyncio.gather(sort.communicate(text), uniq.communicate())
    counted = (line.split() for line in output.decode().splitlines())
    return {word: int(count) for count, word in counted}


async def run(limit: int, seed: int, words: int) -> None:
    await play(limit, seed)
    vocabulary = ("pear", "plum", "fig", "quince", "sloe")
    counts = await count_words([vocabulary[n * n % len(vocabulary)] for n in range(words)])
    print(f"talk: sort | uniq -c counted {sum(counts.values())} words: {counts}")

"""The data: stops, travel cards and rides of a tram network that does not exist."""

from __future__ import annotations

import datetime
import random
from collections.abc import Iterator

Stop = tuple[int, str, int]
Card = tuple[int, str, str, int]
Ride = tuple[int, int, int, datetime.datetime, int]

FIRST_HALVES = (
    "Mill",
    "Castle",
    "Copper",
    "Linden",
    "Harbour",
    "Fuller's",
    "Observatory",
    "Dyer's",
)
SECOND_HALVES = ("Lane", "Bridge", "Yard", "Steps", "Quay", "Green", "Gate", "Row")
KINDS = ("adult", "child", "senior")
CARDS = 1000
OPENING_DAY = datetime.datetime(2021, 3, 1, 5, tzinfo=datetime.UTC)


def stops() -> list[Stop]:
    """(id, name, zone); 64 of them, in zones 1 to 4."""
    names = [f"{first} {second}" for second in SECOND_HALVES for first in FIRST_HALVES]
    return [(number, name, 1 + number % 4) for number, name in enumerate(names, 1)]


def cards() -> list[Card]:
    """(id, holder, kind, balance in cents)."""
    dice = random.Random("cards")
    return [
        (number, f"holder {number}", dice.choice(KINDS), dice.randrange(500, 5000))
        for number in range(1, CARDS + 1)
    ]


def rides(count: int) -> Iterator[Ride]:
    """(card, from stop, to stop, time of boarding, fare in cents); the same ones in every run."""
    dice = random.Random("rides")
    boarded = OPENING_DAY
    last = len(stops())
    for _ in range(count):
        boarded += datetime.timedelta(seconds=dice.randrange(1, 40))
        start, end = dice.sample(range(1, last + 1), 2)
        yield dice.randint(1, CARDS), start, end, boarded, 120 + 40 * abs(start % 4 - end % 4)

"""The content: a few hundred articles that link to each other, the same in every run."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass, field

SYLLABLES = ("an", "ber", "cor", "dun", "el", "far", "gal", "hol", "is", "jor", "kel", "lum", "mar")


@dataclass(frozen=True)
class Article:
    """One page of the encyclopedia."""

    number: int
    title: str
    paragraphs: tuple[str, ...]
    #: Numbers of the articles that this one refers to.
    links: tuple[int, ...]
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        text = "\n".join((self.title, *self.paragraphs))
        object.__setattr__(self, "digest", hashlib.sha256(text.encode()).hexdigest())

    def as_dict(self) -> dict[str, object]:
        return {
            "number": self.number,
            "title": self.title,
            "paragraphs": self.paragraphs,
            "links": self.links,
            "digest": self.digest,
        }


def write_articles(count: int) -> list[Article]:
    """`count` articles; each can be reached from article 0 by following links."""
    dice = random.Random(count)

    def word() -> str:
        return "".join(dice.choices(SYLLABLES, k=dice.randint(1, 3)))

    def sentence() -> str:
        return " ".join(word() for _ in range(dice.randint(6, 14))).capitalize() + "."

    articles = []
    for number in range(count):
        # A binary tree reaches everything; the other links make many ways to the same page.
        below = [child for child in (2 * number + 1, 2 * number + 2) if child < count]
        elsewhere = dice.sample(range(count), k=min(count, 6))
        paragraphs = tuple(
            " ".join(sentence() for _ in range(dice.randint(3, 7)))
            for _ in range(dice.randint(2, 12))
        )
        title = f"{word()} {word()}".title()
        articles.append(Article(number, title, paragraphs, (*below, *elsewhere)))
    return articles

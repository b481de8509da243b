"""The list of those methods of the loop that are the interpreter's own functions."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import ferrio
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

from ferrio._ferrio import BaseLoop

PAGE = "reference/loop.md"
PLACE = "<!-- borrowed: docs/hooks/borrowed.py puts the list here -->"
MANUAL = "https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.loop."


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    if page.file.src_uri != PAGE:
        return markdown
    if PLACE not in markdown:
        raise PluginError(f"{PAGE} has no place for the borrowed methods")
    return markdown.replace(PLACE, "\n".join(lines()))


def lines() -> Iterator[str]:
    yield "| method | what it does |"
    yield "|---|---|"
    for name in borrowed():
        text = (getattr(asyncio.BaseEventLoop, name).__doc__ or "").strip().partition("\n\n")[0]
        yield f"| [`{name}`]({MANUAL}{name}) | {' '.join(text.split())} |"


def borrowed() -> list[str]:
    """Public methods of the loop that are not native."""
    return [
        name
        for name in sorted(vars(asyncio.AbstractEventLoop))
        if not name.startswith("_")
        and hasattr(asyncio.BaseEventLoop, name)
        and not hasattr(BaseLoop, name)
        and getattr(ferrio.Loop, name) is not getattr(asyncio.AbstractEventLoop, name)
    ]

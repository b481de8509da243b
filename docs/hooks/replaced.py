"""The table of what `ferrio.aio` has in place of asyncio's own."""

from __future__ import annotations

from collections.abc import Iterator

from ferrio import aio
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

PAGE = "reference/aio.md"
PLACE = "<!-- replaced: docs/hooks/replaced.py puts the table here -->"

#: Where Python's documentation describes what a module of asyncio's defines.
MANUAL = "https://docs.python.org/3/library/"
CHAPTERS = {
    "asyncio.locks": "asyncio-sync.html",
    "asyncio.queues": "asyncio-queue.html",
    "asyncio.streams": "asyncio-stream.html",
    "asyncio.tasks": "asyncio-task.html",
    "asyncio.taskgroups": "asyncio-task.html",
    "asyncio.timeouts": "asyncio-task.html",
}


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    if page.file.src_uri != PAGE:
        return markdown
    if PLACE not in markdown:
        raise PluginError(f"{PAGE} has no place for what is replaced")
    return markdown.replace(PLACE, "\n".join(lines()))


def lines() -> Iterator[str]:
    yield "| module | names |"
    yield "|---|---|"
    for module, names in aio.REPLACED.items():
        yield f"| `{module}` | {', '.join(link(module, name) for name in names)} |"


def link(module: str, name: str) -> str:
    chapter = CHAPTERS.get(module, "asyncio-api-index.html")
    # Exceptions and constants have a chapter of their own, or no anchor at all.
    anchor = f"#asyncio.{name}" if callable(getattr(aio, name)) and module in CHAPTERS else ""
    return f"[`{name}`]({MANUAL}{chapter}{anchor})"

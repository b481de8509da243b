"""Code of the how-to pages, taken from the programs when the site is built.

A README shows a part of a program by a link that stands alone, with a title that says what:

    [`shop` in frontend.py](frontend.py "code: shop; marked: asyncio.wait(, timeout=")

On the forge that is a link to the file. In the site it becomes the code of the function or class
`shop` (of a method, by `Class.method`; of the whole file, by `*`), with the lines highlighted that
have one of the marked texts in them, and a link to the whole program. A name or a text that is not
there any more is an error: what is shown cannot go stale.
"""

from __future__ import annotations

import ast
import re
import textwrap
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
HOW_TO = "howto"

#: A link that stands for code.
LINK = re.compile(
    r"^\[(?P<label>[^\]]+)\]\((?P<file>[\w./]+)"
    r" \"code: (?P<name>[\w.*]+)(?:; marked: (?P<marked>[^\"]+))?\"\)$",
    re.M,
)
#: What looks as if it were meant to be one.
ATTEMPT = re.compile(r"\"code:")

LANGUAGES = {".py": "python", ".html": "html"}


@dataclass(frozen=True)
class Excerpt:
    """Some lines of a file."""

    path: Path
    #: Of the first one, counted from 1.
    line: int
    text: str
    #: Lines that are highlighted, counted from 1 within the excerpt.
    marked: tuple[int, ...]

    @classmethod
    def of(cls, path: Path, name: str, marked: str | None) -> Excerpt:
        """Raises ValueError for a name or a text that the file does not have."""
        source = path.read_text()
        first, last = (1, len(source.splitlines())) if name == "*" else span(source, name, path)
        text = textwrap.dedent("\n".join(source.splitlines()[first - 1 : last]))
        found: set[int] = set()
        for mark in (marked or "").split(", "):
            lines = {n for n, line in enumerate(text.splitlines(), 1) if mark and mark in line}
            if mark and not lines:
                raise ValueError(f"{path}: there is no {mark!r} in {name}")
            found |= lines
        return cls(path, first, text, tuple(sorted(found)))

    def markdown(self) -> str:
        """A block of code, and a link to the file, which repository.py has lead to its page."""
        marked = f' hl_lines="{" ".join(map(str, self.marked))}"' if self.marked else ""
        language = LANGUAGES[self.path.suffix]
        return (
            f'````{language} title="{self.path.name}" linenums="{self.line}"{marked}\n'
            f"{self.text}\n````\n\n"
            f"The whole of [`{self.path.name}`]({self.path.name}).\n"
        )


def span(source: str, name: str, path: Path) -> tuple[int, int]:
    """First and last line of a function or class, decorators included."""
    body: list[ast.stmt] = ast.parse(source).body
    found: ast.stmt | None = None
    for part in name.split("."):
        found = next((node for node in body if getattr(node, "name", None) == part), None)
        if not isinstance(found, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            raise ValueError(f"{path}: there is no {name}")
        body = found.body
    assert isinstance(found, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
    assert found.end_lineno is not None
    return min([found.lineno, *(d.lineno for d in found.decorator_list)]), found.end_lineno


def with_code(markdown: str, folder: Path) -> str:
    """`markdown`, a README in `folder`, with the code in the place of the links."""
    shown = LINK.sub(
        lambda link: Excerpt.of(folder / link["file"], link["name"], link["marked"]).markdown(),
        markdown,
    )
    if ATTEMPT.search(shown):
        raise ValueError(f"{folder}/README.md: a link to code that is not alone on its line")
    return shown


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    from mkdocs.exceptions import PluginError

    place = PurePosixPath(page.file.src_uri)
    folder = ROOT / "examples" / place.stem
    if place.parent != PurePosixPath(HOW_TO) or not (folder / "README.md").exists():
        return markdown
    try:
        return with_code(markdown, folder)
    except ValueError as error:
        raise PluginError(str(error)) from error

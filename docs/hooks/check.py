"""Checks a built site: nothing is fetched from elsewhere, and no link leads nowhere.

    python docs/hooks/check.py .build/site

mkdocs checks the links of Markdown; this looks at what came out, those of templates, docstrings and
raw HTML included. Links for the reader to follow may lead anywhere; what a browser fetches by
itself (scripts, styles, fonts, pictures, frames) has to be in the site.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

#: Attributes whose address a browser fetches by itself; `href` only of these elements.
FETCHED = {"src", "srcset", "poster", "data"}
FETCHING_LINKS = {"stylesheet", "icon", "preload", "prefetch", "preconnect", "modulepreload"}
IN_STYLES = re.compile(r"""(?:url\(\s*['"]?|@import\s+['"])([^'")]+)""")


@dataclass
class Document(HTMLParser):
    """What one page defines, links to and has fetched."""

    path: Path
    names: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self._is_style = False
        self.feed(self.path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value for name, value in attrs if value}
        self._is_style = tag == "style"
        self.names.update(values[name] for name in ("id", "name") if name in values)
        self.fetched += [values[name] for name in FETCHED & values.keys()]
        self.fetched += IN_STYLES.findall(values.get("style", ""))
        # The theme's script asks GitHub for the number of stars of such an element's repository.
        if values.get("data-md-component") == "source":
            self.fetched.append("https://api.github.com")
        if "href" in values:
            kinds = set(values.get("rel", "").split())
            if (tag == "link" and kinds & FETCHING_LINKS) or tag in ("image", "use"):
                self.fetched.append(values["href"])
            elif tag == "a":
                self.links.append(values["href"])

    def handle_data(self, data: str) -> None:
        if self._is_style:
            self.fetched += IN_STYLES.findall(data)


def main() -> int:
    parser = argparse.ArgumentParser(description="Check a built site.")
    parser.add_argument("site", type=Path)
    site: Path = parser.parse_args().site
    wrong = sorted(problems(site))
    for problem in wrong:
        print(problem, file=sys.stderr)
    print(f"{site}: {len(list(site.rglob('*.html')))} pages, {len(wrong)} problems")
    return 1 if wrong else 0


def problems(site: Path) -> Iterator[str]:
    """A line for each thing that is wrong."""
    documents = {path.resolve(): Document(path.resolve()) for path in site.rglob("*.html")}
    for document in documents.values():
        where = document.path.relative_to(site.resolve())
        for address in document.fetched:
            if is_elsewhere(address):
                yield f"{where}: fetches {address}"
            elif is_missing(document.path, address, site):
                yield f"{where}: fetches {address}, which is not there"
        for address in document.links:
            yield from broken(document, address, documents, site)
    for style in site.rglob("*.css"):
        for address in IN_STYLES.findall(style.read_text()):
            if is_elsewhere(address):
                yield f"{style.relative_to(site)}: fetches {address}"


def broken(
    document: Document, address: str, documents: dict[Path, Document], site: Path
) -> Iterator[str]:
    where = document.path.relative_to(site.resolve())
    if urlsplit(address).scheme or address.startswith("//"):
        return
    path = target(document.path, address, site)
    fragment = unquote(urlsplit(address).fragment)
    if not path.exists():
        yield f"{where}: links to {address}, which is not there"
    elif fragment and path in documents and fragment not in documents[path].names:
        yield f"{where}: links to {address}, and there is nothing of that name"


def target(page: Path, address: str, site: Path) -> Path:
    """The file that `address` means on the page `page`."""
    path = unquote(urlsplit(address).path)
    if not path:
        return page
    # Only 404.html, which a server shows at any address, has links that begin at the root.
    found = (site / path[1:] if path.startswith("/") else page.parent / path).resolve()
    return found / "index.html" if found.is_dir() else found


def is_missing(page: Path, address: str, site: Path) -> bool:
    return urlsplit(address).scheme != "data" and not target(page, address, site).exists()


def is_elsewhere(address: str) -> bool:
    return address.startswith("//") or urlsplit(address).scheme in ("http", "https")


if __name__ == "__main__":
    sys.exit(main())

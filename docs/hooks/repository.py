"""Pages of the site that are files elsewhere in the repository, and the links of all of them.

A README belongs beside what it describes, where the forge shows it and where its author changes it.
So it is not copied into `docs`: it becomes a page when the site is built. Links of all pages are
written as paths in the repository, which is what works in a clone and on a forge; here they become
links to the page that a file has, for other files one that shows them (source_pages.py).
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import source_pages
from ferrio._cookbook import READING_ORDER, first_sentence
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]

#: Files of the repository that are pages, and where in the site.
PAGES = {
    "README.md": "index.md",
    "ARCHITECTURE.md": "architecture.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "bench/README.md": "performance.md",
}

HOW_TO = "howto"
#: In whose place the list of examples stands.
EXAMPLES = "<!-- examples: docs/hooks/repository.py puts the list here -->"

#: `](target)` or `](target "title")` of a link or an image.
LINK = re.compile(r"\]\((?P<target>[^()\s]+)(?P<title>\s+\"[^\"]*\")?\)")
IMAGES = {".svg", ".png", ".jpg", ".jpeg", ".gif", ".webp"}
#: What is said to the tests alone, see tests/docs/blocks.py.
TEST_COMMENT = re.compile(r"^[ \t]*<!-- test: .*? -->[ \t]*\n", re.M)
FENCE = re.compile(r"^ *(```|~~~)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Puts the pages of the examples into the navigation, and where the source is below each page.

    Not `repo_url`, for which the theme would ask a forge each time that a page is opened.
    """
    if address := project()["project"].get("urls", {}).get("Source"):
        icon = "fontawesome/brands/git-alt"
        config.extra["social"] = [{"icon": icon, "link": address, "name": "Source"}]
    assert config.nav is not None
    for section in config.nav:
        if "How-to" in section:
            section["How-to"] = [f"{HOW_TO}/index.md"]
            section["How-to"] += [
                {title(readme): f"{HOW_TO}/{readme.parent.name}.md"} for readme in examples()
            ]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that are files elsewhere, and the pictures in them."""
    for source, page in pages().items():
        files.append(generated(config, page, ROOT / source))
        for picture in pictures(ROOT / source):
            place = picture_in_site(picture)
            if files.get_file_from_path(place) is None:
                files.append(generated(config, place, picture))
    for shown in source_pages.generated(config, dict.fromkeys(linked_sources())):
        files.append(shown)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Gives links their targets in the site, and takes out what is for the tests alone."""
    if page.file.src_uri.startswith(f"{source_pages.FOLDER}/"):
        return markdown
    markdown = TEST_COMMENT.sub("", markdown)
    source = sources().get(page.file.src_uri, f"docs/{page.file.src_uri}")
    lines, is_code = [], False
    for line in markdown.splitlines(keepends=True):
        if FENCE.match(line):
            is_code = not is_code
        lines.append(line if is_code else with_links(line, source, page.file, files))
    markdown = "".join(lines).replace(EXAMPLES, list_of_examples())
    return f"{markdown}\n{next_example(source)}" if source in pages() else markdown


def with_links(line: str, source: str, page: File, files: Files) -> str:
    """`line` of the file `source`, which is the page `page`, with links that work in the site."""

    def replace(match: re.Match[str]) -> str:
        target = in_site(match["target"], source, page.src_uri, files)
        return f"]({target}{match['title'] or ''})"

    return LINK.sub(replace, line)


def in_site(target: str, source: str, page: str, files: Files) -> str:
    """What `target`, a link in the file `source`, is called from the page `page`."""
    parts = urlsplit(target)
    if parts.scheme or not parts.path:
        return target
    folder = PurePosixPath(source).parent
    path = os.path.normpath(folder / parts.path)
    suffix = f"#{parts.fragment}" if parts.fragment else ""
    file = ROOT / path
    if path in pages():
        place = pages()[path]
    elif is_in_site(path, files):
        place = path.removeprefix("docs/")
    elif file.suffix in IMAGES and file.exists():
        place = picture_in_site(file)
    elif file.exists():
        place = source_pages.place(file)
    else:
        raise PluginError(f"{source}: link to {target}, but there is no {path}")
    return os.path.relpath(place, PurePosixPath(page).parent) + suffix


def is_in_site(path: str, files: Files) -> bool:
    """Whether `path`, in the repository, is a file of `docs` that the site takes as it is."""
    found = files.get_file_from_path(path.removeprefix("docs/"))
    # Hooks stand there, too, and are left out.
    if not path.startswith("docs/") or found is None:
        return False
    return found.inclusion is not InclusionLevel.EXCLUDED


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def pages() -> dict[str, str]:
    """Every file outside of `docs` that is a page: its path, and the page's."""
    found = dict(PAGES)
    for readme in examples():
        found[readme.relative_to(ROOT).as_posix()] = f"{HOW_TO}/{readme.parent.name}.md"
    return found


def sources() -> dict[str, str]:
    return {page: source for source, page in pages().items()}


def examples() -> list[Path]:
    """The READMEs of those examples that have one, in the order of the navigation."""
    found = {readme.parent.name: readme for readme in (ROOT / "examples").glob("*/README.md")}
    known = [name for name in READING_ORDER if name in found]
    return [found[name] for name in [*known, *sorted(found.keys() - set(known))]]


def list_of_examples() -> str:
    """A list of the how-to pages, each with the first sentence of its README."""
    lines = []
    for readme in examples():
        summary = first_sentence(readme.read_text())
        lines.append(f"- [{title(readme)}]({readme.parent.name}.md): {summary}")
    return "\n".join(lines)


def linked_sources() -> Iterator[Path]:
    """What pages link to that is neither page nor picture: source code, a licence, a folder."""
    # To these compatibility.py links.
    yield from (ROOT / "tests" / "ecosystem").glob("test_*.py")
    texts = [*(ROOT / path for path in pages()), *(ROOT / "docs").rglob("*.md")]
    for text in texts:
        for match in LINK.finditer(text.read_text()):
            parts = urlsplit(match["target"])
            if parts.scheme or not parts.path:
                continue
            file = (text.parent / parts.path).resolve()
            path = file.relative_to(ROOT).as_posix()
            is_page = path in pages() or (path.startswith("docs/") and file.suffix == ".md")
            if file.exists() and not is_page and file.suffix not in IMAGES:
                yield file


def next_example(source: str) -> str:
    """The way on from the how-to page that `source` is; empty for other pages."""
    readmes = examples()
    if ROOT / source not in readmes:
        return ""
    place = readmes.index(ROOT / source) + 1
    if place == len(readmes):
        return "Next: [all of the how-to pages](index.md).\n"
    following = readmes[place]
    summary = first_sentence(following.read_text())
    return f"Next: [{title(following)}]({following.parent.name}.md). {summary}\n"


def title(readme: Path) -> str:
    return readme.parent.name.replace("_", " ").capitalize().replace("Cpu", "CPU")


def pictures(source: Path) -> list[Path]:
    """The picture files that `source` shows."""
    targets = [source.parent / match["target"] for match in LINK.finditer(source.read_text())]
    return [path.resolve() for path in targets if path.suffix in IMAGES and path.exists()]


def picture_in_site(picture: Path) -> str:
    path = picture.relative_to(ROOT)
    if path.parts[0] == "docs":
        return path.relative_to("docs").as_posix()
    return f"images/{path.as_posix()}"


def generated(config: MkDocsConfig, place: str, source: Path) -> File:
    options: dict[str, Any] = {"inclusion": InclusionLevel.UNDEFINED}
    return File.generated(config, place, abs_src_path=str(source), **options)

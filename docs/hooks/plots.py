"""Plots of the performance page, drawn by `ferrio bench`'s own code from the tables on the page.

So a plot never shows other figures than its page does.
"""

from __future__ import annotations

import re
from pathlib import Path

from ferrio._bench import plot
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from recorded import GROUP, SECTION, recorded

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "bench" / "README.md"
PLOTS = ROOT / ".build" / "plots"
PAGE = "performance.md"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds a picture for each table."""
    PLOTS.mkdir(parents=True, exist_ok=True)
    for version, group, results in recorded(README.read_text()):
        place = picture(version, group)
        path = PLOTS / Path(place).name
        plot.save(results, path)
        files.append(File.generated(config, place, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Puts each picture above its table."""
    if page.file.src_uri != PAGE:
        return markdown

    def with_pictures(section: re.Match[str]) -> str:
        def with_picture(table: re.Match[str]) -> str:
            group, version = table["group"], section["version"]
            image = f"![Plot: {group}, CPython {version}]({picture(version, group)})"
            return f"**{group}**\n\n{image}\n\n{table['table']}"

        return GROUP.sub(with_picture, section[0])

    return SECTION.sub(with_pictures, markdown)


def picture(version: str, group: str) -> str:
    return f"images/figures-{version}-{group.replace(' ', '-')}.svg"

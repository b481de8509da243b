"""Every Python and console block of the documentation does what its page says."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from .blocks import blocks_of
from .pages import ROOT, is_elsewhere, is_run, pages
from .session import Session

#: Blocks that cannot be run, in all pages together. Each says why in a comment in front of it.
MOST_NOT_RUN = 6

#: Those that are run, and those of files that belong to what is run.
LANGUAGES = {"python", "console", "text", "ini", "json", "dockerfile", "rust"}

BLOCKS = {page: list(blocks_of(page, (ROOT / page).read_text())) for page in pages()}


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    "page",
    [
        page
        for page, blocks in BLOCKS.items()
        if any(map(is_run, blocks)) and not is_elsewhere(page)
    ],
    ids=str,
)
def test_blocks_do_what_their_page_says(page: Path, tmp_path: Path) -> None:
    with Session(page, tmp_path) as session:
        for block in BLOCKS[page]:
            if is_run(block) and sys.version_info >= block.directives.since:
                session.run(block)


def test_few_blocks_are_not_run() -> None:
    left_out = [
        str(block) for blocks in BLOCKS.values() for block in blocks if block.directives.not_run
    ]
    assert len(left_out) <= MOST_NOT_RUN, left_out


def test_every_block_says_what_it_is() -> None:
    """What should be run must not be overlooked for want of a word."""
    for blocks in BLOCKS.values():
        for block in blocks:
            assert block.language in LANGUAGES, block


def test_text_holds_no_commands() -> None:
    for block in (block for blocks in BLOCKS.values() for block in blocks):
        assert block.language != "text" or not block.text.startswith("$ "), block


def test_surroundings_belong_to_pages() -> None:
    names = {str(page.with_suffix("")).replace("/", "-") for page in BLOCKS}
    folders = {folder.name for folder in (Path(__file__).parent / "surroundings").iterdir()}
    assert folders <= names


#: Made of docstrings and tables: the site's own links below the page lead on.
REFERENCE = Path("docs/reference")


@pytest.mark.parametrize(
    "page",
    [page for page in BLOCKS if page.is_relative_to("docs") and page.parent != REFERENCE],
    ids=str,
)
def test_a_page_ends_with_a_way_to_the_next(page: Path) -> None:
    end = (ROOT / page).read_text().splitlines()[-12:]
    targets = re.findall(r"\]\(([^)#]+\.md)[^)]*\)", "\n".join(end))
    assert targets, f"where does a reader of {page} go from there?"
    for target in targets:
        assert (ROOT / page).parent.joinpath(target).resolve() != (ROOT / page).resolve()

"""Every Python and console block of the documentation does what its page says."""

from __future__ import annotations

from pathlib import Path

import pytest

from .pages import pages, runnable
from .session import follow

#: Blocks that cannot be run, in all pages together. Each says why in a comment in front of it.
MOST_NOT_RUN = 8

WITH_BLOCKS = [page for page in pages() if runnable(page)]


@pytest.mark.timeout(400)
@pytest.mark.parametrize("page", WITH_BLOCKS, ids=str)
def test_blocks_do_what_the_page_says(page: Path, tmp_path: Path) -> None:
    blocks = runnable(page)
    count = follow(blocks, page, tmp_path)
    assert count or all(block.directives != type(block.directives)() for block in blocks)


def test_few_blocks_are_not_run() -> None:
    left_out = [block for page in WITH_BLOCKS for block in runnable(page) if block.directives.not_run]
    assert len(left_out) <= MOST_NOT_RUN, [f"{block}" for block in left_out]


def test_every_block_names_its_language() -> None:
    from .blocks import blocks_of
    from .pages import ROOT

    for page in pages():
        for block in blocks_of(page, (ROOT / page).read_text()):
            assert block.language, f"{block}: say which language it is, or `text`"

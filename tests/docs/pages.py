"""The pages whose blocks are run."""

from __future__ import annotations

from pathlib import Path

from .blocks import Block, blocks_of

ROOT = Path(__file__).resolve().parents[2]

#: Of these languages are blocks that do something.
RUN = ("python", "console")


def pages() -> list[Path]:
    """Relative to the repository: all of the site but what belongs to the examples.

    An example's README shows its own program with the packages that it needs; `make cookbook` has
    those, see test_examples.py.
    """
    found = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "ARCHITECTURE.md")]
    found += [ROOT / "bench" / "README.md", *(ROOT / "docs").rglob("*.md")]
    return sorted(page.relative_to(ROOT) for page in found)


def runnable(page: Path) -> list[Block]:
    """The blocks of a page that are there to be run."""
    return [
        block
        for block in blocks_of(page, (ROOT / page).read_text())
        if block.language in RUN or block.title is not None
    ]

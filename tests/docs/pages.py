"""The pages whose blocks are run."""

from __future__ import annotations

from pathlib import Path

from .blocks import Block

ROOT = Path(__file__).resolve().parents[2]


def pages() -> list[Path]:
    """Relative to the repository: all pages of the site but those of the examples.

    An example's README shows that example, with the packages that it needs: test_examples.py.
    """
    found = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "ARCHITECTURE.md")]
    found += [ROOT / "CHANGELOG.md", ROOT / "bench" / "README.md", *(ROOT / "docs").rglob("*.md")]
    return sorted(page.relative_to(ROOT) for page in found)


#: Folders of pages about servers and tools, which tests/deployment follows: it has these installed.
ELSEWHERE = ("docs/deploy/", "docs/tools/")


def is_elsewhere(page: Path) -> bool:
    return page.as_posix().startswith(ELSEWHERE)


def is_run(block: Block) -> bool:
    """Whether a block is there to be run, or is a file for one that is, and can be run."""
    is_program = block.language in ("python", "console") or block.title is not None
    return is_program and block.directives.not_run is None

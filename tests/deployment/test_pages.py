"""What the pages about servers and tools say to type does what they say, with those installed.

They are followed as tests/docs follows the others. `make deployment` installs what they need.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import blocks_of
from tests.docs.pages import ROOT, is_elsewhere, is_run, pages
from tests.docs.session import PORTS, Session

PAGES = [page for page in pages() if is_elsewhere(page)]
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
WHEELS = ROOT / ".build" / "wheel" / VERSION
CACHE = os.environ.get("PIP_CACHE_DIR", str(Path("~/.cache/pip").expanduser()))
#: Redis's own, too.
ALL_PORTS = (*PORTS, "6379")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}/{page.stem}")
def test_the_page_is_right(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Where what is installed for the user goes.
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PIP_CACHE_DIR", CACHE)
    # What pip finds ferrio in, as long as it is not on PyPI.
    monkeypatch.setenv("PIP_FIND_LINKS", str(WHEELS))
    with Session(page, tmp_path, ports=ALL_PORTS, examples=False) as session:
        for block in blocks_of(page, (ROOT / page).read_text()):
            if is_run(block):
                session.run(block)

"""What the READMEs of the examples say to type works, and prints what they show.

They are pages of the documentation, and are followed as tests/docs follows the others; here,
because `make cookbook` has what the examples need. Of what they print, numbers are those of the
author's machine: any others will do.
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from tests.docs.blocks import Background, blocks_of
from tests.docs.pages import ROOT, is_run
from tests.docs.session import Session

READMES = sorted(path.relative_to(ROOT) for path in (ROOT / "examples").glob("*/README.md"))

#: Programs that serve until Ctrl-C, by example and a word of their command.
SERVICES = {
    "microservices": {"up": Background("Ctrl-C ends it", own_port="8000")},
    "sockets": {"serve": Background("listening on")},
    "web_apps": {"serve": Background(" on http://", own_port="8000")},
    "web_requests": {"serve": Background("Ctrl-C ends it")},
}

#: Ports that a page names. Two pages, which may be followed at once, name the same.
PORTS = {
    "microservices": ("8000",),
    "sockets": ("7000",),
    "web_apps": ("8000",),
    "web_requests": ("8080",),
}

#: Commands that cannot be followed here, by a word of them.
NOT_FOLLOWED = {
    # Wants a display and a hand on the mouse; test_threads.py has both.
    "threads": "window",
}


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("page", READMES, ids=lambda page: page.parent.name)
def test_the_readme_is_right(page: Path, tmp_path: Path) -> None:
    services = SERVICES.get(page.parent.name, {})
    with Session(page, tmp_path, ports=PORTS.get(page.parent.name, ())) as session:
        for block in blocks_of(page, (ROOT / page).read_text()):
            word = NOT_FOLLOWED.get(page.parent.name)
            if is_run(block) and not (word and re.search(rf"^\$ .* {word}$", block.text, re.M)):
                background = services | block.directives.background
                directives = dataclasses.replace(
                    block.directives, numbers_vary=True, background=background
                )
                session.run(dataclasses.replace(block, directives=directives))

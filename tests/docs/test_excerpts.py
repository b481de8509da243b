"""Code on the how-to pages is found in the programs by name; what is not there is an error."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from .pages import ROOT

READMES = sorted((ROOT / "examples").glob("*/README.md"))

PROGRAM = '''\
"""A program."""

import functools


class Kettle:
    @functools.cache
    def boil(self) -> str:
        # Takes a while.
        return "hot"


async def main() -> None:
    print(Kettle().boil())
'''


def load() -> ModuleType:
    path = ROOT / "docs" / "hooks" / "excerpts.py"
    specification = importlib.util.spec_from_file_location("excerpts", path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    # Its dataclass asks for the module by name.
    sys.modules["excerpts"] = module
    specification.loader.exec_module(module)
    return module


excerpts = load()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "kettle.py").write_text(PROGRAM)
    return tmp_path


@pytest.mark.parametrize("readme", READMES, ids=lambda path: path.parent.name)
def test_every_how_to_page_shows_code_that_is_there(readme: Path) -> None:
    text = readme.read_text()
    links = list(excerpts.LINK.finditer(text))
    assert links, "no code is shown"
    shown = excerpts.with_code(text, readme.parent)
    for link in links:
        # What the link says is what it shows.
        assert link["label"].startswith(f"`{link['name']}` in {link['file']}"), link[0]
        source = (readme.parent / link["file"]).read_text()
        assert re.search(
            rf"^ *(?:async )?(?:def|class) {link['name'].split('.')[-1]}\b", source, re.M
        )
        assert f'title="{link["file"]}"' in shown
        assert f"The whole of [`{link['file']}`]({link['file']})." in shown


def test_a_method_comes_with_its_decorator_its_place_and_its_marks(folder: Path) -> None:
    link = '[It](kettle.py "code: Kettle.boil; marked: cache, hot")'
    assert excerpts.with_code(f"It boils:\n\n{link}\n", folder) == (
        "It boils:\n\n"
        '````python title="kettle.py" linenums="7" hl_lines="1 4"\n'
        "@functools.cache\n"
        "def boil(self) -> str:\n"
        "    # Takes a while.\n"
        '    return "hot"\n'
        "````\n\n"
        "The whole of [`kettle.py`](kettle.py).\n\n"
    )


@pytest.mark.parametrize(
    ("link", "complaint"),
    [
        ('[x](kettle.py "code: Teapot")', "there is no Teapot"),
        ('[x](kettle.py "code: Kettle.pour")', "there is no Kettle.pour"),
        ('[x](kettle.py "code: main; marked: cold")', "there is no 'cold' in main"),
        ('See [x](kettle.py "code: main").', "not alone on its line"),
    ],
)
def test_what_is_not_there_is_an_error(link: str, complaint: str, folder: Path) -> None:
    with pytest.raises(ValueError, match=complaint):
        excerpts.with_code(f"{link}\n", folder)

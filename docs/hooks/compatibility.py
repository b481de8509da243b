"""The tables of the compatibility page, out of what the tests are run with."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

from tests.docs.pages import is_elsewhere
from tests.suites import catalogue

ROOT = Path(__file__).resolve().parents[2]
PAGE = "compatibility.md"
#: Of tests/requirements.txt, what does not run on a loop.
TOOLS = {"maturin", "matplotlib", "pytest", "pytest-timeout", "pytest-xdist", "rich", "uvloop"}
INSTALLATION = re.compile(r"^\$ pip install (.+)$", re.M)
REQUIREMENT = re.compile(r"^(?P<name>[\w.-]+)(?:\[[^]]*\])?\s*[=>~]=\s*(?P<version>[\w.]+)", re.M)


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    if page.file.src_uri != PAGE:
        return markdown
    markdown = filled(markdown, "packages", "\n".join(packages()))
    return filled(markdown, "differences", "\n".join(differences()))


def filled(markdown: str, name: str, content: str) -> str:
    filled_in, count = re.subn(rf"<!-- {name}: .* -->", lambda _: content, markdown)
    if count != 1:
        raise PluginError(f"{PAGE} has no place for {name}")
    return filled_in


def packages() -> Iterator[str]:
    """A table of the packages, by name, and of what is run with each."""
    suites = catalogue.load()
    tested = requirements(ROOT / "tests" / "requirements.txt")
    told = pages()
    pinned = requirements(ROOT / "tests" / "deployment" / "requirements.txt")
    tested = {name: pinned[name] for name in told if name in pinned} | tested
    used: dict[str, list[str]] = {}
    for needed in sorted((ROOT / "examples").glob("*/requirements.txt")):
        if not needed.with_name("README.md").exists():
            continue
        for name, version in requirements(needed).items():
            tested.setdefault(name, version)
            used.setdefault(name, []).append(needed.parent.name)
    yield "| package | version | tested by |"
    yield "|---|---|---|"
    for name in sorted(tested.keys() - TOOLS):
        how = []
        file = f"tests/ecosystem/test_{name.replace('-', '_')}.py"
        if (ROOT / file).exists():
            how.append(f"[programs of ours](../{file})")
        if name in suites:
            how.append("own tests")
        how += [f"[page]({page})" for page in told.get(name, [])]
        how += [
            f"[example](../examples/{example}/README.md) `{example}`"
            for example in used.get(name, [])
        ]
        if how:
            yield f"| {name} | {tested[name]} | {', '.join(how)} |"


def pages() -> dict[str, list[str]]:
    """The pages that say how to install a package, by its name. tests/deployment follows them."""
    found: dict[str, list[str]] = {}
    for page in sorted((ROOT / "docs").glob("*/*.md")):
        if is_elsewhere(page.relative_to(ROOT)):
            for words in INSTALLATION.findall(page.read_text()):
                for word in shlex.split(words):
                    name = word.partition("[")[0].lower()
                    found.setdefault(name, []).append(str(page.relative_to(ROOT / "docs")))
    return found


def differences() -> Iterator[str]:
    """Each test of another package that cannot pass on ferrio, and why."""
    for suite in catalogue.load().values():
        for test, why in suite.differs.items():
            yield f"- {suite.name}, `{test.rpartition('/')[2]}`: {why}."


def requirements(file: Path) -> dict[str, str]:
    """Versions of the packages that a file names, by name."""
    found = REQUIREMENT.finditer(file.read_text())
    return {match["name"].lower(): match["version"] for match in found}

"""What is said in several places, and must be the same in all of them before a release.

Looks at texts and does nothing else: `check.py` says what was found.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .matrix import VERSIONS

#: Pages that name versions of their own: of what was measured, of what was released before.
RECORDS = ("bench/README.md", "CHANGELOG.md")

RUST = re.compile(r"\bRust(?:\]\([^)]*\))? (\d+\.\d+) or newer")
CPYTHONS = re.compile(r"\bCPython (3\.\d+) to (3\.\d+)")
FERRIO = re.compile(r"\bferrio (\d+\.\d+\.\d+)")
YOUNG = re.compile(r"\bversion (\d+\.\d+(?:\.\d+)?)\b")
MATURIN = re.compile(r"\bmaturin==([\w.]+)")
HEADING = re.compile(r"^## (.+)$", re.M)
RELEASED = re.compile(r"(?P<version>\d+\.\d+\.\d+) - \d{4}-\d{2}-\d{2}")


class Repository:
    def __init__(self, root: Path) -> None:
        self.root = root
        workspace = self._toml("Cargo.toml")["workspace"]["package"]
        self.version: str = workspace["version"]
        self.rust: str = workspace["rust-version"]

    def text(self, name: str) -> str:
        return (self.root / name).read_text(encoding="utf-8")

    def disagreements(self, tag: str | None = None) -> Iterator[str]:
        """A sentence each, with the file that it is about first."""
        yield from self._cargo()
        yield from self._pyproject()
        yield from self._pages()
        yield from self._pins()
        yield from changelog(self.text("CHANGELOG.md"), self.version, tag)

    def _cargo(self) -> Iterator[str]:
        for package in self._toml("Cargo.lock")["package"]:
            # What has no source is of this repository.
            if "source" not in package and package["version"] != self.version:
                yield (
                    f"Cargo.lock: {package['name']} {package['version']} instead of "
                    f"{self.version}: run `cargo check` and commit it"
                )
        oldest = self._toml("fuzz/Cargo.toml")["package"].get("rust-version")
        if oldest != self.rust:
            yield f"fuzz/Cargo.toml: rust-version {oldest} instead of {self.rust}"

    def _pyproject(self) -> Iterator[str]:
        project = self._toml("pyproject.toml")["project"]
        if project["requires-python"] != f">={VERSIONS[0]}":
            yield (
                f"pyproject.toml: requires-python {project['requires-python']} "
                f"is not >={VERSIONS[0]}"
            )
        prefix = "Programming Language :: Python :: 3."
        classified = [
            classifier.rpartition(" ")[2]
            for classifier in project["classifiers"]
            if classifier.startswith(prefix)
        ]
        if classified != [*VERSIONS]:
            yield (
                f"pyproject.toml: classifiers for {', '.join(classified)}, "
                f"not {', '.join(VERSIONS)}"
            )

    def _pages(self) -> Iterator[str]:
        names = [p.name for p in self.root.glob("*.md")]
        names += [str(p.relative_to(self.root)) for p in sorted(self.root.glob("docs/**/*.md"))]
        for name in names:
            text = self.text(name)
            for found in RUST.findall(text):
                if found != self.rust:
                    yield f"{name}: Rust {found} or newer, and Cargo.toml says {self.rust}"
            for found in CPYTHONS.findall(text):
                if found != (VERSIONS[0], VERSIONS[-1]):
                    said, wanted = " to ".join(found), f"{VERSIONS[0]} to {VERSIONS[-1]}"
                    yield f"{name}: CPython {said}, not {wanted}"
            if name in RECORDS:
                continue
            for found in FERRIO.findall(text):
                if found != self.version:
                    yield f"{name}: ferrio {found}, and Cargo.toml says {self.version}"
        for found in YOUNG.findall(self.text("README.md")):
            if not f"{self.version}.".startswith(f"{found}."):
                yield f"README.md: version {found}, and Cargo.toml says {self.version}"

    def _pins(self) -> Iterator[str]:
        """All that builds is built by one maturin."""
        files = ["pyproject.toml", "bench/load/pyproject.toml", "release/requirements.txt"]
        files += [f"tests/{path.name}" for path in self.root.glob("tests/requirements*.txt")]
        pins = {name: pin for name in files for pin in MATURIN.findall(self.text(name))}
        for name, pin in pins.items():
            if pin != pins["pyproject.toml"]:
                yield f"{name}: maturin {pin}, and pyproject.toml says {pins['pyproject.toml']}"

    def _toml(self, name: str) -> dict[str, Any]:
        return tomllib.loads(self.text(name))


def changelog(text: str, version: str, tag: str | None) -> Iterator[str]:
    """Without a tag, what is to be released may still stand under `Unreleased`."""
    parts = HEADING.split(text)[1:]
    sections = dict(zip(parts[::2], parts[1::2], strict=True))
    released = {
        found["version"]: title for title in sections if (found := RELEASED.fullmatch(title))
    }
    title = released.get(version)
    no_heading = f"CHANGELOG.md: no heading `## {version} - YYYY-MM-DD`"
    if tag is not None:
        if tag != f"v{version}":
            yield f"the tag is {tag}, and Cargo.toml says {version}: it should be v{version}"
        if title is None:
            yield f"{no_heading}, with the day of the release"
    elif title is None and "Unreleased" not in sections:
        yield f"{no_heading}, nor `## Unreleased`"
    wanted = title or "Unreleased"
    if wanted in sections and not re.search(r"^- ", sections[wanted], re.M):
        yield f"CHANGELOG.md: nothing under `## {wanted}`; an entry begins with `- `"

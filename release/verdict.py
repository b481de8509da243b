"""What is said of a finished wheel: whether it may be published.

Looks at the file alone. What auditwheel and cargo say of it are arguments of `judge`, so that
nothing has to be built to test what is decided.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .matrix import Platform

#: What a user downloads at most, in bytes.
BUDGET = 3_000_000

#: A tag of Linux wheels, as PEP 600 and PEP 656 have it.
LIBRARY = re.compile(r"(?P<name>many|musl)linux_(?P<major>\d+)_(?P<minor>\d+)_(?P<machine>\w+)")

#: The load generator of `ferrio bench`, a program of its own.
LOAD_GENERATOR = "ferrio/_bench/ferrio-load"


@dataclass(frozen=True)
class Wheel:
    """What is in the file and in its name."""

    name: str
    size: int
    members: frozenset[str]
    executables: frozenset[str]
    sboms: tuple[dict[str, Any], ...]

    @classmethod
    def read(cls, path: Path) -> Wheel:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            return cls(
                path.name,
                path.stat().st_size,
                frozenset(entry.filename for entry in entries),
                # Unix has the mode in the upper half.
                frozenset(e.filename for e in entries if e.external_attr >> 16 & 0o100),
                tuple(
                    json.loads(archive.read(entry))
                    for entry in entries
                    if ".dist-info/sboms/" in entry.filename and not entry.is_dir()
                ),
            )

    @property
    def tags(self) -> list[str]:
        """Of platforms: the last part of the name has several, with dots between."""
        return self.name.removesuffix(".whl").rpartition("-")[2].split(".")


def judge(wheel: Wheel, platform: Platform, crates: Set[str], audited: str | None) -> Iterator[str]:
    """What is wrong with it, a sentence each; nothing for a wheel that may be published.

    `crates` are those that go into its binaries; `audited` is the platform tag which
    auditwheel grants, and None where it knows nothing of the platform.
    """
    yield from within_budget(wheel)
    if platform.tag not in wheel.tags:
        yield f"is tagged {'.'.join(wheel.tags)} instead of {platform.tag}"
    if audited is not None and not keeps(audited, platform.tag):
        yield f"auditwheel grants {audited} instead of {platform.tag}"
    yield from contents(wheel)
    yield from bills(wheel, crates)


def within_budget(wheel: Wheel) -> Iterator[str]:
    if wheel.size > BUDGET:
        yield f"{megabytes(wheel.size)} is more than the {megabytes(BUDGET)} that a wheel may have"


def contents(wheel: Wheel) -> Iterator[str]:
    extensions = [name for name in wheel.members if name.startswith("ferrio/_ferrio.cpython-")]
    if len(extensions) != 1:
        yield f"has {len(extensions)} extension modules, ferrio/_ferrio.cpython-..., instead of one"
    if LOAD_GENERATOR not in wheel.members:
        yield f"has no {LOAD_GENERATOR}"
    elif LOAD_GENERATOR not in wheel.executables:
        yield f"{LOAD_GENERATOR} is not executable"
    for name in ("ferrio/py.typed", "ferrio/_ferrio.pyi", "ferrio_start.pth"):
        if name not in wheel.members:
            yield f"has no {name}"


def bills(wheel: Wheel, crates: Set[str]) -> Iterator[str]:
    """Of materials, in the form of CycloneDX (PEP 770): no crate is left out of all of them."""
    if not wheel.sboms:
        yield "has no SBOM in dist-info/sboms"
        return
    listed = set()
    for sbom in wheel.sboms:
        if sbom.get("bomFormat") != "CycloneDX":
            yield f"has an SBOM in the form {sbom.get('bomFormat')!r} instead of CycloneDX"
        listed.add(sbom.get("metadata", {}).get("component", {}).get("name"))
        listed |= {component["name"] for component in sbom.get("components", ())}
    if left_out := sorted(crates - listed):
        yield f"no SBOM in it lists {', '.join(left_out)}"


def megabytes(size: int) -> str:
    return f"{size / 1e6:.2f} MB"


def granted(report: str) -> str:
    """The platform tag that `auditwheel show --json` says a wheel deserves."""
    return str(json.loads(report)["overall_tag"])


def keeps(tag: str, promise: str) -> bool:
    """Whether `tag` runs wherever `promise` does: no other processor or libc, no newer libc."""
    found, promised = LIBRARY.fullmatch(tag), LIBRARY.fullmatch(promise)
    if found is None or promised is None:
        return tag == promise
    if (found["name"], found["machine"]) != (promised["name"], promised["machine"]):
        return False
    return version_of(found) <= version_of(promised)


def version_of(tag: re.Match[str]) -> tuple[int, int]:
    return int(tag["major"]), int(tag["minor"])

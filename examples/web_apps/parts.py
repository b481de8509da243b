"""Parts of this recipe that cannot run here, because a package is not installed.

Each line of requirements.txt names a package and, behind `for:`, the parts that need it.
"""

from __future__ import annotations

import re
import sys
from importlib import metadata
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("requirements.txt")


def lacking() -> dict[str, list[str]]:
    """The packages that are not installed, by the parts that need them."""
    found: dict[str, list[str]] = {}
    for line in REQUIREMENTS.read_text().splitlines():
        requirement = re.match(r"(?P<package>[\w.-]+).*?(?:# for: (?P<parts>.+))?$", line)
        if requirement is None or requirement["parts"] is None:
            continue
        try:
            metadata.version(requirement["package"])
        except metadata.PackageNotFoundError:
            for part in requirement["parts"].split(", "):
                found.setdefault(part, []).append(requirement["package"])
    return found


def require(part: str) -> None:
    """Ends the program, with what to type, if `part` cannot run."""
    if packages := lacking().get(part):
        sys.exit(f"{part} needs {' and '.join(packages)}, not installed here: {what_to_type()}")


def report() -> None:
    """Says which parts were left out, and what to type."""
    found = lacking()
    for part, packages in found.items():
        print(f"{part}: left out: it needs {' and '.join(packages)}, not installed here")
    if found:
        print(f"to install what is missing: {what_to_type()}")


def what_to_type() -> str:
    return f"{sys.executable} -m pip install -r {REQUIREMENTS}"

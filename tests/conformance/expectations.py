"""What is expected not to pass, and why: the reader of `expectations.toml`.

Three kinds, each a list of tables with `tests` (patterns of test ids), `why` (one line) and, where
versions differ, `python` (`"<3.13"`, `">=3.14"`, `"3.12"`; several with commas, all must hold).
`replaced = true` is for an entry that holds only where ferrio's classes stand in asyncio itself
(`--replace`), `false` for one that holds only where they do not.

- `white-box`: pokes at what only the stdlib's loop has. It must fail on the `opaque` loop too, so
  that "white-box" is a measurement and not an opinion. `passes-on` names loops that pass it all the
  same, for having some of the stdlib's parts: there it must pass.
- `not-yet`: a part of asyncio that ferrio does not have yet.
- `stdlib`: fails on the stdlib's loop too, so it says nothing about another one: there any result
  will do.
"""

from __future__ import annotations

import fnmatch
import operator
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.loops import DEFAULT, REFERENCE

PATH = Path(__file__).with_name("expectations.toml")
KINDS = ("white-box", "not-yet", "stdlib")

_COMPARISONS = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "": operator.eq,
}


@dataclass(frozen=True)
class Expectation:
    kind: str
    why: str
    patterns: tuple[str, ...]
    # Whether a pass is unexpected. Not so for what the stdlib fails and another loop may pass.
    is_strict: bool

    def covers(self, test: str) -> bool:
        return any(fnmatch.fnmatchcase(test, pattern) for pattern in self.patterns)


class Expectations:
    """The expectations that apply to one loop on one version of Python."""

    def __init__(self, entries: list[Expectation]) -> None:
        self._entries = entries

    @classmethod
    def load(
        cls, loop: str, version: tuple[int, int], path: Path = PATH, *, replace: bool = False
    ) -> Expectations:
        with path.open("rb") as file:
            tables = tomllib.load(file)
        if unknown := set(tables) - set(KINDS):
            raise ValueError(
                f"{path.name}: no such kind of expectation: {', '.join(sorted(unknown))}"
            )
        driver = os.environ.get("FERRIO_DRIVER") or "epoll"
        entries = []
        for kind in KINDS:
            for table in tables.get(kind, []):
                _check(table, path)
                if (
                    _version_matches(table.get("python", ""), version)
                    and _applies(kind, loop)
                    and table.get("replaced", replace) == replace
                    and loop not in table.get("passes-on", [])
                    and table.get("driver", driver) == driver
                ):
                    is_strict = kind != "stdlib" or loop == REFERENCE
                    patterns = tuple(table["tests"])
                    entries.append(Expectation(kind, table["why"], patterns, is_strict))
        return cls(entries)

    def of(self, test: str) -> Expectation | None:
        """The first entry that covers `test`, an id without package: `test_x.SomeTests.test_it`."""
        return next((entry for entry in self._entries if entry.covers(test)), None)

    def stale(self, modules: set[str], tests: set[str]) -> list[str]:
        """Patterns for `modules` that none of `tests` matches: renamed, or misspelt."""
        return [
            pattern
            for entry in self._entries
            for pattern in entry.patterns
            if pattern.partition(".")[0] in modules
            and not any(fnmatch.fnmatchcase(test, pattern) for test in tests)
        ]


def _applies(kind: str, loop: str) -> bool:
    match kind:
        case "stdlib":
            return True
        case "white-box":
            return loop != REFERENCE
        case _:
            return loop == DEFAULT


def _check(table: dict[str, Any], path: Path) -> None:
    allowed = {"tests", "why", "python", "passes-on", "replaced", "driver"}
    if not table.get("tests") or not table.get("why") or set(table) - allowed:
        raise ValueError(
            f"{path.name}: an entry needs `tests` and `why`, and may have `python`: {table}"
        )


def _version_matches(condition: str, version: tuple[int, int]) -> bool:
    for part in filter(None, (part.strip() for part in condition.split(","))):
        sign = next(s for s in _COMPARISONS if part.startswith(s))
        major, minor = part.removeprefix(sign).strip().split(".")
        if not _COMPARISONS[sign](version, (int(major), int(minor))):
            return False
    return True

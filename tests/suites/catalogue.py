"""The suites that there are: the reader of `suites.toml`.

For each suite:

- `version`, `source` (`sdist`, or the address of an archive) and `sha256` of what is fetched;
- `keep`: what is taken out of the archive. The package itself is not, for its tests are to run on
  the installed one;
- `addopts`: replaces the suite's own default arguments of pytest, which measure coverage and such.
  Its filters for warnings stay, so a ResourceWarning of ours is an error where one of asyncio's is;
- `arguments`: what to run; `quick`: the part that `--quick` runs.

`[[differs]]` tables list tests that pass on asyncio and cannot on ferrio: `suite`, `tests`, `why`.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path

PATH = Path(__file__).with_name("suites.toml")


@dataclass(frozen=True)
class Suite:
    name: str
    version: str
    source: str
    sha256: str
    keep: tuple[str, ...]
    addopts: str
    arguments: tuple[str, ...]
    quick: tuple[str, ...]
    # Test id to the reason why it cannot pass on ferrio.
    differs: dict[str, str] = field(default_factory=dict)


def load(path: Path = PATH) -> dict[str, Suite]:
    with path.open("rb") as file:
        tables = tomllib.load(file)
    reasons: dict[str, dict[str, str]] = {}
    for entry in tables.pop("differs", []):
        for test in entry["tests"]:
            reasons.setdefault(entry["suite"], {})[test] = entry["why"]
    if unknown := set(reasons) - set(tables):
        raise ValueError(f"{path.name}: no such suite: {', '.join(sorted(unknown))}")
    return {
        name: Suite(
            name=name,
            version=table["version"],
            source=table["source"],
            sha256=table["sha256"],
            keep=tuple(table["keep"]),
            addopts=table["addopts"],
            arguments=tuple(table["arguments"]),
            quick=tuple(table["quick"]),
            differs=reasons.get(name, {}),
        )
        for name, table in tables.items()
    }

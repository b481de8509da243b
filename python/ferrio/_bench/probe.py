"""Is a loop there, and which version? Asked in a process of its own, as an import may change a
process.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform

from . import loops


def main(argv: list[str]) -> None:
    [name] = argv
    loops.factory(name)().close()
    version = platform.python_version() if name == "asyncio" else importlib.metadata.version(name)
    print(json.dumps({"version": version}), flush=True)

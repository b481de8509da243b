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
    if name == "asyncio":
        version = platform.python_version()
    else:
        version = importlib.metadata.version(loops.distribution(name))
    print(json.dumps({"version": version}), flush=True)

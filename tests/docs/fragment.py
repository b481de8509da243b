"""Runs a file in which `await` may stand at the top level, after `fragments.py` beside it.

    python fragment.py FILE

A part of a program, as pages show it: the names that it takes for granted are those of
`fragments.py`.
"""

from __future__ import annotations

import ast
import inspect
import sys
from pathlib import Path
from typing import Any

import ferrio


def main() -> None:
    sys.path.insert(0, "")
    names: dict[str, Any] = {"__name__": "fragment"}
    before = Path("fragments.py")
    if before.exists():
        exec(compile(before.read_text(), before, "exec"), names)
    file = Path(sys.argv[1])
    code = compile(file.read_text(), file, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    if code.co_flags & inspect.CO_COROUTINE:
        ferrio.run(eval(code, names))
    else:
        exec(code, names)


if __name__ == "__main__":
    main()

"""Console scripts by name: `ferrio run uvicorn` where a shell would find `uvicorn`."""

from __future__ import annotations

import os
import re
import sys

from ._command_line import MistakeError

INTERPRETER = re.compile(r"(python|pypy)[0-9.]*(\.exe)?")


def find(name: str) -> str | None:
    """The executable file that a shell would start by `name`, and first one beside this Python."""
    import shutil

    if os.path.dirname(name):
        return None
    folders = [os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)]
    return shutil.which(name, path=os.pathsep.join(folders))


def file_of(target: str, arguments: list[str]) -> str:
    """The path of the program that `ferrio run TARGET` means: a file, or a script by its name.

    Raises:
        MistakeError: It is a program that cannot be run in this interpreter.
    """
    if os.path.isdir(target):
        # Which has the name of a package, more often than not.
        if os.path.exists(os.path.join(target, "__main__.py")):
            return target
    elif os.path.exists(target):
        return target
    if INTERPRETER.fullmatch(target):
        rest = " ".join(arguments) or "FILE"
        raise MistakeError(f"{target} is not needed: ferrio run {rest}")
    found = find(target)
    if found is None:
        return target
    interpreter = interpreter_of(found)
    if interpreter is None:
        raise MistakeError(f"{found} is not a Python program")
    is_beside = os.path.dirname(found) == os.path.dirname(sys.executable)
    if not is_beside and not is_this_one(interpreter):
        raise MistakeError(
            f"{found} belongs to {interpreter}, and ferrio to {sys.executable}: "
            f"install ferrio there, or try: ferrio run -m {target}"
        )
    return found


def interpreter_of(script: str) -> str | None:
    """The interpreter that the first lines of `script` name; None if it is no script of Python."""
    import shutil

    with open(script, "rb") as file:
        lines = [file.readline(1000).decode(errors="replace") for _ in range(2)]
    if not lines[0].startswith("#!"):
        return None
    # A path that is too long for the first line stands in the second: '''exec' "/path" "$0" "$@"
    for word in (*lines[0][2:].split(), *lines[1].split()):
        path = word.strip("\"'")
        if INTERPRETER.fullmatch(os.path.basename(path)):
            return path if os.path.dirname(path) else shutil.which(path)
    return None


def is_this_one(interpreter: str) -> bool:
    """Is that the interpreter that runs, in the same environment?"""
    if os.path.dirname(interpreter) == os.path.dirname(sys.executable):
        return True
    is_environment = sys.prefix != sys.base_prefix
    return not is_environment and os.path.realpath(interpreter) == os.path.realpath(sys.executable)

"""Finds the CPythons that the test matrix runs on.

    python tests/setup/interpreters.py 3.11 3.12 ...    prints one path a line, or fails and says
    why

Where it looks for each version, in this order: `pythonX.Y` on PATH, the versions that pyenv has,
`$PYTHONS/X.Y/bin/pythonX.Y`. What it finds must be whole: distributions cut the `test` package,
venv and the headers out. If nothing is, and `$PYTHONS_BUILD` is there (a script that puts a CPython
into `$PYTHONS/X.Y`), that is run.

Runs on a bare interpreter: standard library only.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PYTHONS = Path(os.environ.get("PYTHONS", "/opt/pythons"))
PYTHONS_BUILD = Path(os.environ.get("PYTHONS_BUILD", ROOT / ".." / "shared/pythons/build.sh"))

# Fails, with a last line that says what is missing, unless all is there that the tests need.
PROBE = """
import os, sys, sysconfig
assert "%d.%d" % sys.version_info[:2] == VERSION, "is " + sys.version.split()[0]
assert sys.implementation.name == "cpython", "is " + sys.implementation.name
import ensurepip, ssl, venv
import test.test_asyncio
header = os.path.join(sysconfig.get_path("include"), "Python.h")
assert os.path.exists(header), "has no " + header
print(sys.executable)
"""


def main() -> None:
    versions = sys.argv[1:]
    if not versions or not all(v.replace(".", "").isdigit() for v in versions):
        sys.exit(f"usage: {sys.argv[0]} VERSION... (each like 3.13)")
    found = {version: find(version) for version in versions}
    if missing := [version for version, path in found.items() if path is None]:
        sys.exit(f"no usable CPython {', '.join(missing)} (see above for what was looked at)")
    for path in found.values():
        print(path)


def find(version: str) -> str | None:
    for candidate in candidates(version):
        path, trouble = probe(candidate, version)
        if path is not None:
            return path
        note(f"CPython {version}: not {candidate}: {trouble}")
    if not PYTHONS_BUILD.exists():
        return None
    note(f"CPython {version}: running {PYTHONS_BUILD}")
    subprocess.run([PYTHONS_BUILD, version], stdout=sys.stderr, check=False)
    path, trouble = probe(str(PYTHONS / version / "bin" / f"python{version}"), version)
    if path is None:
        note(f"CPython {version}: not made: {trouble}")
    return path


def candidates(version: str) -> Iterator[str]:
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        # pyenv's shims run whatever version is selected, or none; its versions come below.
        if Path(folder).name != "shims" and (
            on_path := shutil.which(f"python{version}", path=folder)
        ):
            yield on_path
    yield from of_pyenv(version)
    installed = PYTHONS / version / "bin" / f"python{version}"
    if installed.exists():
        yield str(installed)


def of_pyenv(version: str) -> Iterator[str]:
    """Newest patch release first."""
    if (pyenv := shutil.which("pyenv")) is None:
        return

    def ask(*arguments: str) -> list[str]:
        done = subprocess.run([pyenv, *arguments], capture_output=True, text=True, check=False)
        return done.stdout.split()

    def release(name: str) -> list[int]:
        return [int(part) for part in name.split(".")]

    roots = ask("root")
    names = [name for name in ask("versions", "--bare") if name.replace(".", "").isdigit()]
    for name in sorted(names, key=release, reverse=True):
        if roots and name.startswith(f"{version}."):
            yield str(Path(roots[0]) / "versions" / name / "bin" / "python")


def probe(python: str, version: str) -> tuple[str | None, str]:
    """The path of an interpreter that has all we need, or None and what it lacks."""
    code = f"VERSION = {version!r}{PROBE}"
    try:
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    except OSError as error:
        return None, str(error)
    if done.returncode != 0:
        return None, (done.stderr.strip().splitlines() or ["it does not run"])[-1]
    return done.stdout.strip().splitlines()[-1], ""


def note(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()

"""The environment of tests/deployment: what the pages of docs/deploy and docs/tools ask for.

    .build/venv/3.13/bin/python -m tests.setup.deployment

It is made beside the environment of the interpreter that runs this file, as
`.build/deployment/3.13`, with the ferrio that was built for that one: these packages bring plugins,
console scripts and another loop, which the other tests are to do without. curl, gdb and the servers
come from the system (tests/setup/servers.py); if we are root, Debian's packages are installed.

Standard library only.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

from . import servers

ROOT = servers.ROOT
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
ENVIRONMENT = ROOT / ".build" / "deployment" / VERSION
PYTHON = ENVIRONMENT / "bin" / "python"
REQUIREMENTS = ROOT / "tests" / "deployment" / "requirements.txt"
# What the other tests are pinned to holds here, too.
CONSTRAINTS = ROOT / "tests" / "requirements.txt"
WHEELS = ROOT / ".build" / "wheel" / VERSION

#: Program, and the package of Debian's that has it.
PROGRAMS = {"curl": "curl", "gdb": "gdb"}


def main() -> None:
    wheels = [*WHEELS.glob("*.whl")]
    if len(wheels) != 1:
        sys.exit(f"no ferrio was built for CPython {VERSION}: make venv")
    if not PYTHON.exists():
        shutil.rmtree(ENVIRONMENT, ignore_errors=True)
        venv.create(ENVIRONMENT, with_pip=True, symlinks=True)
    once("requirements", [CONSTRAINTS, REQUIREMENTS], install_packages)
    once("wheel", wheels, lambda: pip("--no-deps", "--force-reinstall", wheels[0]))
    servers.main()
    missing = [package for program, package in PROGRAMS.items() if shutil.which(program) is None]
    if missing and servers.can_apt_install():
        servers.apt_install(missing)
    missing = [package for program, package in PROGRAMS.items() if shutil.which(program) is None]
    if missing:
        sys.exit(f"tests/deployment needs {', '.join(missing)}: install it")


def once(what: str, files: list[Path], do: Callable[[], object]) -> None:
    """Call `do` unless it was called for files with this content before."""
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    stamp = ENVIRONMENT / f"{what}.stamp"
    if stamp.exists() and stamp.read_text() == digest:
        return
    print(f"deployment: installing {', '.join(file.name for file in files)} ...", flush=True)
    do()
    stamp.write_text(digest)


def install_packages() -> None:
    pip("--prefer-binary", "--constraint", CONSTRAINTS, "--requirement", REQUIREMENTS)


def pip(*arguments: str | Path) -> None:
    command = [PYTHON, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", *arguments]
    if subprocess.run(command, check=False).returncode != 0:
        sys.exit("deployment: pip could not install what the tests need")


if __name__ == "__main__":
    main()

"""What the programs of examples/ need and tests/cookbook tests them with.

    .build/venv/3.13/bin/python -m tests.setup.cookbook

Packages go into the environment of the interpreter that runs this file: those of every
`examples/*/requirements.txt`. Programs come from the system: Postgres and Redis
(tests/setup/servers.py), a browser for the pages, a display for the window and hands to use it,
openssl and gpg. What is there is used. Otherwise Debian's packages are installed if we are root; if
not, this file says what is missing.

Standard library only.
"""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

from . import servers

ROOT = servers.ROOT
EXAMPLES = ROOT / "examples"
# What the tests are pinned to stays as it is.
CONSTRAINTS = ROOT / "tests" / "requirements.txt"
STAMP = Path(sys.prefix) / "cookbook.stamp"

#: Program, and the package of Debian's that has it.
PROGRAMS = {
    "chromium": "chromium",
    "Xvfb": "xvfb",
    "xdotool": "xdotool",
    "openssl": "openssl",
    "gpg": "gnupg",
}


def main() -> None:
    if sys.prefix == sys.base_prefix:
        sys.exit("not a virtual environment: make cookbook runs this in one")
    install_packages(sorted(EXAMPLES.glob("*/requirements.txt")))
    servers.main()
    install_programs()
    install_tk()


def install_packages(requirements: list[Path]) -> None:
    digest = hashlib.sha256()
    for file in [CONSTRAINTS, *requirements]:
        digest.update(f"{file.relative_to(ROOT)}\n".encode() + file.read_bytes())
    if STAMP.exists() and STAMP.read_text() == digest.hexdigest():
        return
    names = [file.parent.name for file in requirements]
    print(f"cookbook: installing the packages of {', '.join(names) or 'no recipe'} ...", flush=True)
    if requirements:
        command: list[str | Path] = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
        command += ["install", "--quiet", "--prefer-binary", "--constraint", CONSTRAINTS]
        for file in requirements:
            command += ["--requirement", file]
        if subprocess.run(command, check=False).returncode != 0:
            sys.exit("cookbook: pip could not install what the examples need")
    STAMP.write_text(digest.hexdigest())


def install_programs() -> None:
    missing = [package for program, package in PROGRAMS.items() if shutil.which(program) is None]
    if missing and servers.can_apt_install():
        servers.apt_install(missing)
    if shutil.which("ip") is None and servers.can_apt_install():
        # For examples/cluster, which does without if it has to, and always if we are not root.
        servers.apt_install(["iproute2"])
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        packages = " ".join(PROGRAMS[program] for program in missing)
        sys.exit(
            f"tests/cookbook needs {', '.join(missing)}, which is not on PATH: install it "
            f"(on Debian: apt-get install {packages})"
        )
    print(f"programs: {', '.join(str(shutil.which(program)) for program in PROGRAMS)}")


def install_tk() -> None:
    """Tk for the window. It is a part of the interpreter, which was built with it or was not."""
    if importlib.util.find_spec("_tkinter") is not None:
        return
    if sys.base_prefix == "/usr" and servers.can_apt_install():
        # Debian has it as a package of its own, for its own interpreter.
        servers.apt_install(["python3-tk"])
    else:
        print(
            f"cookbook: {sys.base_prefix} was built without tkinter: the window of "
            "examples/threads is tested with another interpreter of .build/venv, if one has it"
        )


if __name__ == "__main__":
    main()

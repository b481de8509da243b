"""Builds wheels as maturin does (PEP 517), on request with the load generator of `ferrio bench`.

    pip install -v . --config-settings load-generator=yes
    python bench/load/backend.py        builds the program into the package's folder, or fails

A wheel of maturin's has one artefact of cargo's, the extension module. The load generator is a
program, so that what it costs is not the measured process's; it is built before and included as a
file (`tool.maturin.include`). Its TLS is a third of all that there is to compile, and few who build
from source measure: without it, `ferrio bench` has a Python client make the load, and says so.

What it is at is printed, for `pip install -v`: pip shows nothing of it otherwise.
"""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import progress

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "python" / "ferrio" / "_bench" / "ferrio-load"
#: What pip is given for it.
SETTING = "load-generator"


def build() -> None:
    """Raises OSError or CalledProcessError if it cannot."""
    command = ["cargo", "build", "--quiet", "--locked"]
    command += ["--profile", "load", "--package", "ferrio-load"]
    # By its name: the environment may have cargo build elsewhere.
    target = ROOT / "target"
    subprocess.run([*command, "--target-dir", str(target)], cwd=ROOT, check=True)
    # A file that is being run cannot be written to; another one may take its name.
    partial = PROGRAM.with_suffix(".partial")
    shutil.copy2(target / "load" / PROGRAM.name, partial)
    partial.replace(PROGRAM)


def build_wheel(
    wheel_directory: str, config_settings: dict[str, Any] | None = None, *more: Any
) -> str:
    settings = {**(config_settings or {})}
    asked = settings.pop(SETTING, "no")
    if asked not in ("yes", "no"):
        raise ValueError(f"{SETTING} is yes or no, not {asked!r}")
    if asked == "yes":
        say("the load generator of `ferrio bench`")
        with progress.ticking("ferrio: the load generator"):
            build()
    else:
        # That of an earlier build would be included.
        PROGRAM.unlink(missing_ok=True)
    say("the extension module; its last crate, ferrio-py, takes most of the time")
    with progress.ticking("ferrio: the extension module"):
        return str(maturin().build_wheel(wheel_directory, settings, *more))


def say(what: str) -> None:
    print(f"ferrio: {what}", file=sys.stderr, flush=True)


def __getattr__(name: str) -> Any:
    """The other hooks are maturin's."""
    return getattr(maturin(), name)


def maturin() -> Any:
    """Not where this file is run by itself: the program needs none of it."""
    return importlib.import_module("maturin")


if __name__ == "__main__":
    build()

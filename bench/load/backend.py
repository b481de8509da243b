"""Builds wheels as maturin does (PEP 517), with the load generator of `ferrio bench` in them.

A wheel of maturin's has one artefact of cargo's, the extension module. The load generator is a
program, so that what it costs is not the measured process's; it is built before and included as a
file (`tool.maturin.include`). Where it cannot be built, the wheel does without, and `ferrio bench`
says that a Python client makes the load.

    python bench/load/backend.py        builds the program into the package's folder, or fails

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


def build_wheel(*arguments: Any, **options: Any) -> str:
    say("1 of 2: ferrio-load, by which `ferrio bench` makes its load")
    try:
        with progress.ticking("ferrio: ferrio-load"):
            build()
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"ferrio bench will use its Python client: no ferrio-load ({error})", file=sys.stderr)
    say("2 of 2: the extension module; its last crate, ferrio-py, takes most of the time")
    with progress.ticking("ferrio: the extension module"):
        return str(maturin().build_wheel(*arguments, **options))


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

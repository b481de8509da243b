"""What this machine has to build wheels with: targets, interpreters, rustup."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.setup import interpreters

from .matrix import PLATFORMS, VERSIONS, Machine

#: The compiler that cargo uses: another one than rustup's may have other targets.
RUSTC = os.environ.get("RUSTC", "rustc")


def this_machine() -> Machine:
    if shutil.which("cargo") is None or shutil.which(RUSTC) is None:
        sys.exit(
            "wheels are built by cargo, which is not on PATH: install Rust (https://rustup.rs)"
        )
    return Machine(
        host(),
        frozenset(p.target for p in PLATFORMS if is_installed(p.target)),
        {version: path for version in VERSIONS if (path := interpreters.find(version))},
        has_rustup=shutil.which("rustup") is not None,
    )


def host() -> str:
    said = dict(line.split(": ", 1) for line in ask("-vV").splitlines() if ": " in line)
    return said["host"]


def is_installed(target: str) -> bool:
    """Whether there is a standard library for it. rustc names its folder in any case."""
    return any(Path(ask("--print", "target-libdir", "--target", target)).glob("libstd-*"))


def ask(*arguments: str) -> str:
    done = subprocess.run([RUSTC, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()

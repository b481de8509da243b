"""The environment of what makes a release, and the running of it."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / ".build"
#: Wheels of the matrix, and nothing else.
WHEELS = BUILD / "wheels"
TOOLS = BUILD / "release" / "tools"
PYTHON = TOOLS / "bin" / "python"
REQUIREMENTS = ROOT / "release" / "requirements.txt"

sys.path.insert(0, str(ROOT / "bench" / "load"))
import progress  # noqa: E402 - it stands beside the build backend, which must find it too


class Failure(Exception):
    """What ends a release, in words for whoever makes it."""


def prepare() -> None:
    """Makes the environment; does nothing if it is there and the pins are the same."""
    stamp = TOOLS / "requirements.stamp"
    pins = REQUIREMENTS.read_text()
    if stamp.exists() and stamp.read_text() == pins:
        return
    say(f"setting up {TOOLS.relative_to(ROOT)} (zig among it: 100 MB, once)")
    venv.create(TOOLS, with_pip=True, symlinks=True, clear=True)
    pip: list[str | Path] = [PYTHON, "-m", "pip", "--disable-pip-version-check"]
    run(
        [*pip, "install", "--quiet", "--requirement", REQUIREMENTS], "installing what builds wheels"
    )
    stamp.write_text(pins)


def run(
    command: Sequence[str | Path],
    what: str,
    *,
    cwd: Path = ROOT,
    env: Mapping[str, str] | None = None,
) -> None:
    """Shows what it prints and how far it is; a status other than 0 is a `Failure`."""
    status = progress.run(command, what, cwd=cwd, env={**environment(), **(env or {})})
    if status != 0:
        raise Failure(f"{what} failed ({status}): {' '.join(map(str, command))}")


def output(*command: str | Path, cwd: Path = ROOT) -> str:
    done = subprocess.run(
        command, cwd=cwd, env=environment(), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        shown = " ".join(map(str, command))
        raise Failure(f"{shown} failed ({done.returncode}):\n{done.stderr.strip()}")
    return done.stdout


def environment() -> dict[str, str]:
    """With the tools first on PATH, where maturin and cargo-zigbuild look for zig."""
    inherited = {k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "CONDA_PREFIX")}
    path = os.pathsep.join([str(TOOLS / "bin"), inherited.get("PATH", os.defpath)])
    return {**inherited, "PATH": path}


def say(what: str) -> None:
    print(f"==> {what}", flush=True)

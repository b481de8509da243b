"""Builds ferrio for the interpreter that runs this file, into a virtual environment.

    python3.13 tests/setup/environment.py [--lint] [--docs] [--faults] [--assertions]

The environment is `.build/venv/3.13`, one for each version, so several versions can be tested side
by side. Nothing is done twice: dependencies are installed again only if a requirements file
changed, the extension is built again only if something that goes into it changed.

Runs on a bare interpreter: standard library only.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench" / "load"))
import progress  # noqa: E402 - it stands beside the build backend, which must find it too

BUILD = ROOT / ".build"
# A debug build of CPython has extensions of its own, and no package has wheels for it.
IS_DEBUG = hasattr(sys, "gettotalrefcount")
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}{'d' if IS_DEBUG else ''}"
ENVIRONMENT = BUILD / "venv" / VERSION
REQUIREMENTS = ROOT / "tests" / f"requirements{'-fuzzing' if IS_DEBUG else ''}.txt"
# A second ferrio, whose system calls can be made to fail: for PYTHONPATH.
FAULTS = BUILD / "faults" / VERSION
# One that asserts what it takes for granted, for PYTHONPATH too.
ASSERTIONS = BUILD / "assertions" / VERSION
LINT_REQUIREMENTS = ROOT / "tests" / "requirements-lint.txt"
DOCS_REQUIREMENTS = ROOT / "tests" / "requirements-docs.txt"

# What goes into the wheel: a change in any of these files means another build.
SOURCES = (
    "Cargo.toml",
    "Cargo.lock",
    "pyproject.toml",
    "rust-toolchain.toml",
    "crates/**/*.rs",
    "crates/**/Cargo.toml",
    "python/**/*",
    "examples/**/*",
    "bench/load/**/*",
)
# Made on the way, from bench/load.
LOAD_GENERATOR = ROOT / "python" / "ferrio" / "_bench" / "ferrio-load"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=f"Build ferrio and its tests' dependencies into {ENVIRONMENT.relative_to(ROOT)}"
    )
    parser.add_argument("--lint", action="store_true", help="also install ruff and mypy")
    parser.add_argument("--docs", action="store_true", help="also install what builds the site")
    parser.add_argument(
        "--profile", default="release", help="cargo's: dev is quicker to build and asserts more"
    )
    parser.add_argument(
        "--faults",
        action="store_true",
        help=f"also build into {FAULTS.relative_to(ROOT)} a ferrio with the feature `faults`",
    )
    parser.add_argument(
        "--assertions",
        action="store_true",
        help=f"build a ferrio with assertions into {ASSERTIONS.relative_to(ROOT)} instead",
    )
    options = parser.parse_args()
    check_machine()
    needed = stamps(options)

    def is_made() -> bool:
        return (
            all(stamp.is_current() for stamp in needed)
            and (FAULTS.exists() or not options.faults)
            and (ASSERTIONS.exists() or not options.assertions)
        )

    with alone(is_made) as nothing_is_missing:
        if nothing_is_missing:
            return
        create()
        install(REQUIREMENTS)
        if options.lint:
            install(LINT_REQUIREMENTS)
        if options.docs:
            install(DOCS_REQUIREMENTS)
        if options.assertions:
            build_aside(ASSERTIONS, "dev")
            return
        build(options.profile)
        if options.faults:
            build_aside(FAULTS, options.profile, "--features", "faults")


def stamps(options: argparse.Namespace) -> list[Stamp]:
    """Of all that these options ask for."""
    requirements = [REQUIREMENTS]
    if options.lint:
        requirements.append(LINT_REQUIREMENTS)
    if options.docs:
        requirements.append(DOCS_REQUIREMENTS)
    found = [*map(of_requirements, requirements)]
    if options.assertions:
        return [*found, of_build("assertions", "dev")]
    found.append(of_build("wheel", options.profile))
    if options.faults:
        found.append(of_build("faults", options.profile))
    return found


@contextlib.contextmanager
def alone(is_made: Callable[[], bool]) -> Iterator[bool]:
    """One at a time: maturin keeps what it builds in one place for all versions.

    Whoever finds that everything is made needs no turn, and gets True: tests of one version start
    while another one is built.
    """
    BUILD.mkdir(exist_ok=True)
    has_said = False
    with (BUILD / "lock").open("w") as lock:
        while not is_made():
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not has_said:
                    print(f"[{VERSION}] waiting for another build to end ...", flush=True)
                    has_said = True
                time.sleep(0.5)
            else:
                yield False
                return
        yield True


def check_machine() -> None:
    """Says what is missing before any work is done, rather than in the middle of it."""
    if sys.version_info < (3, 11):  # noqa: UP036 - that it is not is what we check
        sys.exit(f"ferrio needs Python 3.11 or newer; {sys.executable} is {VERSION}")
    if shutil.which("cargo") is None:
        sys.exit("ferrio is built by cargo, which is not on PATH: install Rust (https://rustup.rs)")


def create() -> None:
    if (ENVIRONMENT / "bin" / "python").exists():
        return
    with step(f"creating {ENVIRONMENT.relative_to(ROOT)} ({sys.executable})"):
        try:
            venv.create(ENVIRONMENT, with_pip=True, symlinks=True)
        except subprocess.CalledProcessError:
            shutil.rmtree(ENVIRONMENT, ignore_errors=True)
            sys.exit(
                f"{sys.executable} cannot make virtual environments with pip "
                f"(on Debian: apt-get install python{VERSION}-venv)"
            )


def install(requirements: Path) -> None:
    stamp = of_requirements(requirements)
    if stamp.is_current():
        return
    with step(f"installing {requirements.relative_to(ROOT)}"):
        pip("install", "--quiet", "--prefer-binary", "--requirement", requirements)
        stamp.write()


def build(profile: str) -> None:
    stamp = of_build("wheel", profile)
    if stamp.is_current():
        return
    with step(f"building ferrio for CPython {VERSION} ({profile} profile, a minute or two)"):
        wheel = make_wheel(BUILD / "wheel" / VERSION, profile)
        pip("install", "--quiet", "--no-deps", "--force-reinstall", wheel)
        stamp.write()


def build_aside(folder: Path, profile: str, *more: str) -> None:
    """Another ferrio than the environment's, into a folder named after what it is for."""
    name = folder.parent.name
    stamp = of_build(name, profile)
    if stamp.is_current() and folder.exists():
        return
    with step(f"building ferrio for CPython {VERSION} with {name} ({profile} profile)"):
        wheel = make_wheel(BUILD / "wheel" / f"{VERSION}-{name}", profile, *more)
        shutil.rmtree(folder, ignore_errors=True)
        pip("install", "--quiet", "--no-deps", "--target", folder, wheel)
        stamp.write()


def of_requirements(requirements: Path) -> Stamp:
    return Stamp(requirements.stem, [requirements])


def of_build(name: str, profile: str) -> Stamp:
    return Stamp(name, sources(), profile)


def sources() -> list[Path]:
    found = (path for pattern in SOURCES for path in ROOT.glob(pattern))
    return [path for path in found if path.stem != LOAD_GENERATOR.name]


def make_wheel(wheels: Path, profile: str, *more: str) -> Path:
    """Leaves nothing but the new wheel in the folder `wheels`."""
    shutil.rmtree(wheels, ignore_errors=True)
    python = ENVIRONMENT / "bin" / "python"
    run([python, ROOT / "bench" / "load" / "backend.py"])
    command: list[str | Path] = [python, "-m", "maturin", "build", "--locked"]
    command += ["--profile", profile, "--interpreter", python, "--out", wheels]
    run([*command, *more])
    (wheel,) = wheels.glob("*.whl")
    return wheel


class Stamp:
    """Remembers the content of some files at the time that something was made from them."""

    def __init__(self, name: str, sources: Sequence[Path], how: str = "") -> None:
        self._path = ENVIRONMENT / f"{name}.stamp"
        digest = hashlib.sha256(how.encode())
        for source in sorted(sources):
            if source.is_file() and "__pycache__" not in source.parts:
                digest.update(f"{source.relative_to(ROOT)}\n".encode())
                digest.update(source.read_bytes())
        self._digest = digest.hexdigest()

    def is_current(self) -> bool:
        return self._path.exists() and self._path.read_text() == self._digest

    def write(self) -> None:
        self._path.write_text(self._digest)


@contextlib.contextmanager
def step(what: str) -> Iterator[None]:
    print(f"[{VERSION}] {what} ...", flush=True)
    start = time.monotonic()
    yield
    print(f"[{VERSION}] done in {time.monotonic() - start:.0f} s", flush=True)


def pip(*arguments: str | Path) -> None:
    run([ENVIRONMENT / "bin" / "python", "-m", "pip", "--disable-pip-version-check", *arguments])


def run(command: Sequence[str | Path]) -> None:
    # maturin looks for an active environment; ours is the interpreter it is told about.
    environment = {k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "CONDA_PREFIX")}
    status = progress.run(command, f"[{VERSION}] so far", cwd=ROOT, env=environment)
    if status != 0:
        sys.exit(f"[{VERSION}] failed ({status}): {' '.join(map(str, command))}")


if __name__ == "__main__":
    main()

"""Builds the wheels of a release into .build/wheels, judges each, and tries those that run here.

    python3 -m release.wheels                       all that this machine can build
    python3 -m release.wheels glibc-x86_64 --python 3.13
    python3 -m release.wheels --plan                says which those would be
    python3 -m release.wheels --all                 fails if one cannot be built here

A wheel is good if auditwheel grants its tag, it has an SBOM in which no crate is left out, it is
within the size budget, and it works in a clean environment. The matrix: release/matrix.py.

Standard library only: the tools are installed from PyPI into .build/release/tools.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import shutil
import sys
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from . import machine
from .matrix import VERSIONS, Build, Missing, Platform, named, plan
from .tools import BUILD, PYTHON, ROOT, WHEELS, Failure, output, prepare, run, say
from .verdict import Wheel, granted, judge, megabytes

LOAD_GENERATOR = ROOT / "python" / "ferrio" / "_bench" / "ferrio-load"


@dataclass(frozen=True)
class Result:
    wheel: str
    size: str
    audit: str
    trial: str
    wrong: tuple[str, ...]


def main() -> int:
    options = arguments()
    steps = list(plan(machine.this_machine(), options.platforms, options.python or VERSIONS))
    missing = [step for step in steps if isinstance(step, Missing)]
    builds = [step for step in steps if isinstance(step, Build)]
    for build in builds:
        say(f"to be built: {build.platform.name}, {', '.join(build.interpreters)}")
    for step in missing:
        say(f"not here: {step}")
    if options.plan:
        return 0
    try:
        results = make(builds)
    except Failure as failure:
        print(failure, file=sys.stderr)
        return 1
    print_table(results)
    for step in missing:
        print(f"not built: {step}")
    if not results:
        print("no wheel was built", file=sys.stderr)
    wrong = not results or any(result.wrong for result in results)
    return 1 if wrong or (options.all and missing) else 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make wheels", description="Build, judge and try the wheels of a release."
    )
    parser.add_argument("platforms", nargs="*", help="of which platforms (default: all)")
    parser.add_argument(
        "--python", action="append", choices=VERSIONS, help="for this version only; repeatable"
    )
    parser.add_argument("--plan", action="store_true", help="say what would be built, no more")
    parser.add_argument("--all", action="store_true", help="fail if one cannot be built here")
    options = parser.parse_args()
    try:
        options.platforms = named(options.platforms)
    except ValueError as error:
        parser.error(str(error))
    return options


def make(builds: list[Build]) -> list[Result]:
    prepare()
    shutil.rmtree(WHEELS, ignore_errors=True)
    WHEELS.mkdir(parents=True)
    results = []
    for build in builds:
        with alone():
            wheels = build_wheels(build)
        crates = crates_of(build.platform)
        for wheel in wheels:
            results.append(examine(wheel, build, crates))
    return results


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """`make venv` builds by way of the same places: the load generator, maturin's folder."""
    with (BUILD / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def build_wheels(build: Build) -> list[Path]:
    """Those of all versions; cargo compiles anew for each what knows of Python."""
    platform = build.platform
    say(f"{platform.name}: the load generator of `ferrio bench`")
    sbom = build_load_generator(platform)
    count = len(build.interpreters)
    say(f"{platform.name}: {count} wheel{'s' * (count > 1)}, a minute or two of compiling for each")
    before = set(WHEELS.glob("*.whl"))
    command = maturin(platform, "--profile", "release", "--out", WHEELS, "--sbom-include", sbom)
    command += ["--interpreter", *build.interpreters.values()]
    try:
        run(command, f"{platform.name}: compiling", env={"SOURCE_DATE_EPOCH": last_change()})
    finally:
        # It is the other platform's, perhaps; `make venv` makes its own.
        LOAD_GENERATOR.unlink(missing_ok=True)
    return sorted(set(WHEELS.glob("*.whl")) - before)


def build_load_generator(platform: Platform) -> Path:
    """Puts it where maturin takes it from, and returns the SBOM of what is in it.

    It is built as a wheel of its own: so maturin has zig link it for the platform, checks what it
    asks of a system, and lists its crates.
    """
    folder = BUILD / "release" / "load" / platform.name
    shutil.rmtree(folder, ignore_errors=True)
    command = maturin(platform, "--profile", "load")
    command += ["--manifest-path", ROOT / "bench" / "load" / "Cargo.toml", "--out", folder]
    run(command, f"{platform.name}: the load generator")
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (program,) = (name for name in names if name.endswith(f"/scripts/{LOAD_GENERATOR.name}"))
        (sbom,) = (name for name in names if "/sboms/" in name)
        LOAD_GENERATOR.write_bytes(archive.read(program))
        LOAD_GENERATOR.chmod(0o755)
        listed = folder / Path(sbom).name
        listed.write_bytes(archive.read(sbom))
    return listed


def maturin(platform: Platform, *more: str | Path) -> list[str | Path]:
    command: list[str | Path] = [PYTHON, "-m", "maturin", "build", "--locked", "--zig"]
    command += ["--target", platform.target, "--compatibility", platform.compatibility]
    return [*command, *more]


def last_change() -> str:
    """The time of the last commit, for the dates in the archive: built twice, it is the same."""
    return output("git", "log", "-1", "--format=%ct").strip()


def crates_of(platform: Platform) -> set[str]:
    """All that is linked into the binaries of a wheel."""
    tree = ["cargo", "tree", "--locked", "--target", platform.target, "--edges", "normal"]
    tree += ["--package", "ferrio-py", "--package", "ferrio-load", "--prefix", "none"]
    lines = output(*tree, "--format", "{p}").splitlines()
    # A macro's crates run in the compiler and are in no wheel, but `normal` goes through to them.
    return {line.split()[0] for line in lines if line}


def examine(path: Path, build: Build, crates: set[str]) -> Result:
    say(f"{path.name}: verdict")
    wheel = Wheel.read(path)
    # It reads ELF; what maturin builds for macOS it checks itself.
    has_audit = "linux" in build.platform.compatibility
    audited = None
    if has_audit:
        audited = granted(output(PYTHON, "-m", "auditwheel", "show", "--json", path))
    wrong = list(judge(wheel, build.platform, crates, audited))
    tried = f"not tried: needs {build.platform.name}"
    if build.runs_here:
        version = next(v for v in build.interpreters if f"-cp{v.replace('.', '')}-" in path.name)
        tried = try_out(path, build.interpreters[version])
        if not tried.startswith("works"):
            wrong.append(tried)
    for complaint in wrong:
        print(f"{path.name}: {complaint}", flush=True)
    return Result(path.name, megabytes(wheel.size), audited or "-", tried, tuple(wrong))


def try_out(path: Path, interpreter: str) -> str:
    """On the interpreter that it is for, by the recipe that the other platforms use, too."""
    start = time.monotonic()
    command: list[str | Path] = [interpreter, ROOT / "release" / "trial.py", path]
    try:
        run(command, f"{path.name}: trial")
    except Failure:
        return "does not work in a clean environment, see above"
    return f"works, tried in {time.monotonic() - start:.0f} s"


def print_table(results: list[Result]) -> None:
    print()
    for result in results:
        verdict = "REFUSED" if result.wrong else "good"
        row = f"{verdict:<8} {result.size:>8}  auditwheel: {result.audit}  {result.trial}"
        print(f"{result.wheel}\n  {row}")
        for complaint in result.wrong:
            print(f"    {complaint}")
    print(f"\n{len(results)} wheels in {WHEELS.relative_to(ROOT)}")


if __name__ == "__main__":
    sys.exit(main())

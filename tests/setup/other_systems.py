"""Checks that the Rust code compiles for systems other than this one.

    python3 tests/setup/other_systems.py [TARGET...]

A target whose standard library is installed (`rustup target add TARGET`) is checked by `cargo
check --target`. Any other one is checked in disguise: the crates that stand between us and the
system (libc, rustix, polling, errno) and our own are copied with each `target_os` in their
conditions called something else, and that something is set to the other system's name. So they
are compiled as they are there, constants, structures and signatures of its C library included,
on top of this system's standard library. What that cannot see is where the standard library
itself differs, and what the linker would say.

Runs on a bare interpreter: standard library only.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".build" / "other-systems"
# PyO3 is told of an interpreter that is not here.
INTERPRETER = ROOT / "tests" / "setup" / "other.cfg"
PACKAGES = ("--package", "ferrio-engine", "--package", "ferrio-py")


@dataclass(frozen=True)
class Target:
    triple: str
    system: str
    vendor: str


TARGETS = (
    Target("aarch64-apple-darwin", "macos", "apple"),
    Target("x86_64-unknown-freebsd", "freebsd", "unknown"),
)
#: Whose conditions ask for the system by name, other than ours.
COPIED = ("libc", "rustix", "polling", "errno")
#: What a target is asked for that differs between systems of one kind of processor.
ASKED = re.compile(r'\btarget_(os|vendor|env)(?=\s*=\s*")')
#: The same, where cargo tells build scripts.
TOLD = re.compile(rb"\bCARGO_CFG_TARGET_(OS|VENDOR|ENV)\b")


def main() -> int:
    parser = argparse.ArgumentParser(description="Check the Rust code for other systems")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="all of them if none is given")
    names = parser.parse_args().targets
    known = {target.triple: target for target in TARGETS}
    if unknown := [name for name in names if name not in known]:
        parser.error(f"no such target: {', '.join(unknown)}; there are {', '.join(known)}")
    failed = []
    for target in [known[name] for name in names] or TARGETS:
        if is_installed(target):
            print(f"[{target.triple}] cargo check ...", flush=True)
            passed = check(target)
        else:
            print(
                f"[{target.triple}] in disguise, as its standard library is not installed "
                f"(rustup target add {target.triple}) ...",
                flush=True,
            )
            passed = check_in_disguise(target)
        print(f"[{target.triple}] {'passed' if passed else 'FAILED'}", flush=True)
        if not passed:
            failed.append(target.triple)
    if failed:
        print(f"failed: {', '.join(failed)}")
    return int(bool(failed))


def is_installed(target: Target) -> bool:
    root = output("rustc", "--print", "sysroot").strip()
    return Path(root, "lib", "rustlib", target.triple, "lib").is_dir()


def check(target: Target) -> bool:
    return passes([*PACKAGES, "--locked", "--target", target.triple], ROOT, dict(os.environ))


def check_in_disguise(target: Target) -> bool:
    folder = FOLDER / "disguised"
    disguise(folder)
    host = re.search("^host: (.*)$", output("rustc", "--version", "--verbose"), re.MULTILINE)
    assert host is not None
    disguised = {"os": target.system, "vendor": target.vendor, "env": ""}
    flags = ["-Aunexpected_cfgs"]
    for name, value in disguised.items():
        flags += ["--cfg", f'disguised_{name}="{value}"']
    environment = {**os.environ, "CARGO_ENCODED_RUSTFLAGS": "\x1f".join(flags)}
    # With --target, what runs here (build scripts, macros) is compiled as what it is.
    arguments = [*PACKAGES, "--target", host[1]]
    return passes(arguments, folder / "workspace", environment)


def disguise(folder: Path) -> None:
    """Copies what is to be compiled. Files that are the same already are not touched."""
    metadata = json.loads(output("cargo", "metadata", "--locked", "--format-version", "1"))
    sources = {
        package["name"]: Path(package["manifest_path"]).parent
        for package in metadata["packages"]
        if package["name"] in COPIED
    }
    copied = {folder / "vendor" / name: source for name, source in sources.items()}
    for name in ("crates/ferrio-engine", "crates/ferrio-http", "crates/ferrio-py", "bench/load"):
        copied[folder / "workspace" / name] = ROOT / name
    for target, source in copied.items():
        copy(source, target)
    manifest = (ROOT / "Cargo.toml").read_text()
    patch = "".join(f'{name} = {{ path = "../vendor/{name}" }}\n' for name in sources)
    write(folder / "workspace" / "Cargo.toml", f"{manifest}\n[patch.crates-io]\n{patch}".encode())
    # Of another make: where the copies come from is in it.
    lock = folder / "workspace" / "Cargo.lock"
    if not lock.exists() or lock.stat().st_mtime < (ROOT / "Cargo.lock").stat().st_mtime:
        shutil.copyfile(ROOT / "Cargo.lock", lock)


def copy(source: Path, target: Path) -> None:
    wanted = set()
    for file in sorted(source.rglob("*")):
        name = file.relative_to(source)
        if not file.is_file() or name.parts[0] == "target":
            continue
        content = file.read_bytes()
        if name == Path("build.rs"):
            content = TOLD.sub(rb"CARGO_CFG_DISGUISED_\1", content)
        elif file.suffix in (".rs", ".toml"):
            content = ASKED.sub(r"disguised_\1", content.decode()).encode()
        wanted.add(target / name)
        write(target / name, content)
    # What is not there any more would be compiled still.
    for file in target.rglob("*"):
        if file.is_file() and file not in wanted:
            file.unlink()


def write(file: Path, content: bytes) -> None:
    if file.exists() and file.read_bytes() == content:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


def passes(arguments: list[str], folder: Path, environment: dict[str, str]) -> bool:
    """Does `cargo check` succeed, and say nothing about our own code?"""
    interpreter = {"PYO3_BUILD_EXTENSION_MODULE": "1", "PYO3_CONFIG_FILE": str(INTERPRETER)}
    checked = subprocess.run(
        ["cargo", "check", "--message-format=short", f"--target-dir={ROOT / 'target'}", *arguments],
        cwd=folder,
        env={**environment, **interpreter},
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    ours = [line for line in checked.stderr.splitlines() if line.startswith("crates")]
    if checked.returncode != 0:
        print(checked.stderr)
    elif ours:
        print(*ours, sep="\n")
    return checked.returncode == 0 and not ours


def output(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout


if __name__ == "__main__":
    sys.exit(main())

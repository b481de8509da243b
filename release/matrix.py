"""Which wheels a release has, which of them this machine can build, and what the others want.

Decides and does nothing else: what the machine has is an argument, see `machine.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

#: Those of pyproject.toml's classifiers; `check.py` compares them.
VERSIONS = ("3.11", "3.12", "3.13", "3.14", "3.15")


@dataclass(frozen=True)
class Platform:
    """What a wheel is for; a row of the matrix."""

    name: str
    """What it is called on the command line, in progress and in verdicts."""
    target: str
    """What rustc calls it."""
    compatibility: str
    """What maturin is to promise, and to check."""
    tag: str
    """What stands at the end of a wheel's name, perhaps among other tags."""


def linux(machine: str, library: str) -> Platform:
    # glibc 2.17 is RHEL 7's. Rust's standard library needs no newer one, and what ferrio needs of
    # newer ones it looks up at run time.
    abi, promise = {"glibc": ("gnu", "manylinux_2_17"), "musl": ("musl", "musllinux_1_2")}[library]
    name, target = f"{library}-{machine}", f"{machine}-unknown-linux-{abi}"
    return Platform(name, target, promise, f"{promise}_{machine}")


MACOS = Platform(
    "macos-arm64",
    "aarch64-apple-darwin",
    # maturin knows no other promise there; 11.0 is the oldest macOS on this processor.
    "pypi",
    "macosx_11_0_arm64",
)

PLATFORMS = (
    linux("x86_64", "glibc"),
    linux("x86_64", "musl"),
    linux("aarch64", "glibc"),
    linux("aarch64", "musl"),
    MACOS,
)


@dataclass(frozen=True)
class Machine:
    """What can be known of a machine without building anything."""

    host: str
    """The target that rustc builds for unless it is told another one."""
    targets: frozenset[str]
    """Those whose standard library is installed."""
    interpreters: Mapping[str, str]
    """The CPythons that were found: path by version."""
    has_rustup: bool


@dataclass(frozen=True)
class Build:
    """Wheels of one platform: maturin makes those of all versions in one run."""

    platform: Platform
    interpreters: Mapping[str, str]
    """By version, what maturin is told: a path, or a name whose facts it knows itself."""
    runs_here: bool
    """Whether this machine has an interpreter that the wheels are for."""


@dataclass(frozen=True)
class Missing:
    """A wheel, or all those of a platform, that cannot be built here."""

    what: str
    why: str
    type_next: str

    def __str__(self) -> str:
        return f"{self.what}: {self.why}; {self.type_next}"


def plan(
    machine: Machine,
    platforms: Sequence[Platform] = PLATFORMS,
    versions: Sequence[str] = VERSIONS,
) -> Iterator[Build | Missing]:
    """What is to be done for each platform, in order, and what cannot be."""
    for platform in platforms:
        if platform.target not in machine.targets:
            yield Missing(platform.name, "no standard library for it", advice(machine, platform))
        elif platform.target != machine.host:
            # Nothing of an interpreter is linked in, and maturin knows what the names of its
            # modules end with.
            names = {version: f"python{version}" for version in versions}
            yield Build(platform, names, runs_here=False)
        else:
            found = {v: machine.interpreters[v] for v in versions if v in machine.interpreters}
            if found:
                yield Build(platform, found, runs_here=True)
            for version in versions:
                if version not in found:
                    yield Missing(
                        f"{platform.name}, {version}",
                        f"no CPython {version} was found",
                        f"put a python{version} on PATH",
                    )


def advice(machine: Machine, platform: Platform) -> str:
    if machine.has_rustup:
        return f"type: rustup target add {platform.target}"
    return (
        f"install rust-std for {platform.target} beside this compiler (with rustup: "
        f"rustup target add {platform.target})"
    )


def named(names: Sequence[str]) -> tuple[Platform, ...]:
    """The platforms of these names, all of them for none; a ValueError says which there are."""
    known = {platform.name: platform for platform in PLATFORMS}
    for name in names:
        if name not in known:
            raise ValueError(f"no platform {name!r}: there are {', '.join(known)}")
    return tuple(known[name] for name in names) if names else PLATFORMS

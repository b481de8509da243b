"""Installs a wheel as a user would, into an environment of its own, and uses it.

    python3.13 release/trial.py WHEEL             the wheel, which must be for this interpreter
    python3.13 release/trial.py FOLDER            the one out of many that is for this interpreter
    python3.13 release/trial.py FOLDER --demo     and runs examples/encyclopedia (fetches aiohttp)

The environment has nothing of this repository: no Rust, no compiler, no packages, another current
folder and another home. That it is the wheel which runs is checked, not assumed.

Runs on a bare interpreter, of any system that wheels are for: standard library only.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "bench" / "load"))
import progress  # noqa: E402 - it stands beside the build backend, which must find it too

DEMO = ROOT / "examples" / "encyclopedia"

#: Says what it runs on, and fails unless streams, timers, threads and children work.
PROGRAM = r"""
import asyncio, sys


async def answer(reader, writer):
    writer.write((await reader.readline()).upper())
    await writer.drain()
    writer.close()


async def main():
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server, asyncio.timeout(60):
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"hello\n")
        await asyncio.sleep(0.01)
        assert await reader.readline() == b"HELLO\n"
        writer.close()
    assert await asyncio.to_thread(sum, [1, 2]) == 3
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", "raise SystemExit(7)")
    assert await child.wait() == 7
    loop = type(asyncio.get_running_loop())
    print(f"{loop.__module__}.{loop.__qualname__} says hello")
"""

#: On ferrio by one line, as the README has it.
BY_ONE_LINE = PROGRAM + "\n\nimport ferrio\n\nferrio.run(main())\n"
#: Knows nothing of it.
UNCHANGED = PROGRAM + "\n\nasyncio.run(main())\n"
SAYS_HELLO = "ferrio.Loop says hello"

#: Where the package is, how it was built, and whether its program for measuring runs.
FACTS = """
import ferrio, os, subprocess
from importlib import metadata
print(os.path.realpath(ferrio.__file__))
print(metadata.version("ferrio"))
print(ferrio._ferrio.build_info()["profile"])
program = os.path.join(os.path.dirname(ferrio.__file__), "_bench", "ferrio-load")
print(subprocess.run([program, "--help"], capture_output=True).returncode)
"""


class Failure(Exception):
    """What did not work, for the user."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Install a wheel and use it.")
    parser.add_argument("wheels", type=Path, help="a wheel, or a folder of wheels")
    parser.add_argument("--demo", action="store_true", help="also run examples/encyclopedia")
    options = parser.parse_args()
    try:
        print(f"trial on {sys.executable}: {trial(options.wheels.resolve(), demo=options.demo)}")
    except Failure as failure:
        sys.exit(f"trial on {sys.executable}: {failure}")


def trial(wheels: Path, *, demo: bool = False) -> str:
    """Raises `Failure`, or says what was installed and how long it was until a program ran."""
    with tempfile.TemporaryDirectory(prefix="ferrio-trial-") as directory:
        return Trial(Path(directory)).run(wheels, demo=demo)


class Trial:
    def __init__(self, directory: Path) -> None:
        # As ferrio reports it: macOS has a link in the way to temporary files.
        self._directory = Path(os.path.realpath(directory))
        self._bin = self._directory / "venv" / "bin"
        (self._directory / "home").mkdir()
        self._environment = {
            "PATH": str(self._bin),
            "HOME": str(self._directory / "home"),
            "LANG": "C.UTF-8",
        }

    def run(self, wheels: Path, *, demo: bool) -> str:
        start = time.monotonic()
        self._create()
        found = ["--find-links", wheels, "ferrio"] if wheels.is_dir() else [wheels]
        self._pip("--no-index", "--no-deps", *found)
        # If it has to be built, it is not the wheel.
        for tool in ("cargo", "rustc"):
            if shutil.which(tool, path=self._environment["PATH"]):
                raise Failure(f"{tool} is in the environment that should be without Rust")
        self._program("one_line.py", BY_ONE_LINE, [self._bin / "python"])
        seconds = time.monotonic() - start
        version = self._check_facts()
        if f"ferrio {version}" not in self._output([self._bin / "ferrio", "info"]):
            raise Failure(f"ferrio info does not name the version {version}")
        self._program("unchanged.py", UNCHANGED, [self._bin / "ferrio", "run"])
        if demo:
            self._demo()
        return f"ferrio {version} works, {seconds:.0f} s from nothing to the first program"

    def _create(self) -> None:
        try:
            venv.create(self._directory / "venv", with_pip=True, symlinks=True)
        except subprocess.CalledProcessError:
            raise Failure("it cannot make virtual environments with pip") from None

    def _pip(self, *what: str | Path) -> None:
        pip: list[str | Path] = [self._bin / "python", "-m", "pip", "--disable-pip-version-check"]
        # Where packages come from is the machine's affair.
        environment = {k: v for k, v in os.environ.items() if k.startswith("PIP_")}
        command = [*pip, "install", "--quiet", "--only-binary", ":all:", *what]
        status = progress.run(
            command,
            f"installing {' '.join(Path(part).name for part in map(str, what[-1:]))}",
            cwd=self._directory,
            env={**environment, **self._environment},
        )
        if status != 0:
            raise Failure(f"pip could not install {what[-1]}")

    def _check_facts(self) -> str:
        where, version, profile, load = self._output(
            [self._bin / "python", "-c", FACTS]
        ).splitlines()
        if not where.startswith(f"{self._directory}{os.sep}"):
            raise Failure(f"ferrio is imported from {where}, not from what was installed")
        if profile != "release":
            raise Failure(f"it was built without optimisation (profile {profile})")
        if load != "0":
            raise Failure(f"ferrio-load, the load generator in it, ends with status {load}")
        return version

    def _program(self, name: str, text: str, how: Sequence[str | Path]) -> None:
        file = self._directory / name
        file.write_text(text)
        if (said := self._output([*how, file]).strip()) != SAYS_HELLO:
            raise Failure(f"{name} says {said!r} instead of {SAYS_HELLO!r}")

    def _demo(self) -> None:
        self._pip("--requirement", DEMO / "requirements.txt")
        command = [self._bin / "ferrio", "run", DEMO]
        where = {"cwd": self._directory, "env": self._environment}
        if progress.run(command, "the demo", **where) != 0:  # type: ignore[arg-type]
            raise Failure(f"ferrio run {DEMO} failed")

    def _output(self, command: Sequence[str | Path]) -> str:
        done = subprocess.run(
            command,
            cwd=self._directory,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode != 0:
            shown = " ".join(Path(part).name for part in map(str, command[:2]))
            raise Failure(f"{shown} ended with status {done.returncode}:\n{done.stderr.strip()}")
        return done.stdout


if __name__ == "__main__":
    main()

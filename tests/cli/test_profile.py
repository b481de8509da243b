"""`ferrio run --profile`: by py-spy or cProfile, and what is said of it."""

from __future__ import annotations

import json
import pstats
import shutil
import signal
import sys
from pathlib import Path

import pytest

from .command import Command, ferrio_run

PROGRAM = """
import asyncio, sys, time

def spin():
    until = time.perf_counter() + 0.7
    while time.perf_counter() < until:
        sum(range(1000))

async def main():
    spin()

asyncio.run(main())
print("done", sys.argv[1:])
sys.exit(3)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(PROGRAM)
    return tmp_path


def without_py_spy() -> Command:
    """Nothing is found on PATH, nor beside the interpreter."""
    code = (
        "import sys; from ferrio import __main__, _profile; _profile.find_py_spy = lambda: None; "
        "sys.exit(__main__.main())"
    )
    return Command([sys.executable, "-c", code, "run"])


def test_cprofile(folder: Path) -> None:
    outcome = ferrio_run("--profile=out.prof").run(["app.py", "1"], cwd=folder)
    assert (outcome.status, outcome.stdout) == (3, "done ['1']\n")
    assert outcome.stderr.splitlines() == [
        "ferrio run: profiling by cProfile, into out.prof",
        "ferrio run: out.prof: to read it: python -m pstats out.prof "
        "(then: sort cumtime, stats 20)",
    ]
    names = {name for _, _, name in pstats.Stats(str(folder / "out.prof")).stats}  # type: ignore[attr-defined]
    assert {"spin", "main"} <= names


def test_cprofile_where_there_is_no_py_spy(folder: Path) -> None:
    outcome = without_py_spy().run(["--profile", "app.py", "1"], cwd=folder)
    assert (outcome.status, outcome.stdout) == (3, "done ['1']\n")
    first = outcome.stderr.splitlines()[0]
    assert first == ("ferrio run: py-spy is not installed (pip install py-spy); cProfile is used")
    assert (folder / "profile-app.prof").exists()
    refused = without_py_spy().run(["--profile=a.svg", "app.py"], cwd=folder)
    assert (refused.status, refused.stdout) == (2, "")
    assert refused.stderr.endswith("cProfile writes --profile=FILE.prof\n")


def test_a_profile_of_a_program_that_is_ended(folder: Path) -> None:
    (folder / "app.py").write_text(
        "import asyncio\n"
        "async def main():\n"
        "    print('ready', flush=True)\n"
        "    await asyncio.sleep(1000)\n"
        "asyncio.run(main())\n"
    )
    process = ferrio_run("--profile=out.prof").start(["app.py"], cwd=folder)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGTERM
    assert (folder / "out.prof").exists()


def py_spy_or_skip(outcome_stderr: str) -> None:
    if "py-spy cannot look at this process" in outcome_stderr:
        pytest.skip(f"py-spy cannot profile here: {outcome_stderr.splitlines()[0]}")


@pytest.mark.parametrize("name", ["", "out.json", "out.txt"])
def test_py_spy(name: str, folder: Path) -> None:
    if shutil.which("py-spy", path=str(Path(sys.executable).parent)) is None:
        pytest.skip("py-spy is not installed")
    option = f"--profile={name}" if name else "--profile"
    outcome = ferrio_run(option).run(["app.py", "1"], cwd=folder)
    py_spy_or_skip(outcome.stderr)
    assert (outcome.status, outcome.stdout) == (3, "done ['1']\n")
    file = name or "profile-app.svg"
    first, last = outcome.stderr.splitlines()
    assert first == f"ferrio run: profiling by py-spy, into {file}"
    assert last.startswith(f"ferrio run: {file}: ")
    text = (folder / file).read_text()
    assert "spin" in text
    if name.endswith(".json"):
        json.loads(text)

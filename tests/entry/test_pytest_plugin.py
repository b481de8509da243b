"""`pytest --ferrio`, and the fixture `virtual_time`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ON_FERRIO = """
import asyncio
from asyncio import Queue, new_event_loop, wait_for

# Bound when the file is imported, which is late enough for it to be ferrio's.
NAMES = {kind.__module__.partition(".")[0] for kind in (Queue, wait_for)}

async def main():
    loop = asyncio.get_running_loop()
    return {type(loop).__module__, type(asyncio.current_task()).__module__.partition(".")[0]}

def test_where_it_runs(virtual_time):
    assert asyncio.run(main()) == EXPECTED
    assert NAMES == EXPECTED
    loop = new_event_loop()
    assert {type(loop).__module__.partition(".")[0]} == EXPECTED
    loop.close()

def test_in_virtual_time(virtual_time):
    virtual_time(asyncio.sleep(3600))
"""


def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["alone", "xdist"])
def test_tests_run_on_ferrio_if_asked_to(workers: list[str], tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(ON_FERRIO.replace("EXPECTED", "{'ferrio'}"))
    done = run(tmp_path, "--ferrio", *workers)
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout
    assert "\nferrio: " in done.stdout


@pytest.mark.parametrize(
    ("ferrio_run", "workers"), [(False, ["-n", "1"]), (True, []), (True, ["-n", "1"])], ids=str
)
def test_pytest_has_nothing_to_warn_of(
    ferrio_run: bool, workers: list[str], tmp_path: Path
) -> None:
    """It would, of modules of a plugin's that are imported before it can rewrite their asserts."""
    (tmp_path / "test_it.py").write_text("def test_it(): pass\n")
    options = ["-p", "no:cacheprovider", "-W", "error::pytest.PytestAssertRewriteWarning", *workers]
    before = ["ferrio", "run", "-m", "pytest"] if ferrio_run else ["pytest", "--ferrio"]
    done = subprocess.run(
        [sys.executable, "-m", *before, *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_nothing_changes_otherwise(tmp_path: Path) -> None:
    source = ON_FERRIO.replace(
        "asyncio.run(main()) == EXPECTED", "{n[:7] for n in asyncio.run(main())} <= EXPECTED"
    ).replace("EXPECTED", "{'asyncio', '_asynci'}")
    source = source.replace("NAMES == ", "NAMES <= ").replace("[0]} == ", "[0]} <= ")
    (tmp_path / "conftest.py").write_text(
        "import sys\nassert '_ferrio_pytest' in sys.modules\nassert 'ferrio' not in sys.modules\n"
    )
    (tmp_path / "test_it.py").write_text(source)
    done = run(tmp_path)
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout
    assert "ferrio: " not in done.stdout


def test_it_is_named_in_the_help(tmp_path: Path) -> None:
    done = run(tmp_path, "--help")
    assert "--ferrio " in done.stdout

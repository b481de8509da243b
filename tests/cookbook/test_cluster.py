"""examples/cluster, end to end: real schedulers and workers, on real network namespaces."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .conftest import CLASSES, PATIENCE, Cookbook, LoopName

LINES = "60000"


def can_make_namespaces() -> bool:
    """Asked of `ip` itself, with a name that no run of the recipe uses."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return False
    name = f"test-{os.getpid()}"
    added = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False)
    if added.returncode != 0:
        return False
    subprocess.run(["ip", "netns", "delete", name], check=True)
    return True


def test_one_machine(cookbook: Cookbook, loop: LoopName) -> None:
    done = cookbook("cluster", "one", "--lines", LINES, loop=loop)
    assert done.stderr == ""
    output = done.stdout
    assert output.startswith(f"running on {CLASSES[loop]}\n")
    assert re.search(r"^pool: 2 processes, their start included: \d+ ms$", output, re.M)
    kind = re.escape(CLASSES[loop])
    assert re.search(
        rf"^one: a scheduler and 2 workers there after \S+ s, on {kind}$", output, re.M
    )
    assert re.findall(r"^one: counted (.*): \d+ ms, the same words as the pool$", output, re.M) == [
        "at first",
        "again",
    ]


def test_two_machines(cookbook: Cookbook, loop: LoopName) -> None:
    """Where there can be two, the cable tells the two plans apart; else it says why not."""
    # Enough for the lines to outweigh the dictionaries that are made of them.
    done = cookbook("cluster", "two", "--lines", "150000", loop=loop)
    assert done.stderr == ""
    plans = re.findall(r"^two: counted (where .*|after .*): \d+ ms, (.*)$", done.stdout, re.M)
    assert [plan for plan, _ in plans] == ["where the data is", "after moving it"]
    if not can_make_namespaces():
        assert "two: on one machine, at two addresses of it: " in done.stdout
        assert {moved for _, moved in plans} == {"over the loopback"}
        return
    near, far = re.findall(r"\b198\.18\.\d+\.\d+\b", done.stdout)
    assert near != far
    little, much = (float(moved.removesuffix(" MB over the cable")) for _, moved in plans)
    found = re.search(r"^two: (\S+) MB of data", done.stdout, re.M)
    assert found is not None
    assert little < float(found[1]) <= much
    left = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True)
    mine = {name for name in left.stdout.split() if name.startswith("cookbook-")}
    assert not {name for name in mine if not Path("/proc", name.removeprefix("cookbook-")).exists()}


def test_without_root_it_runs_on_one_machine(cookbook: Cookbook, tmp_path: Path) -> None:
    """And without `ip`: the PATH has none."""
    done = cookbook("cluster", "two", "--lines", "6000", PATH=str(tmp_path))
    reason = "there is no `ip` (Debian: apt-get install iproute2)"
    if os.geteuid() != 0:
        reason = "a second machine is simulated by root only"
    assert f"two: on one machine, at two addresses of it: {reason}\n" in done.stdout
    assert done.stdout.count("over the loopback") == 2


@contextlib.contextmanager
def dask(*arguments: str, folder: Path, loop: LoopName) -> Iterator[None]:
    """Dask's own command, for the time of the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ferrio", "run", "--loop", loop, "-m", "dask", *arguments],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE)


def loops_of(address: str) -> set[str]:
    """The classes of the loops that scheduler and workers run on."""
    from distributed import Client

    def kind(dask_worker: Any = None, dask_scheduler: Any = None) -> str:
        loop = type((dask_worker or dask_scheduler).loop.asyncio_loop)
        return f"{loop.__module__}.{loop.__qualname__}"

    with Client(address) as client:
        client.wait_for_workers(1)
        return {*client.run(kind).values(), client.run_on_scheduler(kind)}


def test_a_cluster_that_runs(cookbook: Cookbook, loop: LoopName, tmp_path: Path) -> None:
    """Started by Dask's own commands, which know nothing of the program: it sends its modules."""
    file = tmp_path / "scheduler.json"
    options = ("--no-dashboard", "--scheduler-file", str(file))
    with (
        dask("scheduler", "--port", "0", *options, folder=tmp_path, loop=loop),
        dask("worker", "--nthreads", "1", *options, folder=tmp_path, loop=loop),
    ):
        deadline = time.monotonic() + PATIENCE
        while not (file.exists() and file.read_text().strip()):
            assert time.monotonic() < deadline, "no scheduler"
            time.sleep(0.1)
        address = json.loads(file.read_text())["address"]
        done = cookbook("cluster", "connect", address, "--lines", LINES, loop=loop)
        kinds = loops_of(address)
    assert kinds == {CLASSES[loop]}
    assert re.search(r"^connect: 1 workers: \d+ ms, the same words$", done.stdout, re.M)

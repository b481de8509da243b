"""Measures how long each recipe takes, for `ferrio cookbook list`.

    make cookbook-durations                     all of them
    python -m tests.cookbook.durations NAME...  these; what is known of the others stays

Each is run without arguments, as `ferrio run` runs it, three times. What is kept is the
quickest, in examples/durations.toml, with what it was measured on.
"""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
import sys
import time
import tomllib
from collections.abc import Mapping, Sequence

from .conftest import PATIENCE, ROOT, command_line

FILE = ROOT / "examples" / "durations.toml"
RUNS = 3

HEAD = """\
# Seconds that each recipe takes without arguments, for `ferrio cookbook list`.
# Written by `make cookbook-durations`: the quickest of {runs} runs on ferrio, with all packages,
# on CPython {python} and {cores} cores that had other work as well, {date}.
[seconds]
"""


def main(names: Sequence[str]) -> None:
    known = sorted(path.parent.name for path in (ROOT / "examples").glob("*/__main__.py"))
    if unknown := set(names) - set(known):
        sys.exit(f"no recipes: {', '.join(sorted(unknown))} (there are: {', '.join(known)})")
    seconds = tomllib.loads(FILE.read_text())["seconds"] if FILE.exists() and names else {}
    for name in names or known:
        seconds[name] = measure(name)
        print(f"{name}: {seconds[name]:.1f} s", flush=True)
    FILE.write_text(text(seconds))


def measure(name: str) -> float:
    taken = []
    for _ in range(RUNS):
        start = time.perf_counter()
        done = subprocess.run(
            command_line(name, (), "ferrio"),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        if done.returncode != 0:
            sys.exit(f"{name} ended with {done.returncode}:\n{done.stdout}")
        taken.append(time.perf_counter() - start)
    return min(taken)


def text(seconds: Mapping[str, float]) -> str:
    head = HEAD.format(
        runs=RUNS,
        python=platform.python_version(),
        cores=len(os.sched_getaffinity(0)),
        date=datetime.date.today().isoformat(),
    )
    return head + "".join(f"{name} = {seconds[name]:.1f}\n" for name in sorted(seconds))


if __name__ == "__main__":
    main(sys.argv[1:])

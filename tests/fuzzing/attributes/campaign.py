"""Children that call attributes, one after the other; what one dies of is made small."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.setup.environment import BUILD, ROOT

from .child import GROUP

# Calls of one child.
CALLS = 16 * GROUP
SHRINK_SECONDS = 90.0
TIMEOUT_SECONDS = 600.0
FOLDER = BUILD / "fuzz"


@dataclass
class Failure:
    seed: str
    indices: list[int]
    status: int
    journal: list[str]
    stderr: list[str]

    def report(self) -> str:
        return "\n".join(
            [
                f"seed {self.seed}, calls {' '.join(map(str, self.indices))}: "
                f"the process ended with {self.status}",
                *self.journal[-12:],
                *self.stderr[-60:],
            ]
        )

    def written(self, python: str) -> Path:
        FOLDER.mkdir(parents=True, exist_ok=True)
        path = FOLDER / f"attributes-{self.seed}-{self.indices[-1]}.py"
        report = "".join(f"# {line}\n" for line in self.report().splitlines())
        path.write_text(SCRIPT.format(report=report, seed=self.seed, indices=self.indices))
        return path


SCRIPT = '''"""Calls that ferrio does not survive: `python THIS` makes them."""

{report}
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.fuzzing.attributes.campaign import replay

if __name__ == "__main__":
    sys.exit(replay({seed!r}, {indices}))
'''


class Children:
    def __init__(self, python: str) -> None:
        self.python = python
        self.calls = 0

    def run(self, seed: str, indices: Sequence[int]) -> Failure | None:
        with tempfile.NamedTemporaryFile("r") as journal, tempfile.TemporaryFile("w+") as stderr:
            command = [self.python, "-m", "tests.fuzzing.attributes.child", seed, journal.name]
            try:
                status = subprocess.run(
                    [*command, *map(str, indices)],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=stderr,
                    cwd=ROOT,
                    env={**os.environ, "PYTHONHASHSEED": "0"},
                    start_new_session=True,
                    timeout=TIMEOUT_SECONDS,
                ).returncode
            except subprocess.TimeoutExpired:
                status = -1000
            stderr.seek(0)
            errors = stderr.read()
            lines = journal.read().splitlines()
        self.calls += len(indices)
        if status == 0 and "panicked at" not in errors:
            return None
        return Failure(seed, list(indices), status, lines, errors.splitlines())

    def smaller(self, failure: Failure) -> Failure:
        """With as few calls as it takes."""
        deadline = time.monotonic() + SHRINK_SECONDS
        last = last_index(failure)
        indices = [index for index in failure.indices if index <= last]
        for kept in ([last], [index for index in indices if index // GROUP == last // GROUP]):
            if kept and (found := self.run(failure.seed, kept)):
                failure = found
                break
        size = len(failure.indices) // 2
        while size:
            for start in range(0, len(failure.indices), size):
                kept = failure.indices[:start] + failure.indices[start + size :]
                if time.monotonic() > deadline:
                    return failure
                if kept and (found := self.run(failure.seed, kept)):
                    failure = found
                    break
            else:
                size //= 2
            size = min(size, len(failure.indices) // 2)
        return failure


def last_index(failure: Failure) -> int:
    """The call that was being made."""
    for line in reversed(failure.journal):
        number = line.partition(":")[0]
        if number.isdigit():
            return int(number)
    return failure.indices[-1]


def replay(seed: str, indices: list[int], python: str = sys.executable) -> int:
    failure = Children(python).run(seed, indices)
    print(failure.report() if failure else "all is well")
    return 1 if failure else 0


def run(seed: int, seconds: float, python: str, *, keeps_going: bool) -> int:
    """The command. Returns how many children failed."""
    deadline = time.monotonic() + seconds
    children = Children(python)
    failures = 0
    batch = 0
    while time.monotonic() < deadline:
        failure = children.run(str(seed + batch), range(CALLS))
        batch += 1
        if failure is not None:
            failures += 1
            failure = children.smaller(failure)
            print(f"\n{failure.report()}\nwritten to {failure.written(python)}", flush=True)
            if not keeps_going:
                break
        print(f"{children.calls} calls, at seed {seed + batch - 1}", flush=True)
    print(f"attributes: {children.calls} calls from seed {seed} on, {failures} children failed")
    return failures

"""Programs one after the other, on asyncio and in every configuration of ferrio's."""

from __future__ import annotations

import difflib
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.setup.environment import BUILD

from .grammar import Grammar
from .known import normalized
from .shrink import shrink
from .tree import Program
from .worker import CONFIGURATIONS, REFERENCE
from .workers import Channels, Worker

# A difference counts if it is there each time that both are run.
REPEATS = 3
SHRINK_SECONDS = 30.0
# How slowly time passes, compared with the program: tried in turn, if the machine is busy.
PACES = (1, 2, 4, 8, 16)
# Where failing programs go.
FOLDER = BUILD / "fuzz"


@dataclass
class Failure:
    program: Program
    configuration: str
    expected: Channels
    actual: Channels

    def report(self) -> str:
        lines = [f"seed {self.program.seed}, {CONFIGURATIONS[self.configuration]}:"]
        if "crash" in self.actual:
            return "\n".join([*lines, *self.actual["crash"]])
        for channel in sorted({*self.expected, *self.actual}):
            theirs, ours = self.expected.get(channel, []), self.actual.get(channel, [])
            if theirs != ours:
                lines.append(f"channel {channel} (- asyncio, + ferrio):")
                lines += difflib.unified_diff(theirs, ours, lineterm="", n=3)
        return "\n".join(lines)

    def written(self) -> Path:
        """Writes the program as a script that can be run by itself."""
        FOLDER.mkdir(parents=True, exist_ok=True)
        name = f"program-{self.program.seed}-{self.configuration}".replace(":", "-")
        path = FOLDER / f"{name}.py"
        report = "".join(f"# {line}\n" for line in self.report().splitlines())
        path.write_text(
            SCRIPT.format(
                report=report,
                configuration=self.configuration,
                settings=self.program.settings(),
                source=self.program.source(),
            )
        )
        return path


SCRIPT = '''"""A program that ferrio runs differently: `python THIS [CONFIGURATION]` compares."""

{report}
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.fuzzing.programs import script

SOURCE = r"""
{source}"""

if __name__ == "__main__":
    script.compare(SOURCE, {settings}, *(sys.argv[1:] or [{configuration!r}]))
'''


class Campaign:
    """Counts what was run, and finds what fails."""

    def __init__(self, configurations: Iterable[str] = CONFIGURATIONS) -> None:
        self.reference = Worker(REFERENCE)
        self.workers = [Worker(name) for name in configurations if name != REFERENCE]
        self.runs = 0
        self.unstable = 0

    def __enter__(self) -> Campaign:
        return self

    def __exit__(self, *exception: object) -> None:
        for worker in (self.reference, *self.workers):
            worker.close()

    def check(self, program: Program) -> Failure | None:
        """What it shows, as small as it can be made."""
        self.runs += 1
        expected = self.expected(program)
        if expected is None:
            self.unstable += 1
            return None
        wrong = [worker for worker in self.workers if self.differs(worker, program, expected)]
        confirmed = (self.failure(program, worker) for worker in wrong)
        failure = next((failure for failure in confirmed if failure), None)
        if failure is not None:
            (worker,) = (w for w in wrong if w.configuration == failure.configuration)
            smaller = shrink(program, lambda p: self.fails(p, worker), SHRINK_SECONDS)
            failure = self.failure(smaller, worker) or failure
        return failure

    def fails(self, program: Program, worker: Worker) -> bool:
        try:
            compile(program.source(), "", "exec")
        except SyntaxError:
            return False
        expected = self.expected(program)
        return expected is not None and all(
            self.differs(worker, program, expected) for _ in range(2)
        )

    def differs(self, worker: Worker, program: Program, expected: Channels) -> bool:
        actual = self.run(worker, program)
        return actual != expected and "late" not in actual

    def expected(self, program: Program) -> Channels | None:
        """What asyncio makes of it, if that is always the same."""
        first, second = (self.run(self.reference, program) for _ in range(2))
        return None if first != second or "crash" in first or "late" in first else first

    def failure(self, program: Program, worker: Worker) -> Failure | None:
        """Runs it again and again, in case the machine was busy, and in new processes."""
        worker.close()
        self.reference.close()
        expected = self.expected(program)
        for _ in range(REPEATS):
            actual = self.run(worker, program)
            if expected is None or actual == expected or "late" in actual:
                return None
            if self.expected(program) != expected:
                return None
        assert expected is not None
        return Failure(program, worker.configuration, expected, actual)

    def run(self, worker: Worker, program: Program) -> Channels:
        for pace in PACES:
            channels = worker.run(program.source(), pace=pace, **program.settings())
            if "late" not in channels:
                break
        return normalized(channels)


def programs(seed: int) -> Iterator[Program]:
    number = seed
    while True:
        yield Grammar(str(number)).program()
        number += 1


def run(
    seed: int,
    seconds: float,
    configurations: Iterable[str],
    *,
    keeps_going: bool,
    most: int | None = None,
) -> int:
    """The command, for so many seconds and programs. Returns how many programs failed."""
    failures = 0
    deadline = time.monotonic() + seconds
    said = time.monotonic()
    with Campaign(configurations) as campaign:
        for program in programs(seed):
            if (failure := campaign.check(program)) is not None:
                failures += 1
                print(f"\n{failure.report()}\nwritten to {failure.written()}", flush=True)
            if time.monotonic() - said > 10:
                said = time.monotonic()
                print(f"{campaign.runs} programs, at seed {program.seed}", flush=True)
            is_over = campaign.runs == most or time.monotonic() > deadline
            if is_over or (failures and not keeps_going):
                break
        print(
            f"programs: {campaign.runs} run from seed {seed} on, {campaign.unstable} of them "
            f"discarded as asyncio itself varies, {failures} failed"
        )
    return failures

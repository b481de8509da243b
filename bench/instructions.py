"""Counts the instructions an operation takes in user space, under valgrind's callgrind.

    python bench/instructions.py --rows 'echo_*' call_soon_batch --loops uvloop ferrio

Slow, and blind to the kernel and the caches; but a count repeats to about 1 % on any machine in any
company, where times need many rounds on a quiet one. So counts tell whether a change made a path
shorter, and times whether that mattered.

Each figure is the difference of two runs, of few and of many operations, over the difference of
the operations: what start and end of the process take drops out. The options are those of `ferrio
bench`.
"""

from __future__ import annotations

import argparse
import math
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ferrio import _bench
from ferrio._bench import command
from ferrio._bench.child import Child, ChildError, python_argv
from ferrio._bench.echo.measured import Server, load
from ferrio._bench.echo.throughput import ECHO_ROWS, EchoRow
from ferrio._bench.micro.row import MICRO_ROWS, MicroRow
from ferrio._bench.row import Effort, Measurement, Row

FEW, MANY = 2000, 22_000
"""Operations of the two runs, or so many that `run(1)` performs them a few times. The few are the
time in which free lists fill, code gets specialized and the collector finds its pace."""
FEW_RUNS, MANY_RUNS = 5, 45


@dataclass(frozen=True)
class InstructionRow:
    """Wraps a row that measures time."""

    of: EchoRow | MicroRow
    unit: str = "instructions"
    lower_is_better: bool = True
    group: str = "instructions"

    @property
    def name(self) -> str:
        return self.of.name

    @property
    def summary(self) -> str:
        return self.of.summary

    @property
    def quick(self) -> bool:
        return self.of.quick

    def missing(self) -> str | None:
        return None if shutil.which("valgrind") else "needs the program valgrind"

    def expected_seconds(self, effort: Effort) -> float:
        return 10.0

    def measure(self, loop: str, effort: Effort) -> Measurement:
        step = 1 if isinstance(self.of, EchoRow) else self.of.operation.per_run
        few = max(math.ceil(FEW / step), FEW_RUNS if step > 1 else 1) * step
        many = max(math.ceil(MANY / step), MANY_RUNS if step > 1 else 1) * step

        def count(operations: int) -> int:
            if isinstance(self.of, EchoRow):
                return count_echo(self.of, loop, operations, effort)
            return count_micro(self.of.name, loop, operations // step)

        return Measurement((count(many) - count(few)) / (many - few))


def count_echo(row: EchoRow, loop: str, requests: int, effort: Effort) -> int:
    options = [
        *("--size", str(row.size_bytes)),
        *("--connections", str(row.connections)),
        *("--depth", str(row.depth)),
        *("--requests", str(requests)),
        *("--stall-seconds", "60"),
    ]
    with tempfile.TemporaryDirectory(prefix="ferrio-bench-") as directory:
        args = row.kind.arguments(loop, Path(directory))

        def use(child: Child) -> None:
            load(Server(child, child.receive()["target"]), effort, options)

        return count_process(python_argv("echo.server", args), use)


def count_micro(name: str, loop: str, runs: int) -> int:
    argv = python_argv("micro.measured", [loop, name, f"runs:{runs}"])
    return count_process(argv, lambda child: None)


def count_process(argv: list[str], use: Callable[[Child], None]) -> int:
    """Instructions of all threads of a process, which ends once `use` has returned."""
    with tempfile.TemporaryDirectory(prefix="ferrio-bench-") as directory:
        counts = Path(directory) / "callgrind.out"
        valgrind = ["valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={counts}"]
        with Child([*valgrind, *argv]) as child:
            use(child)
            child.finish(timeout=300)
        found = re.search(r"^(?:summary|totals): (\d+)$", counts.read_text(), re.MULTILINE)
    if found is None:
        raise ChildError("callgrind wrote no total")
    return int(found[1])


ROWS: tuple[Row, ...] = (
    *(InstructionRow(row) for row in ECHO_ROWS),
    # callgrind does not count in child processes.
    *(InstructionRow(row) for row in MICRO_ROWS if row.name != "import_time"),
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="instructions.py")
    _bench.add_arguments(parser)
    parser.set_defaults(rounds=1)
    args = parser.parse_args()
    if args.growth:
        parser.error("--growth is about the times of `ferrio bench`")
    return command.run(args, ROWS)


if __name__ == "__main__":
    sys.exit(main())

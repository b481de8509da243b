"""Runs a suite on one loop, in a pytest of its own, and gathers what became of each test."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from . import environment
from .catalogue import Suite

PLUGIN = Path(__file__).with_name("plugin")

# Without an outcome for so many timeouts of a test, a run has hung outside of tests.
TIMEOUTS_UNTIL_STALLED = 4

# The worst of a test's phases is what became of it.
SEVERITY = ("passed", "skipped", "xfailed", "xpassed", "failed", "error")


@dataclass
class Outcome:
    test: str
    result: str = "passed"
    seconds: float = 0.0
    detail: str = ""
    # Loops made during the test: those under test if that is not the stdlib's, and the stdlib's.
    ours: int = 0
    stdlib: int = 0

    @property
    def is_failure(self) -> bool:
        return self.result in ("failed", "error", "xpassed")

    def add(self, line: dict[str, object]) -> None:
        result = str(line["outcome"])
        if SEVERITY.index(result) > SEVERITY.index(self.result):
            self.result, self.detail = result, str(line["detail"])
        self.seconds += float(str(line["seconds"]))
        if isinstance(loops := line["loops"], list):
            self.ours, self.stdlib = loops


@dataclass
class Run:
    """One run of a suite, or of a part of it, on one loop."""

    loop: str
    seconds: float
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    # Set if pytest could not do its work: what it said last.
    trouble: str = ""

    def count(self, *results: str) -> int:
        return sum(outcome.result in results for outcome in self.outcomes.values())

    @property
    def on_ours(self) -> int:
        return sum(outcome.ours > 0 for outcome in self.outcomes.values())

    @property
    def on_stdlib(self) -> int:
        return sum(outcome.stdlib > 0 for outcome in self.outcomes.values())


@dataclass(frozen=True)
class Runner:
    jobs: int
    timeout: float

    def run(
        self, suite: Suite, loop: str, arguments: Iterable[str], only: Iterable[str] | None = None
    ) -> Run:
        """Runs `arguments` of `suite`; of what they select, `only` the tests with these ids."""
        start = time.monotonic()
        # A short name, for paths of Unix sockets must be short.
        with tempfile.TemporaryDirectory(prefix="s-") as folder:
            outcomes, output = Path(folder) / "outcomes", Path(folder) / "output"
            outcomes.touch()
            variables = {
                "FERRIO_SUITES_LOOP": loop,
                "FERRIO_SUITES_OUTCOMES": str(outcomes),
                "PYTHONPATH": str(PLUGIN),
                "TMPDIR": folder,
            }
            if only is not None:
                chosen = Path(folder) / "only"
                chosen.write_text("\n".join(only))
                variables["FERRIO_SUITES_ONLY"] = str(chosen)
            kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PYTEST"))}
            with output.open("wb") as file:
                process = subprocess.Popen(
                    [*self._command(suite, arguments), f"--basetemp={folder}/t"],
                    cwd=environment.sources(suite),
                    env=kept | variables,
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
                try:
                    status = self._wait(process, outcomes)
                finally:
                    # The whole session: workers, and what tests have left behind.
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
            run = Run(loop, time.monotonic() - start, _read(outcomes))
            # 0: all passed; 1: some did not.
            if status not in (0, 1) or not run.outcomes:
                tail = output.read_text(errors="replace").splitlines()[-30:]
                end = "did not end" if status is None else f"ended with status {status}"
                run.trouble = "\n".join([f"pytest {end}", *tail])
            return run

    def _wait(self, process: subprocess.Popen[bytes], outcomes: Path) -> int | None:
        """The exit status; None if no test has ended for several times a test's timeout.

        Those timeouts cover tests only: a session that hangs while it collects or ends has none.
        """
        seen, size = -1, 0
        while size > seen:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.wait(self.timeout * TIMEOUTS_UNTIL_STALLED)
            seen, size = size, outcomes.stat().st_size
        return None

    def _command(self, suite: Suite, arguments: Iterable[str]) -> list[str | Path]:
        options = [f"--numprocesses={self.jobs}", "--quiet", "--color=no", "--tb=short"]
        # The whole process goes if a test hangs; xdist says which one it was, and runs the others.
        options += [f"--timeout={self.timeout}", "--timeout-method=thread"]
        options += [
            "-o",
            f"addopts={suite.addopts}",
            "-p",
            "ferrio_suites",
            "-p",
            "no:cacheprovider",
        ]
        return [environment.PYTHON, "-X", "faulthandler", "-m", "pytest", *options, *arguments]


def _read(path: Path) -> dict[str, Outcome]:
    outcomes: dict[str, Outcome] = {}
    for text in path.read_text().splitlines():
        line = json.loads(text)
        test = line["test"]
        outcomes.setdefault(test, Outcome(test)).add(line)
    return outcomes

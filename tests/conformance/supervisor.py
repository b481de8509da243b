"""Runs the worker processes: several at once, and on after a test that takes one down."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

# The worker's own watchdog comes first; this much later it is taken for unable to.
GRACE_SECONDS = 10.0
# Importing a module and collecting its tests.
STARTUP_SECONDS = 60.0


@dataclass
class Outcome:
    """What became of one test. `result`: pass, fail, error, skip, repeat, hang or crash."""

    test: str
    result: str
    detail: str = ""
    seconds: float = 0.0
    # Whether the test made a loop of the kind under test, or had no use for one.
    on_loop: bool = False

    @property
    def is_failure(self) -> bool:
        return self.result in ("fail", "error", "hang", "crash")


@dataclass
class ModuleRun:
    module: str
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    # Set if the module as a whole gave nothing: why.
    skipped: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Plan:
    python: str
    loop: str
    # Whether ferrio's classes stand in asyncio itself.
    replace: bool
    timeout: float
    failing_timeout: float
    # Keeps the tests whose id this accepts.
    wanted: Callable[[str], bool]


def run_modules(plan: Plan, modules: list[str], jobs: int) -> Iterator[ModuleRun]:
    """Runs each module in a process of its own, `jobs` at a time; yields them as they end."""
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(_Module(plan, module).run) for module in modules]
        try:
            for future in concurrent.futures.as_completed(futures):
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


class _Module:
    """One module's run, over as many processes as it takes."""

    def __init__(self, plan: Plan, module: str) -> None:
        self._plan = plan
        self._run = ModuleRun(module)
        self._remaining: list[str] | None = None
        self._fixtures: list[dict[str, Any]] = []

    def run(self) -> ModuleRun:
        start = time.monotonic()
        while self._remaining is None or self._remaining:
            before, was_told = len(self._run.outcomes), self._remaining is not None
            self._one_process()
            if self._run.skipped:
                break
            if was_told and self._remaining and len(self._run.outcomes) == before:
                for test in self._remaining:
                    self._record(Outcome(test, "error", "the worker ended without running it"))
        self._run.seconds = time.monotonic() - start
        return self._run

    def _one_process(self) -> None:
        """Runs what remains, until the end or until a test takes the process down."""
        reader, writer = os.pipe()
        order = {
            "module": self._run.module,
            "loop": self._plan.loop,
            "replace": self._plan.replace,
            "timeout": self._plan.timeout,
            "failing_timeout": self._plan.failing_timeout,
            "only": self._remaining,
            "events_fd": writer,
        }
        command = [self._plan.python, "-X", "faulthandler", "-W", "default"]
        command += ["-m", f"{__package__}.worker", json.dumps(order)]
        # The suite turns debug mode on itself where it wants it.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        with tempfile.TemporaryFile() as output, tempfile.TemporaryDirectory() as folder:
            environment["TMPDIR"] = folder
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=[writer],
                start_new_session=True,
            )
            os.close(writer)
            try:
                self._follow(process, reader, output)
            finally:
                # The whole session: a test may leave children behind.
                _kill_group(process.pid)
                process.wait()
                os.close(reader)

    def _follow(self, process: subprocess.Popen[bytes], reader: int, output: Any) -> None:
        lines = _Lines(reader)
        running: dict[str, Any] | None = None
        deadline = time.monotonic() + STARTUP_SECONDS
        has_ended = False
        while True:
            for event in lines.ready(timeout=0.5):
                deadline = time.monotonic() + STARTUP_SECONDS
                match event["event"]:
                    case "collected":
                        if self._remaining is None:
                            self._remaining = [t for t in event["tests"] if self._plan.wanted(t)]
                            if self._remaining != event["tests"]:
                                return  # once more, with what is wanted
                    case "skipped":
                        self._run.skipped = event["reason"]
                    case "start":
                        running = event | {"at": time.monotonic()}
                        deadline = time.monotonic() + event["timeout"] + GRACE_SECONDS
                    case "done":
                        running = None
                        names = ("test", "detail", "seconds", "on_loop")
                        self._record(
                            Outcome(result=event["outcome"], **{n: event[n] for n in names})
                        )
                    case "fixture":
                        self._fixture(event)
                    case "end":
                        has_ended = True
            is_late = time.monotonic() > deadline
            if has_ended or is_late or (process.poll() is not None and not lines.pending()):
                break
        if has_ended:
            return
        _kill_group(process.pid)
        status = process.wait()
        if running is None:
            detail = f"the worker ended between tests ({_status_name(status)})\n{_tail(output, 0)}"
            for test in self._remaining or [f"{self._run.module}.<import>"]:
                self._record(Outcome(test, "crash", detail))
            self._remaining = []
            return
        seconds = time.monotonic() - running["at"]
        hung = is_late or (status == 1 and seconds >= running["timeout"])
        self._record(
            Outcome(
                running["test"],
                "hang" if hung else "crash",
                f"{_status_name(status)}\n{_tail(output, running['stderr'])}",
                round(seconds, 3),
                on_loop=True,
            )
        )

    def _record(self, outcome: Outcome) -> None:
        self._run.outcomes[outcome.test] = outcome
        if self._remaining is not None:
            self._remaining = [t for t in self._remaining if t != outcome.test]

    def _fixture(self, event: dict[str, Any]) -> None:
        """Accounts for what won't start after setUpClass of `test_x.SomeTests`."""
        for test in list(self._remaining or []):
            if event["kind"].startswith("setUp") and test.startswith(f"{event['owner']}."):
                self._record(Outcome(test, event["outcome"], event["detail"]))


class _Lines:
    """Lines of JSON out of a pipe, as far as they have come."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._partial = b""

    def pending(self) -> bool:
        """Whether more can be read at once, the end of the file not counted."""
        readable, _, _ = select.select([self._fd], [], [], 0)
        if not readable:
            return False
        data = os.read(self._fd, 65536)
        self._partial += data
        return bool(data)

    def ready(self, timeout: float) -> Iterator[dict[str, Any]]:
        readable, _, _ = select.select([self._fd], [], [], timeout)
        if readable:
            data = os.read(self._fd, 65536)
            if not data:
                time.sleep(0.05)  # closed, but the process is not reaped yet
            self._partial += data
        *lines, self._partial = self._partial.split(b"\n")
        for line in lines:
            yield json.loads(line)


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _status_name(status: int) -> str:
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"exit status {status}"


def _tail(output: Any, start: int, limit_bytes: int = 6000) -> str:
    end = output.seek(0, os.SEEK_END)
    output.seek(max(start, end - limit_bytes))
    text: str = output.read().decode(errors="replace")
    return text

"""One process: runs the tests of one module and reports each as a line of JSON.

Started by `supervisor`, which starts another one for the rest if a test takes the process down:
by a crash, or by the watchdog here that dumps all stacks and exits if a test hangs.
"""

from __future__ import annotations

import faulthandler
import gc
import importlib
import json
import os
import signal
import sys
import time
import traceback
import unittest
import warnings
from typing import Any

from tests.loops import REFERENCE, factory_named

from . import sources
from .expectations import Expectations
from .modules import Module, named


def main() -> None:
    # A shell starts background jobs with SIGINT ignored, and all their children inherit that.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    order: dict[str, Any] = json.loads(sys.argv[1])
    events = Events(order["events_fd"])
    # On the reference nothing is substituted: that run shows what fails on the stdlib's loop too.
    substitute: sources.Sources | None = None
    if order["loop"] != REFERENCE:
        substitute = sources.Sources(factory_named(order["loop"]))
        substitute.substitute(order["module"])
    if order["replace"]:
        # Like the loops: before the module is imported, which may copy the names.
        import ferrio._replace

        ferrio._replace.replace()
    # As `python -m test --timeout` does for slow machines: 25 handshakes with threads of Python on
    # one of two busy processors take most of the half minute that is meant for one.
    support: Any = importlib.import_module("test.support")
    support.SHORT_TIMEOUT = max(support.SHORT_TIMEOUT, order["timeout"] * 0.75)
    module = named(order["module"])
    place = module.place()
    assert place is not None, f"{order['module']} was here when the supervisor looked"
    try:
        suite = unittest.defaultTestLoader.loadTestsFromName(place)
    except unittest.SkipTest as skip:  # raised by a module that is for another platform
        events.send("collected", tests=[])
        events.send("skipped", reason=str(skip))
        return
    everything = {module.short(test.id()): test for test in flatten(suite)}
    tests = {name: test for name, test in everything.items() if module.wants(name)}
    events.send("collected", tests=list(tests))
    chosen = tests if order["only"] is None else {t: tests[t] for t in order["only"] if t in tests}
    expectations = Expectations.load(order["loop"], sys.version_info[:2], replace=order["replace"])
    timeouts = order["timeout"], order["failing_timeout"]
    result = Reporter(events, module, expectations, substitute, timeouts)
    # Many of the tests collect garbage. What was there before them is none of it.
    gc.collect()
    gc.freeze()
    unittest.TestSuite(chosen.values()).run(result)
    # What hangs from here on (threads that nobody joins) is no test's result.
    events.send("end")
    sys.stderr.flush()
    os._exit(0)


def flatten(suite: unittest.TestSuite) -> list[unittest.TestCase]:
    found = []
    for item in suite:
        found += flatten(item) if isinstance(item, unittest.TestSuite) else [item]
    return found


class Events:
    """The line to the supervisor. Not inherited by what tests start, and silent in what they
    fork."""

    def __init__(self, fd: int) -> None:
        os.set_inheritable(fd, False)
        self._fd = fd
        self._pid = os.getpid()

    def send(self, event: str, **details: Any) -> None:
        if os.getpid() == self._pid:
            os.write(self._fd, (json.dumps({"event": event, **details}) + "\n").encode())


class Reporter(unittest.TestResult):
    def __init__(
        self,
        events: Events,
        module: Module,
        expectations: Expectations,
        substitute: sources.Sources | None,
        timeouts: tuple[float, float],
    ) -> None:
        super().__init__()
        self._events = events
        self._module = module
        self._expectations = expectations
        self._substitute = substitute
        # An expected failure may well be a hang, and needn't be waited for as long.
        self._timeout, self._failing_timeout = timeouts
        self._started = 0.0
        self._loops_before = 0
        self._outcome, self._detail = "", ""
        self._is_running = False

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        # What the test before has left behind warns here, and not in the middle of this one. (A
        # child's pipe may be open when Process.wait() has returned: gh-119710.)
        gc.collect()
        name = self._module.short(test.id())
        expectation = self._expectations.of(name)
        must_pass = expectation is None or not expectation.is_strict
        timeout = self._timeout if must_pass else self._failing_timeout
        self._outcome, self._detail = "pass", ""
        self._loops_before = self._loops_made()
        self._events.send("start", test=name, stderr=os.fstat(2).st_size, timeout=timeout)
        self._started = time.monotonic()
        self._is_running = True
        faulthandler.dump_traceback_later(timeout, exit=True, file=2)

    def stopTest(self, test: unittest.TestCase) -> None:
        faulthandler.cancel_dump_traceback_later()
        seconds = round(time.monotonic() - self._started, 3) if self._is_running else 0.0
        self._events.send(
            "done",
            test=self._module.short(test.id()),
            outcome=self._outcome,
            detail=self._detail,
            seconds=seconds,
            on_loop=self._loops_made() > self._loops_before,
        )
        self._is_running = False
        if self._outcome in ("fail", "error"):
            # What the failed test left behind must not warn in a later one that counts warnings.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                gc.collect()
        super().stopTest(test)

    def _loops_made(self) -> int:
        return self._substitute.loops_made if self._substitute is not None else 0

    def _failed(self, outcome: str, test: Any, err: Any) -> None:
        detail = "".join(traceback.format_exception(*err))
        if not isinstance(test, unittest.TestCase):
            self._fixture_ended(test, outcome, detail)
        elif self._outcome in ("pass", "skip"):  # the first failure counts
            self._outcome, self._detail = outcome, detail

    def addError(self, test: Any, err: Any) -> None:
        self._failed("error", test, err)

    def addFailure(self, test: Any, err: Any) -> None:
        self._failed("fail", test, err)

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:
        if err is not None:
            self._failed("fail", test, err)

    def addSkip(self, test: Any, reason: str) -> None:
        outcome = "repeat" if reason == sources.REPEAT else "skip"
        if not isinstance(test, unittest.TestCase):
            self._fixture_ended(test, outcome, reason)
        elif self._outcome == "pass" or not self._is_running:
            # 3.12.1 stops a skipped test without having started it.
            self._outcome, self._detail = outcome, reason

    def _fixture_ended(self, fixture: Any, outcome: str, detail: str) -> None:
        """A setUpClass or setUpModule failed or skipped: its tests are never started."""
        kind, _, owner = str(fixture).partition(" (")
        short = self._module.short(owner.rstrip(")"))
        self._events.send("fixture", kind=kind, owner=short, outcome=outcome, detail=detail)

    def addUnexpectedSuccess(self, test: Any) -> None:
        self._outcome, self._detail = "fail", "unexpected success of a test that expects to fail"


if __name__ == "__main__":
    main()

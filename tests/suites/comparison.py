"""Outcomes on ferrio against those on asyncio: what differs, and whether it does so reliably.

A suite of thousands of tests with real sockets has some that fail now and then on any loop. So a
difference is a suspicion first. The test is run again, alone and several times, on both loops, and
if that shows nothing, once more with all of its file. What fails on ferrio then, and never on
asyncio, counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.loops import DEFAULT, REFERENCE

from .catalogue import Suite
from .runner import Outcome, Run, Runner

# A failure that only one re-run of a test shows is a flaky test's, and reported as that.
FAILURES_THAT_COUNT = 2


@dataclass
class Difference:
    """A test that went otherwise on ferrio than on asyncio, where it was fine."""

    test: str
    asyncio: str
    ferrio: str
    detail: str
    # "differs", "flaky", "not seen again", or "known" with a reason.
    verdict: str = ""
    why: str = ""
    reruns: int = 0
    asyncio_failures: int = 0
    ferrio_failures: int = 0

    @property
    def counts(self) -> bool:
        return self.verdict == "differs"

    def __str__(self) -> str:
        text = f"{self.test}: {self.asyncio} on asyncio, {self.ferrio} on ferrio"
        if self.reruns:
            text += (
                f"; run again {self.reruns} times: fails {self.asyncio_failures} times on asyncio,"
                f" {self.ferrio_failures} times on ferrio"
            )
        return f"{self.verdict}: {text}" + (f" ({self.why})" if self.why else "")


def differences(asyncio: Run, ferrio: Run) -> Iterator[Difference]:
    """Each test that is fine on asyncio and not the same on ferrio."""
    for test, expected in asyncio.outcomes.items():
        if expected.is_failure:
            continue
        actual = ferrio.outcomes.get(test) or Outcome(test, "missing")
        if actual.result != expected.result:
            detail = actual.detail
            yield Difference(test, expected.result, actual.result, detail)
    for test, actual in ferrio.outcomes.items():
        if actual.is_failure and test not in asyncio.outcomes:
            yield Difference(test, "missing", actual.result, actual.detail)


def settle(
    runner: Runner, suite: Suite, found: list[Difference], reruns: int, say: Callable[[str], None]
) -> None:
    """Gives each difference its verdict."""
    for difference in found:
        if why := suite.differs.get(difference.test):
            difference.verdict, difference.why = "known", why
    open_ones = {d.test: d for d in found if not d.verdict}
    if not open_ones:
        return
    files = sorted({test.partition("::")[0] for test in open_ones})
    for number in range(reruns):
        say(f"{suite.name}: running {len(open_ones)} again, {number + 1} of {reruns}")
        _again(runner, suite, files, open_ones, only=list(open_ones))
    unseen = {test: d for test, d in open_ones.items() if not d.ferrio_failures}
    for file in sorted({test.partition("::")[0] for test in unseen}):
        say(f"{suite.name}: running {file} again, all of it")
        _again(runner, suite, [file], {t: d for t, d in unseen.items() if t.startswith(file)})
    for difference in open_ones.values():
        if not difference.ferrio_failures:
            difference.verdict = "not seen again"
        elif difference.asyncio_failures or (
            difference.ferrio_failures < FAILURES_THAT_COUNT and difference.test not in unseen
        ):
            difference.verdict = "flaky"
        else:
            difference.verdict = "differs"


def _again(
    runner: Runner,
    suite: Suite,
    files: list[str],
    found: dict[str, Difference],
    only: list[str] | None = None,
) -> None:
    for loop in (REFERENCE, DEFAULT):
        run = runner.run(suite, loop, files, only)
        for test, difference in found.items():
            outcome = run.outcomes.get(test) or Outcome(test, "missing")
            is_wrong = outcome.result != difference.asyncio
            if loop == REFERENCE:
                difference.asyncio_failures += is_wrong
            else:
                difference.ferrio_failures += is_wrong
    for difference in found.values():
        difference.reruns += 1

"""The command line of `python -m tests.suites`."""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from pathlib import Path

from tests.loops import DEFAULT, REFERENCE
from tests.setup.environment import VERSION

from . import catalogue, comparison, environment
from .report import SuiteReport, table
from .runner import Run, Runner

DESCRIPTION = """\
Run the own test suites of packages that stand on asyncio, on asyncio and on ferrio.

Fails if a test is fine on asyncio and not on ferrio. A difference is run again on
both loops before it counts; what fails on asyncio too is reported, and no more.
Also fails if a suite made no loop of ferrio's, or one of the stdlib's beside it.
"""

EPILOG = """\
columns of the table:
  only on asyncio    fails on asyncio, not on ferrio
  flaky              went otherwise on ferrio, but not reliably so when run again
  known              cannot pass on ferrio, for a reason that suites.toml gives
  differ             fails on ferrio and not on asyncio, reliably: an error
  made a loop        tests that made a loop on asyncio; then, on ferrio, tests that
                     made one of ferrio's, and tests that made one of the stdlib's

examples:
  python -m tests.suites
  python -m tests.suites --quick --json result.json
  python -m tests.suites uvicorn -- tests/test_ssl.py -k proxy
"""


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    suites = catalogue.load()
    chosen = [suites[name] for name in options.suite or suites]
    start = time.monotonic()
    environment.prepare(chosen)
    runner = Runner(options.jobs, options.timeout)
    reports: list[SuiteReport] = []
    for suite in chosen:
        selected = options.pytest or (suite.quick if options.quick else suite.arguments)
        asyncio, ferrio = (run(runner, suite, loop, selected) for loop in (REFERENCE, DEFAULT))
        report = SuiteReport(suite, asyncio, ferrio)
        report.differences += comparison.differences(asyncio, ferrio)
        comparison.settle(runner, suite, report.differences, options.reruns, say)
        reports.append(report)
        show(report, options.verbose)

    version = platform.python_version()
    print(f"\n{table(reports)}\n")
    bad = [report.suite.name for report in reports if not report.is_good]
    what = "quick part" if options.quick else "selection" if options.pytest else "all"
    print(
        f"CPython {version}, {what} of {len(reports)} suites: {time.monotonic() - start:.0f} s, "
        + (f"FAILED: {', '.join(bad)}" if bad else "nothing fails on ferrio that asyncio passes")
    )
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        content = {"python": version, "suites": [report.as_json() for report in reports]}
        options.json.write_text(json.dumps(content, indent=1))
    return 1 if bad else 0


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.suites",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    names = list(catalogue.load())
    add("suite", nargs="*", metavar="SUITE", help=f"{', '.join(names)} (all)")
    add("--quick", action="store_true", help="a part of each: about two minutes")
    add("--jobs", type=int, default=2, help="processes that a suite's tests are spread over (2)")
    add("--timeout", type=float, default=90.0, help="seconds for a test (90)")
    add("--reruns", type=int, default=5, help="how often a difference is run again (5)")
    add("--json", type=Path, metavar="FILE", help="write every outcome there")
    add("-v", "--verbose", action="store_true", help="also list what fails on asyncio")
    given = sys.argv[1:] if arguments is None else arguments
    cut = given.index("--") if "--" in given else len(given)
    options = parser.parse_args(given[:cut])
    # What follows `--` is pytest's.
    options.pytest = given[cut + 1 :]
    if unknown := set(options.suite) - set(names):
        parser.error(f"no such suite: {', '.join(sorted(unknown))}")
    if options.pytest and len(options.suite) != 1:
        parser.error("arguments for pytest need one suite")
    return options


def run(runner: Runner, suite: catalogue.Suite, loop: str, arguments: tuple[str, ...]) -> Run:
    say(f"{suite.name} {suite.version} on {loop}")
    result = runner.run(suite, loop, arguments)
    say(f"{suite.name} {suite.version} on {loop}: {line(result)}")
    return result


def say(what: str) -> None:
    print(f"[{VERSION} {time.strftime('%H:%M:%S')}] {what}", flush=True)


def line(run: Run) -> str:
    counts = [
        f"{run.count(result)} {result}" for result in ("passed", "skipped", "failed", "error")
    ]
    return f"{', '.join(counts)} in {run.seconds:.0f} s"


def show(report: SuiteReport, is_verbose: bool) -> None:
    for trouble in report.troubles:
        print(f"TROUBLE {trouble}")
    for difference in report.differences:
        print(difference)
        if difference.counts and difference.detail:
            print("\n".join(f"    {text}" for text in difference.detail.splitlines()[-40:]))
    if is_verbose:
        for what, tests in (
            ("fails on both", report.fail_on_both()),
            ("fails on asyncio only", report.only_on_asyncio()),
        ):
            for test in tests:
                print(f"{what}: {test}")
    sys.stdout.flush()

"""The command line of `python -m tests.conformance`."""

from __future__ import annotations

import argparse
import fnmatch
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests import loops

from . import modules
from .expectations import Expectations
from .report import ModuleReport, Unexpected, summary, update_report_file
from .supervisor import ROOT, ModuleRun, Plan, run_modules

# For loops of Windows, which fail to import elsewhere.
NOT_HERE = ("test_proactor_events", "test_windows_")

# Started first, so that the last one running is a short one.
LONG = (
    "test_ssl",
    "test_subprocess",
    "test_events",
    "test_sslproto",
    "test_tasks",
    "test_sendfile",
)

DESCRIPTION = """\
Run CPython's own test.test_asyncio, and what else of its tests uses a loop,
unmodified, on another event loop.

Each module runs in a process of its own; a test that hangs or crashes is a result
like any other. The run fails on every failure that expectations.toml does not give
a reason for, and on every pass of a test that it says cannot pass.
"""

EPILOG = """\
examples:
  python -m tests.conformance
  python -m tests.conformance --module test_streams --module test_server -v
  python -m tests.conformance -k 'SelectEventLoopTests.test_create_server*' -v
  python -m tests.conformance --loop asyncio      what fails on the stdlib's loop on this machine
  python -m tests.conformance --loop opaque       what fails without a look at asyncio's insides
  python -m tests.conformance --replace           the tests of what ferrio.aio has, on that
  python -m tests.conformance --python .build/venv/3.14/bin/python --json result.json
"""


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    version, available = ask(options.python)
    whole = modules.OF_REPLACED if options.replace else available
    names = options.module or [m for m in available if m in whole and not m.startswith(NOT_HERE)]
    if unknown := set(names) - set(available):
        sys.exit(f"CPython {version} has no {', '.join(sorted(unknown))} among its asyncio tests")
    names.sort(key=lambda m: LONG.index(m) if m in LONG else len(LONG))
    pair = (int(version.split(".")[0]), int(version.split(".")[1]))
    expectations = Expectations.load(options.loop, pair, replace=options.replace)
    subject = f"{options.loop}, classes replaced" if options.replace else options.loop
    print(f"CPython {version}'s own tests on {subject}: {len(names)} modules", flush=True)

    start = time.monotonic()
    plan = Plan(
        python=options.python,
        loop=options.loop,
        replace=options.replace,
        timeout=options.timeout,
        failing_timeout=options.failing_timeout,
        wanted=selector(options.k),
    )
    runs: list[ModuleRun] = []
    reports: list[ModuleReport] = []
    for run in run_modules(plan, names, options.jobs):
        report = ModuleReport.of(run, expectations)
        runs.append(run)
        reports.append(report)
        print(f"[{len(runs):2}/{len(names)}] {report.line()}", flush=True)
        if options.verbose:
            for outcome in run.outcomes.values():
                print(f"    {outcome.result:6} {outcome.seconds:7.2f} s  {outcome.test}")
        for item in report.unexpected:
            print(f"    UNEXPECTED {item}", flush=True)

    unexpected = [item for report in reports for item in report.unexpected]
    if not options.quiet:
        show_details(unexpected)
    print(f"\n{summary(reports)}\n")
    print(f"{version} on {subject}: {time.monotonic() - start:.0f} s, ", end="")
    print(f"{len(unexpected)} unexpected" if unexpected else "all as expected")
    if options.propose:
        print(propose(unexpected))
    if options.json:
        write_json(options.json, version, subject, runs, unexpected)
    if options.update_report:
        title = f"CPython {pair[0]}.{pair[1]}"
        update_report_file(f"{title}, classes replaced" if options.replace else title, reports)
    nothing_ran = not any(run.outcomes for run in runs)
    if nothing_ran:
        print("no test was selected")
    return 1 if unexpected or nothing_ran else 0


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.conformance",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--python", default=sys.executable, help="interpreter with the loop installed (this one)")
    add(
        "--loop",
        default=loops.DEFAULT,
        metavar="LOOP",
        help=f"{', '.join(loops.NAMED)} or module:callable ({loops.DEFAULT})",
    )
    add(
        "--replace",
        action="store_true",
        help="with ferrio's classes in asyncio itself, by default only the tests of those",
    )
    add("--module", action="append", metavar="NAME", help="only this module; may be repeated")
    add("-k", metavar="PATTERN", help="only ids that contain this, or match it if it has a *")
    add("--jobs", type=int, default=2, help="modules at a time (2)")
    add("--timeout", type=float, default=120.0, help="seconds for a test (120)")
    add(
        "--failing-timeout",
        type=float,
        default=5.0,
        help="seconds for a test that is expected to fail (5)",
    )
    add("--json", type=Path, metavar="FILE", help="write every outcome there")
    add("--update-report", action="store_true", help="put the summary into REPORT.md")
    add("--propose", action="store_true", help="print entries for what is unexpected")
    add("-v", "--verbose", action="store_true", help="print every test")
    add("-q", "--quiet", action="store_true", help="no tracebacks")
    options = parser.parse_args(arguments)
    try:
        loops.check_name(options.loop)
    except ValueError as error:
        parser.error(str(error))
    if options.replace and options.loop == loops.REFERENCE:
        parser.error("--replace is for another loop than the stdlib's, which is the reference")
    if options.update_report and (options.module or options.k or options.loop != loops.DEFAULT):
        parser.error("--update-report needs a whole run on ferrio")
    return options


def selector(pattern: str | None) -> Callable[[str], bool]:
    if pattern is None:
        return lambda test: True
    if "*" in pattern:
        return lambda test: fnmatch.fnmatchcase(test, f"*{pattern.strip('*')}*")
    return lambda test: pattern in test


def ask(python: str) -> tuple[str, list[str]]:
    """The version of an interpreter and the modules that it has for us."""
    command = [python, "-m", f"{__package__}.modules"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{python} has no test package:\n{done.stderr}")
    version, names = json.loads(done.stdout)
    return version, names


def show_details(unexpected: list[Unexpected]) -> None:
    for item in unexpected:
        if item.outcome.detail:
            print(f"\n--- {item}")
            print("\n".join(item.outcome.detail.rstrip().splitlines()[-40:]))


def propose(unexpected: list[Unexpected]) -> str:
    tests = sorted(item.outcome.test for item in unexpected if item.outcome.is_failure)
    listed = "\n".join(f'    "{test}",' for test in tests)
    return f'\n[[KIND]]\nwhy = ""\ntests = [\n{listed}\n]'


def write_json(
    path: Path, version: str, loop: str, runs: list[ModuleRun], unexpected: list[Unexpected]
) -> None:
    content = {
        "python": version,
        "loop": loop,
        "modules": {
            run.module: {
                "seconds": round(run.seconds, 2),
                "skipped": run.skipped,
                "tests": {name: vars(outcome) for name, outcome in run.outcomes.items()},
            }
            for run in runs
        },
        "unexpected": [item.as_json() for item in unexpected],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1))

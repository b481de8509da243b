"""A plugin of pytest: the suite's loops are those under test, and each test's outcome is a line.

Loaded by name from this folder: `tests` is the suite's own package here, so nothing of ours can be
imported from ours. Environment variables say what to do, for they reach the workers of xdist too:

- `FERRIO_SUITES_LOOP`: the loop, by a name that `tests/loops.py` knows;
- `FERRIO_SUITES_OUTCOMES`: the file that outcomes go to, one JSON object a line;
- `FERRIO_SUITES_ONLY`: a file with the ids to run, one a line, of those that were collected;
- `FERRIO_REPLACE`: 1 puts ferrio's classes into asyncio itself (not where the stdlib's loop runs).

A line has the loops of either kind that were made during the test: those of ours, and the stdlib's.
"""

from __future__ import annotations

import asyncio.base_events
import functools
import gc
import importlib.util
import json
import os
from collections.abc import Generator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

TESTS = Path(__file__).parents[2]


class Loops:
    """Counts the loops that this process makes: under test, and of the stdlib's."""

    def __init__(self, name: str) -> None:
        loops = _module(TESTS / "loops.py")
        self._sources: Any = None
        self._stdlib = 0
        self._count_stdlib()
        if name != loops.REFERENCE:
            substitution = _module(TESTS / "conformance" / "sources.py")
            self._sources = substitution.Sources(loops.factory_named(name))
            self._sources.substitute()
            if os.environ.get("FERRIO_REPLACE", "") not in ("", "0"):
                from ferrio import _replace

                _replace.replace()

    def made(self) -> tuple[int, int]:
        return (self._sources.loops_made if self._sources else 0), self._stdlib

    def _count_stdlib(self) -> None:
        base: Any = asyncio.base_events.BaseEventLoop
        original = base.__init__

        @functools.wraps(original)
        def __init__(loop: Any, *args: Any, **kwargs: Any) -> None:
            # A test's own subclass is what the test is about, and stays.
            self._stdlib += type(loop).__module__.startswith("asyncio.")
            original(loop, *args, **kwargs)

        base.__init__ = __init__


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"ferrio_suites_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# At import, which is before any module of the suite can have copied a name.
LOOPS = Loops(os.environ["FERRIO_SUITES_LOOP"])
BEFORE = pytest.StashKey[tuple[int, int]]()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    item.stash[BEFORE] = LOOPS.made()
    return (yield)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    report: Any = yield
    if report.when == "teardown":
        ours, stdlib = LOOPS.made()
        before_ours, before_stdlib = item.stash[BEFORE]
        made = (ours - before_ours, stdlib - before_stdlib)
        report.user_properties.append(("ferrio_suites_loops", made))
    return report


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    only = os.environ.get("FERRIO_SUITES_ONLY")
    if only:
        wanted = set(Path(only).read_text().splitlines())
        config.hook.pytest_deselected(items=[i for i in items if i.nodeid not in wanted])
        items[:] = [item for item in items if item.nodeid in wanted]


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    # aiohttp's fixtures collect garbage after each test. With all that a suite imports and pytest
    # has collected on the heap, that is most of the time: 0.2 s a test on an idle machine.
    gc.collect()
    gc.freeze()


class Lines:
    """In the process that all reports come to."""

    def __init__(self, path: str) -> None:
        self._file = open(path, "a")  # noqa: SIM115 - as long as the session

    def _write(self, **line: Any) -> None:
        print(json.dumps(line), file=self._file, flush=True)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        outcome: str = report.outcome
        if hasattr(report, "wasxfail"):
            outcome = "xfailed" if report.skipped else "xpassed"
        elif report.failed and report.when != "call":
            outcome = "error"
        self._write(
            test=report.nodeid,
            when=report.when,
            outcome=outcome,
            seconds=round(report.duration, 3),
            detail=report.longreprtext if report.failed else "",
            loops=dict(report.user_properties).get("ferrio_suites_loops"),
        )

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._write(
                test=report.nodeid,
                when="collect",
                outcome="error",
                seconds=0.0,
                detail=report.longreprtext,
                loops=None,
            )


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Lines(os.environ["FERRIO_SUITES_OUTCOMES"]))

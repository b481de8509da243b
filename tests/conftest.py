"""Options of the whole suite."""

from __future__ import annotations

import gc
import signal
from typing import Any

import pytest

from tests import loops
from tests.certificates import Certificates


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--loop",
        default=loops.DEFAULT,
        help=f"the loop under test: {', '.join(loops.NAMED)} or module:callable "
        f"(default {loops.DEFAULT})",
    )
    parser.addoption(
        "--soak",
        action="store_true",
        help="the long forms of tests/stress: minutes each, figures at the end",
    )


def pytest_configure(config: pytest.Config) -> None:
    if loops.is_portable():
        # asyncio on those systems is the measure.
        loops.give_up_pidfds()
    try:
        loops.check_name(config.getoption("--loop"))
    except ValueError as error:
        raise pytest.UsageError(str(error)) from None


def pytest_collection_finish() -> None:
    """Takes what exists before the first test out of the collector's sight.

    Most tests collect garbage, some hundreds of times. A full collection visits every object, and
    modules, pytest's items and Hypothesis are half a million of them, which none of the tests made.
    """
    gc.collect()
    gc.freeze()


def pytest_report_header(config: pytest.Config) -> str:
    driver = ", on the portable driver" if loops.is_portable() else ""
    return f"loop under test: {config.getoption('--loop')}{driver}"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What the tests have measured, whichever process they ran in."""
    lines = [
        f"{report.nodeid.rpartition('/')[2]}: {text}"
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", None) == "call"
        for name, text in report.user_properties
        if name == "figures"
    ]
    if lines:
        terminalreporter.section("figures")
        for line in lines:
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def new_loop(request: pytest.FixtureRequest) -> loops.Factory:
    """The factory of the loop under test."""
    return loops.factory_named(request.config.getoption("--loop"))


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates.make(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session", autouse=True)
def _ctrl_c_is_heard() -> None:
    """A shell starts background jobs with SIGINT ignored, and all their children inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)

"""Options of the whole suite."""

from __future__ import annotations

import pytest

from tests import loops


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--loop",
        default=loops.DEFAULT,
        help=f"the loop under test: {', '.join(loops.NAMED)} or module:callable "
        f"(default {loops.DEFAULT})",
    )


def pytest_configure(config: pytest.Config) -> None:
    try:
        loops.check_name(config.getoption("--loop"))
    except ValueError as error:
        raise pytest.UsageError(str(error)) from None


def pytest_report_header(config: pytest.Config) -> str:
    return f"loop under test: {config.getoption('--loop')}"


@pytest.fixture(scope="session")
def new_loop(request: pytest.FixtureRequest) -> loops.Factory:
    """The factory of the loop under test."""
    return loops.factory_named(request.config.getoption("--loop"))

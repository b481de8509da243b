"""ferrio's plugin for pytest: `--ferrio` puts the tests on ferrio, `virtual_time` jumps in time.

pytest imports it wherever ferrio is installed, so it imports nothing of ferrio before it is asked
to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("ferrio").addoption(
        "--ferrio",
        action="store_true",
        help="run asyncio's loops, tasks, queues and streams on ferrio, as `ferrio run` does",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Before any test or conftest.py binds a name of asyncio's."""
    if early_config.known_args_namespace.ferrio:
        from ferrio import _choice

        choice = _choice.Choice()
        choice.put_in_force()
        # The workers of xdist are interpreters of their own.
        choice.tell_children(True)


def pytest_report_header(config: pytest.Config) -> str | None:
    if not config.getoption("ferrio"):
        return None
    import ferrio

    return f"ferrio: {ferrio.__version__}"


@pytest.fixture
def virtual_time() -> Callable[..., Any]:
    """Runs a coroutine in virtual time: `ferrio.testing.virtual_time`."""
    from ferrio.testing import virtual_time as run_in_virtual_time

    return run_in_virtual_time

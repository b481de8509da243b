"""eventlet: a loop in a process that it has patched."""

from __future__ import annotations

import pytest

from .greenlets import GreenletTests
from .programs import loop_import


@pytest.fixture
def patch(request: pytest.FixtureRequest) -> str:
    return f"""
import warnings
warnings.simplefilter("ignore")
import eventlet
eventlet.monkey_patch()
import asyncio
from eventlet import sleep, spawn
{loop_import(request)}
"""


class TestEventlet(GreenletTests):
    pass

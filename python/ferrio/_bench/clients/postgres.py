"""A Postgres server of the benchmark's own: that of the recipe `postgres`, in a process which ends
with this one.
"""

from __future__ import annotations

import atexit
import functools
import importlib.util
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..child import ChildError
from ..cpus import pin

EMBEDDED = Path(__file__).parents[2] / "_recipes" / "postgres" / "embedded.py"


def missing() -> str | None:
    """Why there is none; None if there can be one."""
    if not EMBEDDED.exists():
        return "needs the recipes, which the wheel carries"
    if recipe().find_programs() is None:
        return "needs a Postgres server, or POSTGRES_BIN that says where its programs are"
    return None


@functools.cache
def recipe() -> Any:
    spec = importlib.util.spec_from_file_location("embedded_postgres", EMBEDDED)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@functools.cache
def started(cpus: frozenset[int] | None) -> tuple[subprocess.Popen[str], str]:
    """One server for all measurements, which serves on `cpus`, and its DSN."""
    argv = [sys.executable, str(EMBEDDED)]
    # It ends when its standard input does: with this process, however that ends.
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    atexit.register(process.communicate)
    if cpus is not None:
        # At once: what it starts inherits the mask.
        pin(process.pid, cpus)
    assert process.stdout is not None
    dsn = process.stdout.readline().strip()
    if not dsn:
        raise ChildError("Postgres did not start")
    return process, dsn


def dsn(cpus: Iterable[int] | None) -> str:
    """Where the server is."""
    return started(None if cpus is None else frozenset(cpus))[1]

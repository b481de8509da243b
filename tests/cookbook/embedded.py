"""The Postgres of examples/postgres/embedded.py, as tests use it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

from tests.setup import servers

from .conftest import PATIENCE, ROOT


def programs() -> dict[str, str]:
    """The environment variable that says where the server's programs are."""
    folder = servers.postgres()
    assert folder is not None, "no Postgres: run tests/setup/servers.py"
    return {"POSTGRES_BIN": str(folder)}


@contextlib.contextmanager
def private_server() -> Iterator[str]:
    """The DSN of a server that ends, and has to end well, with the block."""
    with subprocess.Popen(
        [sys.executable, ROOT / "examples" / "postgres" / "embedded.py"],
        env=os.environ | programs(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        dsn = server.stdout.readline().strip()
        assert dsn.startswith("postgresql://")
        yield dsn
        server.stdin.close()
        assert server.wait(PATIENCE) == 0

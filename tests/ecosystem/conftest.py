"""Real servers, and a runner for the loop under test."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import loops
from tests.setup import servers

LOCALHOST = "127.0.0.1"
STARTUP_SECONDS = 30

Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture
def run(new_loop: loops.Factory) -> Run:
    """Runs a coroutine on the loop under test; whatever is logged as an error fails the test."""

    def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
        problems: list[dict[str, Any]] = []

        async def main() -> Any:
            loop = asyncio.get_running_loop()
            loop.set_exception_handler(lambda loop, context: problems.append(context))
            async with asyncio.timeout(60):
                return await coroutine

        with asyncio.Runner(loop_factory=new_loop) as runner:
            result = runner.run(main())
        assert problems == []
        return result

    return run


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a database on a Postgres server of its own."""
    programs = servers.postgres()
    assert programs is not None, "no Postgres: run tests/setup/servers.py"
    # Postgres refuses to run as root.
    user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
    with folder(user) as home:
        data = home / "data"
        run_as(user, [programs / "initdb", "-D", data, "-U", "tests", "-A", "trust", "--no-sync"])
        port = free_port()
        options = f"-c listen_addresses={LOCALHOST} -c port={port} -c fsync=off"
        options += f" -c unix_socket_directories={home}"
        command = [programs / "postgres", "-D", data, *options.split()]
        ready = [programs / "pg_isready", "--host", LOCALHOST, "--port", str(port)]
        with started(command, home / "log", user, lambda: succeeds(ready)):
            yield f"postgresql://tests@{LOCALHOST}:{port}/postgres"


@pytest.fixture(scope="session")
def redis() -> Iterator[str]:
    """The URL of a Redis server of its own."""
    program = servers.redis()
    assert program is not None, "no Redis: run tests/setup/servers.py"
    with folder(None) as home:
        port = free_port()
        command = [program, "--port", str(port), "--bind", LOCALHOST, "--dir", home, "--save", ""]
        with started(command, home / "log", None, lambda: accepts(port)):
            yield f"redis://{LOCALHOST}:{port}/0"


@contextlib.contextmanager
def folder(user: pwd.struct_passwd | None) -> Iterator[Path]:
    home = Path(tempfile.mkdtemp(prefix="ferrio-tests-"))
    if user is not None:
        os.chown(home, user.pw_uid, user.pw_gid)
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextlib.contextmanager
def started(
    command: list[str | Path],
    log: Path,
    user: pwd.struct_passwd | None,
    is_ready: Callable[[], bool],
) -> Iterator[None]:
    """Runs a server for the time of the block, which begins when it is ready."""
    with log.open("w") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, cwd="/", **identity(user)
        )
    try:
        deadline = time.monotonic() + STARTUP_SECONDS
        while not is_ready():
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"{command[0]} did not start:\n{log.read_text()[-2000:]}")
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def run_as(user: pwd.struct_passwd | None, command: list[str | Path]) -> None:
    done = subprocess.run(
        command, capture_output=True, text=True, cwd="/", check=False, **identity(user)
    )
    assert done.returncode == 0, f"{command[0]}:\n{done.stdout}{done.stderr}"


def succeeds(command: list[str | Path]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def identity(user: pwd.struct_passwd | None) -> dict[str, Any]:
    if user is None:
        return {}
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def accepts(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((LOCALHOST, port), 1):
        return True
    return False


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind((LOCALHOST, 0))
        port: int = sock.getsockname()[1]
        return port

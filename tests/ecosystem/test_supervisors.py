"""Programs that start others, under `ferrio run`: what they start is on ferrio, too."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

#: Seconds; for what should take one or two.
PATIENCE = 60

FERRIO_RUN = [sys.executable, "-m", "ferrio", "run", "-m"]

APP = """
import asyncio, os, sys

# Each line in one call: workers share their standard error.
os.write(2, b"imported by %d\\n" % os.getpid())

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        os.write(2, f"on {type(asyncio.get_running_loop()).__module__}\\n".encode())
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
    elif scope["type"] == "http":
        text = f"{type(asyncio.get_running_loop()).__module__} {os.getpid()}".encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": text})
"""


class Server:
    """A supervisor and its workers, and what they write to standard error."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process = process
        self.port = port
        self.lines: list[str] = []
        self._more = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._more:
                self.lines.append(line.rstrip())
                self._more.notify_all()
        with self._more:
            self._more.notify_all()

    def wait_for(self, what: str, times: int = 1) -> None:
        """Until `what` has been in so many lines."""
        with self._more:
            assert self._more.wait_for(
                lambda: sum(what in line for line in self.lines) >= times, PATIENCE
            ), self.lines

    def ask(self) -> list[str]:
        """Which loop answers, and in which process."""
        # No connection that a worker would keep for us.
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/", headers={"Connection": "close"}
        )
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                    text: str = answer.read().decode()
                    return text.split()
            except urllib.error.URLError as error:
                # A worker listens a moment after its application has started.
                refused = isinstance(error.reason, ConnectionRefusedError)
                if not refused or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def end(self) -> int:
        """The exit status after SIGTERM."""
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return status

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._reader.join(PATIENCE)


@contextlib.contextmanager
def serving(words: Sequence[str], cwd: Path) -> Iterator[Server]:
    (cwd / "app.py").write_text(APP)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    process = subprocess.Popen(
        [*FERRIO_RUN, *(word.replace("PORT", str(port)) for word in words)],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    server = Server(process, port)
    try:
        yield server
    finally:
        server.kill()


UVICORN = ["uvicorn", "app:app", "--port", "PORT"]


@pytest.mark.parametrize("loop", ["auto", "uvloop", "none"])
def test_uvicorn(loop: str, tmp_path: Path) -> None:
    with serving([*UVICORN, "--loop", loop], tmp_path) as server:
        server.wait_for("Uvicorn running")
        server.wait_for("on ferrio")
        assert server.ask()[0] == "ferrio"
        server.end()
    has_uvloop = importlib.util.find_spec("uvloop") is not None
    said = sum("the program asks for uvloop" in line for line in server.lines)
    assert said == (has_uvloop and loop != "none")


def test_uvicorns_workers(tmp_path: Path) -> None:
    with serving([*UVICORN, "--workers", "2"], tmp_path) as server:
        server.wait_for("Application startup complete", 2)
        server.wait_for("on ferrio", 2)
        loop, pid = server.ask()
        assert (loop, pid != str(server.process.pid)) == ("ferrio", True)
        server.end()
    assert not any("Traceback" in line for line in server.lines), server.lines


def test_uvicorns_reload(tmp_path: Path) -> None:
    with serving([*UVICORN, "--reload", "--reload-delay", "0.05"], tmp_path) as server:
        server.wait_for("on ferrio")
        before = server.ask()
        (tmp_path / "app.py").write_text(APP + "\n# changed\n")
        server.wait_for("on ferrio", 2)
        after = server.ask()
        assert before[0] == after[0] == "ferrio"
        assert before[1] != after[1]
        server.end()


@pytest.mark.parametrize("worker", ["asyncio", "uvloop"])
def test_hypercorns_workers(worker: str, tmp_path: Path) -> None:
    words = ["hypercorn", "--bind", "127.0.0.1:PORT", "--workers", "2", "--worker-class", worker]
    with serving([*words, "app:app"], tmp_path) as server:
        server.wait_for("on ferrio", 2)
        assert server.ask()[0] == "ferrio"
        server.end()


def test_xdists_workers(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import asyncio, os\n"
        "async def look():\n"
        "    return type(asyncio.get_running_loop()).__module__\n"
        "def test_loop():\n"
        "    assert 'PYTEST_XDIST_WORKER' in os.environ\n"
        "    assert asyncio.run(look()) == 'ferrio'\n"
    )
    done = subprocess.run(
        [*FERRIO_RUN, "pytest", "-q", "-n", "2", "-p", "no:asyncio", "-p", "no:anyio"],
        cwd=tmp_path,
        env={k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert "1 passed" in done.stdout, done.stdout + done.stderr

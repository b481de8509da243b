"""Programs that serve an application by processes that they start, and look after these."""

from __future__ import annotations

import contextlib
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

#: Seconds; for what should take one or two.
PATIENCE = 60

FERRIO_RUN = [sys.executable, "-m", "ferrio", "run", "-m"]
PYTHON = [sys.executable, "-m"]

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
def serving(
    words: Sequence[str], cwd: Path, *, app: str = APP, run: Sequence[str] = FERRIO_RUN
) -> Iterator[Server]:
    """A program that serves `app` until the block ends; `PORT` in its words is a free one.

    run: What it is run by.
    """
    (cwd / "app.py").write_text(app)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    process = subprocess.Popen(
        [*run, *(word.replace("PORT", str(port)) for word in words)],
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

"""Chromium without a window, driven by its DevTools protocol.

with Browser() as browser:
    page = browser.open("http://127.0.0.1:8000")
    page.wait_for("document.title === 'ready'")
    page.click("#button")
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Self

import pytest
from websockets.sync.client import connect

from .conftest import PATIENCE

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Pages behind others would otherwise be slowed down, and every page is behind here.
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    # Containers tend to have little of /dev/shm.
    "--disable-dev-shm-usage",
    "--remote-debugging-port=0",
)


class Browser:
    """A browser with a profile of its own, which is deleted with it."""

    def __enter__(self) -> Self:
        program = shutil.which("chromium")
        assert program is not None, "no chromium: run tests/setup/cookbook.py"
        self._stack = contextlib.ExitStack()
        self._profile = Path(tempfile.mkdtemp(prefix="chromium-"))
        self._log = (self._profile / "log").open("wb")
        self._process = subprocess.Popen(
            [program, *FLAGS, f"--user-data-dir={self._profile}", "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            # It is many processes; they are ended as a group.
            start_new_session=True,
        )
        self._stack.callback(self._end)
        try:
            connection = connect(self._address(), max_size=None, open_timeout=PATIENCE)
            self._socket = self._stack.enter_context(connection)
        except BaseException:
            self._stack.close()
            raise
        self._number = 0
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def open(self, url: str) -> Page:
        """A new page that has been told to go to `url`; it need not have arrived."""
        target = self.command("Target.createTarget", url=url)["targetId"]
        attached = self.command("Target.attachToTarget", targetId=target, flatten=True)
        return Page(self, attached["sessionId"])

    def command(self, method: str, session: str | None = None, **parameters: Any) -> Any:
        """The result of a command of the protocol. Events that come meanwhile are dropped."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        self._socket.send(json.dumps(message))
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                left = max(0.0, deadline - time.monotonic())
                answer = json.loads(self._socket.recv(timeout=left))
            except TimeoutError:
                pytest.fail(f"chromium does not answer {method} {parameters}")
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]

    def _address(self) -> str:
        """It writes the port and the path into a file, once it listens."""
        file = self._profile / "DevToolsActivePort"
        deadline = time.monotonic() + PATIENCE
        while True:
            lines = file.read_text().splitlines() if file.exists() else []
            if len(lines) == 2:
                return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
            if self._process.poll() is not None or time.monotonic() > deadline:
                log = (self._profile / "log").read_text(errors="replace")
                pytest.fail(f"chromium did not start:\n{log[-2000:]}")
            time.sleep(0.05)

    def _end(self) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._log.close()
        shutil.rmtree(self._profile, ignore_errors=True)


class Page:
    """One page of a browser."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser = browser
        self._session = session

    def evaluate(self, expression: str) -> Any:
        """What a JavaScript expression gives, as JSON would carry it."""
        answer = self._command("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, f"{expression}: {answer['exceptionDetails']}"
        return answer["result"].get("value")

    def text(self, selector: str) -> str:
        text: str = self.evaluate(f"document.querySelector({json.dumps(selector)}).textContent")
        return text

    def wait_for(self, expression: str) -> None:
        """Until the expression is true; fails, and shows the page, if it never is."""
        deadline = time.monotonic() + PATIENCE
        while not self.evaluate(expression):
            if time.monotonic() > deadline:
                shown = self.evaluate("document.body && document.body.innerText")
                pytest.fail(f"never true: {expression}; the page shows {shown!r}")
            time.sleep(0.05)

    def click(self, selector: str) -> None:
        """With the mouse, in the middle of the element."""
        self._bring_to_front()
        middle = self.evaluate(
            f"(({{x, y, width, height}}) => ({{x: x + width / 2, y: y + height / 2}}))"
            f"(document.querySelector({json.dumps(selector)}).getBoundingClientRect())"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self._command(
                "Input.dispatchMouseEvent", type=kind, **middle, button="left", clickCount=1
            )

    def screenshot(self) -> bytes:
        """As PNG."""
        self._bring_to_front()
        return base64.b64decode(self._command("Page.captureScreenshot", format="png")["data"])

    def _bring_to_front(self) -> None:
        """A page behind another draws nothing, and may answer neither mouse nor camera."""
        self._command("Page.bringToFront")

    def _command(self, method: str, **parameters: Any) -> Any:
        return self._browser.command(method, self._session, **parameters)

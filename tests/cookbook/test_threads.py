"""examples/threads, end to end: real threads, and a window on a virtual display."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from .conftest import CLASSES, ROOT, Cookbook, LoopName, Running
from .displays import Display

#: Of the bars that the window draws: #4878a8.
BLUE = (0x48, 0x78, 0xA8)


def test_everything_without_arguments(cookbook: Cookbook, loop: LoopName) -> None:
    done = cookbook("threads", loop=loop)
    assert done.stderr == ""
    for name in ("fetch", "locks", "numbers", "window"):
        assert f"\n{name}: " in done.stdout


def test_fetch_uses_as_many_threads_as_it_may(cookbook: Cookbook, loop: LoopName) -> None:
    options = ("--count", "30", "--delay", "0.01", "--workers", "10")
    output = cookbook("threads", "fetch", *options, loop=loop).stdout
    found = re.findall(r"fetch: (.*): 30 pages by (\d+) threads", output)
    threads = {name: int(count) for name, count in found}
    assert list(threads) == [
        "in the loop, which stands still",
        "run_in_executor(None, ...)",
        "to_thread",
        "an executor with 10 threads",
    ]
    assert threads["in the loop, which stands still"] == 1
    assert 1 < threads["an executor with 10 threads"] <= 10
    assert "fetch: given up; the thread has not ended" in output


def test_locks(cookbook: Cookbook, loop: LoopName) -> None:
    options = ("--threads", "4", "--times", "500")
    lines = cookbook("threads", "locks", *options, loop=loop).stdout.splitlines()
    # How many are lost is up to the system.
    assert re.fullmatch(r"locks: without a lock: 2000 deposits, \d+ lost", lines[1])
    assert lines[2:] == [
        "locks: with a lock: 2000 deposits, 0 lost",
        "locks: Lock entered twice: waits for a lock that its own thread holds",
        "locks: RLock entered twice: total 10",
        "locks: each its own first: deadlock, until one loses patience; 200 in both accounts",
        "locks: in one order: both done; 200 in both accounts",
    ]


def test_numbers_are_the_same_in_threads(cookbook: Cookbook, loop: LoopName) -> None:
    options = ("--passwords", "6", "--rounds", "1000", "--rows", "100", "--workers", "3")
    output = cookbook("threads", "numbers", *options, loop=loop).stdout
    assert re.findall(r"numbers: (.*): in the loop .* ms, the same results", output) == [
        "6 passwords hashed",
        "medians of 100 rows by NumPy",
        "digits summed in Python",
    ]


class Site:
    """A server that counts; while it is closed, who asks has to wait."""

    def __init__(self) -> None:
        self.requests = 0
        self.is_open = threading.Event()
        self.is_open.set()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}/"

    def __enter__(self) -> Site:
        threading.Thread(target=self._server.serve_forever).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.is_open.set()
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                with site._lock:
                    site.requests += 1
                site.is_open.wait()
                self.send_response(200 if self.path == "/" else 404)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        return Handler


@pytest.fixture(scope="module")
def tk_python() -> str:
    """An interpreter with Tk: ours, or that of another environment of this repository."""
    # Which build of CPython has it differs; ferrio and aiohttp are in each environment.
    environments = sorted(map(str, ROOT.glob(".build/venv/*/bin/python")))
    for python in (sys.executable, *environments):
        probe = [python, "-c", "import tkinter, ferrio, aiohttp; tkinter.Tcl()"]
        if subprocess.run(probe, capture_output=True, check=False).returncode == 0:
            return python
    pytest.skip(
        "no interpreter in .build/venv can import tkinter; make venv PYTHON=... with one that "
        "can (Debian's has it with python3-tk)"
    )


class OpenWindow:
    """The program, its display, and the site that it tests."""

    def __init__(self, program: Running, display: Display, site: Site) -> None:
        self.program = program
        self.display = display
        self.site = site

    def fill_in(self, url: str | None, requests: str, connections: str) -> None:
        """Types into the fields, from the first to the last, and presses Enter."""
        self.display.press("ctrl+l")
        if url is not None:
            self.display.type(url)
        self.display.press("Tab")
        self.display.type(requests)
        self.display.press("Tab")
        self.display.type(connections)
        self.display.press("Return")

    def shows_bars(self) -> bool:
        image = self.display.screenshot()
        colours = image.getcolors(image.width * image.height)
        return any(colour == BLUE for _, colour in colours or [])


@pytest.fixture(params=["ferrio", "asyncio", "guest"])
def window(tk_python: str, request: pytest.FixtureRequest) -> Iterator[OpenWindow]:
    is_guest = request.param == "guest"
    # A guest's loop is ferrio's, whatever else is run on.
    loop: LoopName = "ferrio" if is_guest else request.param
    command = [tk_python, "-m", "ferrio", "run", "--loop", loop, "examples/threads", "window"]
    command += ["--guest"] * is_guest
    with (
        Site() as site,
        Display() as display,
        Running([*command, "--url", site.url], {"DISPLAY": display.name}) as program,
    ):
        assert program.line() == f"running on {CLASSES[loop]}"
        assert program.line() == "window: open"
        display.wait_for_window("^load test$")
        yield OpenWindow(program, display, site)
        display.press("ctrl+q")
        done = program.finish()
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.endswith("window: closed\n")


def test_window_sends_what_was_typed_and_draws_what_came(window: OpenWindow) -> None:
    assert not window.shows_bars()
    window.fill_in(None, "150", "10")
    window.program.until(r"^window: done: 150 of 150 requests, 0 failed")
    window.display.wait_for_window("^load test: done$")
    assert window.site.requests == 150
    assert window.shows_bars()


def test_window_counts_what_fails(window: OpenWindow) -> None:
    window.fill_in(window.site.url + "missing", "12", "3")
    window.program.until(r"^window: done: 12 of 12 requests, 12 failed")
    assert window.site.requests == 12
    window.fill_in("no url", "5", "2")
    window.program.until(r"^window: done: 5 of 5 requests, 5 failed")


def test_window_obeys_while_nothing_comes(window: OpenWindow) -> None:
    window.site.is_open.clear()
    window.fill_in(None, "500", "4")
    window.display.wait_until(lambda: "sent" if window.site.requests == 4 else "")
    window.display.press("Escape")
    window.program.until(r"^window: stopped: 0 of 500 requests, 0 failed")
    window.site.is_open.set()
    window.fill_in(None, "20", "4")
    window.program.until(r"^window: done: 20 of 20 requests, 0 failed")


def test_window_closes_in_the_middle_of_a_test(window: OpenWindow) -> None:
    window.site.is_open.clear()
    window.fill_in(None, "500", "4")
    window.display.wait_until(lambda: "sent" if window.site.requests == 4 else "")
    # The fixture closes it, and expects it to end well.

"""A window that tests a URL under load, and answers to its user all the while.

Tk has the main thread, the loop has another one. Neither calls into the other: the window gives
work to the loop by `run_coroutine_threadsafe`, and looks every few milliseconds how far that is.

Or the loop is a guest in Tk's thread, see `loop_guest.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import tkinter as tk
from collections.abc import Coroutine
from concurrent.futures import Future
from tkinter import ttk
from typing import Any, Protocol

from load_test import Tally, load
from loop_thread import LoopThread
from slow_site import slow_site

#: Milliseconds between two looks at the loop's tally.
LOOK_MS = 30
BARS = 60


class Worker(Protocol):
    """Somebody who runs coroutines."""

    def submit(self, coroutine: Coroutine[Any, Any, None]) -> Future[None] | asyncio.Task[None]: ...


class Window:
    """URL, requests and connections above; what came of them below. Enter starts, Escape stops."""

    def __init__(self, root: tk.Tk, worker: Worker, url: str) -> None:
        self._root = root
        self._worker = worker
        self._tally: Tally | None = None
        self._work: Future[None] | asyncio.Task[None] | None = None
        self._last_look = time.perf_counter()
        #: Seconds for which the window was longest kept from looking, while a test went on.
        self._longest_pause = 0.0

        root.title("load test")
        root.columnconfigure(0, weight=1)
        root.rowconfigure(0, weight=1)
        frame = ttk.Frame(root, padding=12)
        frame.grid(sticky="nsew")
        frame.columnconfigure(1, weight=1)
        frame.rowconfigure(5, weight=1)
        self._url = self._field(frame, 0, "URL", url)
        self._requests = self._field(frame, 1, "Requests", "500")
        self._connections = self._field(frame, 2, "At a time", "20")
        self._button = ttk.Button(frame, text="Start", command=self._press)
        self._button.grid(row=3, column=0, sticky="w", pady=8)
        self._bar = ttk.Progressbar(frame)
        self._bar.grid(row=3, column=1, sticky="ew", pady=8)
        self._status = ttk.Label(
            frame, text="Enter starts, Escape stops, Ctrl-L goes to the URL, Ctrl-Q leaves."
        )
        self._status.grid(row=4, column=0, columnspan=2, sticky="w")
        self._canvas = tk.Canvas(frame, width=560, height=150, background="white")
        self._canvas.grid(row=5, column=0, columnspan=2, sticky="nsew", pady=(8, 0))

        root.bind("<Return>", lambda event: self._start())
        root.bind("<Escape>", lambda event: self._stop())
        root.bind("<Control-l>", lambda event: self._go_to_url())
        root.bind("<Control-q>", lambda event: self._close())
        root.protocol("WM_DELETE_WINDOW", self._close)
        self._url.focus_force()

    def _field(self, frame: ttk.Frame, row: int, name: str, value: str) -> ttk.Entry:
        ttk.Label(frame, text=name).grid(row=row, column=0, sticky="w", padx=(0, 12))
        entry = ttk.Entry(frame)
        entry.insert(0, value)
        entry.grid(row=row, column=1, sticky="ew", pady=2)
        # Whoever comes to a field by Tab mostly wants to write something else into it.
        entry.bind("<FocusIn>", lambda event: entry.select_range(0, "end"))
        return entry

    def _go_to_url(self) -> None:
        self._url.focus_set()
        self._url.select_range(0, "end")

    def _press(self) -> None:
        if self._work is None:
            self._start()
        else:
            self._stop()

    def _start(self) -> None:
        if self._work is not None:
            return
        try:
            requests, connections = int(self._requests.get()), int(self._connections.get())
        except ValueError:
            self._status["text"] = "Requests and connections are numbers."
            return
        if min(requests, connections) < 1:
            self._status["text"] = "At least one request, and one at a time."
            return
        self._longest_pause = 0.0
        self._tally = Tally(requests)
        self._work = self._worker.submit(load(self._url.get(), connections, self._tally))
        self._button["text"] = "Stop"
        self._last_look = time.perf_counter()
        self._root.after(LOOK_MS, self._look)

    def _stop(self) -> None:
        if self._work is not None:
            self._work.cancel()

    def _look(self) -> None:
        """Again and again, while a test goes on."""
        if self._tally is None or self._work is None:
            return
        now = time.perf_counter()
        pause, self._last_look = now - self._last_look, now
        self._longest_pause = max(self._longest_pause, pause - LOOK_MS / 1e3)
        self._show(self._tally)
        # The future of a task that was cancelled is done before the task is.
        if self._work.done() and self._tally.took is not None:
            self._finish(self._tally, self._work)
        else:
            self._root.after(LOOK_MS, self._look)

    def _show(self, tally: Tally) -> None:
        self._bar["value"] = 100 * tally.done / tally.planned
        self._status["text"] = (
            f"{tally.done} of {tally.planned}, {tally.failed} failed, {tally.rate:.0f} answers/s"
        )
        self._draw(list(tally.seconds))

    def _draw(self, seconds: list[float]) -> None:
        """How many answers took how long, from none to the longest."""
        self._canvas.delete("all")
        if not seconds:
            return
        longest = max(seconds)
        counts = [0] * BARS
        for value in seconds:
            counts[min(int(BARS * value / longest), BARS - 1)] += 1
        width, height = self._canvas.winfo_width(), self._canvas.winfo_height() - 18
        for number, count in enumerate(counts):
            if count == 0:
                continue
            left, right = width * number / BARS, width * (number + 1) / BARS
            top = height * (1 - count / max(counts))
            self._canvas.create_rectangle(left, top, right - 1, height, fill="#4878a8", width=0)
        self._canvas.create_text(4, height + 9, anchor="w", text="0 ms")
        text = f"{1e3 * longest:.0f} ms"
        self._canvas.create_text(width - 4, height + 9, anchor="e", text=text)

    def _finish(self, tally: Tally, work: Future[None] | asyncio.Task[None]) -> None:
        self._work = None
        self._button["text"] = "Start"
        how = "stopped" if work.cancelled() else "done"
        problem = None if work.cancelled() else work.exception()
        if problem is not None:
            how = f"failed ({problem})"
        self._root.title(f"load test: {how}")
        print(
            f"window: {how}: {tally.done} of {tally.planned} requests, {tally.failed} failed,"
            f" {tally.rate:.0f} answers/s, the window kept waiting for"
            f" {1e3 * self._longest_pause:.0f} ms at most",
            flush=True,
        )

    def _close(self) -> None:
        self._stop()
        self._root.destroy()


def run(url: str | None, delay: float, *, guest: bool) -> None:
    """Shows the window until it is closed; without `url`, for a site of our own."""
    with contextlib.ExitStack() as stack:
        own = url or stack.enter_context(slow_site(delay))
        root = tk.Tk()
        worker: Worker
        if guest:
            from loop_guest import LoopGuest

            worker = stack.enter_context(LoopGuest(root))
            kind = type(worker.loop)
        else:
            worker = stack.enter_context(LoopThread())
            kind = worker.submit(loop_class()).result()
        print(f"running on {kind.__module__}.{kind.__qualname__}", flush=True)
        Window(root, worker, own)
        print("window: open", flush=True)
        root.mainloop()
    print("window: closed")


async def loop_class() -> type[asyncio.AbstractEventLoop]:
    return type(asyncio.get_running_loop())

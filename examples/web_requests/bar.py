"""A progress bar for things that complete in any order."""

from __future__ import annotations

import sys
import time
from typing import TextIO

WIDTH = 30
#: A terminal is redrawn this often at most: drawing must not become the work.
REDRAW_SECONDS = 0.05


class Bar:
    """Redraws one line on a terminal; writes a line every tenth of the way anywhere else."""

    def __init__(self, total: int, stream: TextIO = sys.stdout) -> None:
        self._total = total
        self._stream = stream
        self._is_terminal = stream.isatty()
        self._done = 0
        self._start = time.perf_counter()
        self._drawn = 0.0

    def advance(self) -> None:
        self._done += 1
        now = time.perf_counter()
        if self._is_terminal:
            if now - self._drawn >= REDRAW_SECONDS or self._done == self._total:
                self._drawn = now
                self._stream.write(f"\r  {self._line(now)}")
                if self._done == self._total:
                    self._stream.write("\n")
                self._stream.flush()
        elif self._done * 10 // self._total > (self._done - 1) * 10 // self._total:
            print(f"  {self._line(now)}", file=self._stream, flush=True)

    def _line(self, now: float) -> str:
        share = self._done / self._total
        filled = int(share * WIDTH)
        left = (now - self._start) * (1 / share - 1)
        return (
            f"[{'#' * filled}{'.' * (WIDTH - filled)}] {share:4.0%} "
            f"{self._done}/{self._total} {left:5.1f} s left"
        )

"""Says what a long command is at, so that nobody waits before a silent terminal.

A line at least every few seconds: what the command prints itself, and where that is nothing, how
long it has taken, and how many crates cargo has compiled.

    python3 bench/load/progress.py WHAT COMMAND...      for recipes

Runs on a bare interpreter: standard library only.
"""

from __future__ import annotations

import contextlib
import os
import queue
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

#: Seconds; a reader begins to wonder at five.
SILENCE = 4.0

#: What cargo draws while it builds: `Building [====>   ] 40/45: syn, ferrio-py(build)`. pip loses
#: the coloured word.
BAR = re.compile(r"\s*(?:Building )?\[[=> ]*\] (?P<done>\d+)/(?P<all>\d+)(?:: (?P<now>.*))?")
#: Has it drawn even where it is not on a terminal.
DRAWN = {"CARGO_TERM_PROGRESS_WHEN": "always", "CARGO_TERM_PROGRESS_WIDTH": "200"}
#: Colours, and what erases a line.
ESCAPE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def run(
    command: Sequence[str | Path],
    what: str,
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> int:
    """Runs `command`, prints what it prints, and says `what` while it is silent; its status."""
    environment = {**(os.environ if env is None else env), **DRAWN}
    with subprocess.Popen(
        command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdout is not None
        narrate(lines_of(process.stdout.fileno()), what)
    return process.returncode


def narrate(lines: Iterator[str | None], what: str) -> None:
    """Prints `lines`; for a None, which stands for a silence, how far `what` is."""
    start = time.monotonic()
    at = ""
    for line in lines:
        if line is None:
            print(f"{what}: {time.monotonic() - start:.0f} s{at}", flush=True)
        elif bar := BAR.fullmatch(line):
            at = f", {bar['done']} of {bar['all']} crates"
            if now := (bar["now"] or "").strip():
                at += f", now {now}"
        elif line.strip():
            print(line, flush=True)


def lines_of(descriptor: int) -> Iterator[str | None]:
    """Lines as they come, those that overwrite each other too, and None for each silence."""
    chunks: queue.Queue[bytes] = queue.Queue()

    def read() -> None:
        while chunk := os.read(descriptor, 65536):
            chunks.put(chunk)
        chunks.put(b"")

    threading.Thread(target=read, daemon=True).start()
    rest = b""
    heard = time.monotonic()
    while True:
        try:
            chunk = chunks.get(timeout=max(0.0, heard + SILENCE - time.monotonic()))
        except queue.Empty:
            heard = time.monotonic()
            yield None
            continue
        *whole, rest = re.split(rb"\r\n|\r|\n", rest + chunk)
        for line in whole if chunk else [*whole, rest]:
            text = ESCAPE.sub("", line.decode(errors="replace"))
            # What is drawn is not read by anybody: it does not end a silence.
            if text.strip() and not BAR.fullmatch(text):
                heard = time.monotonic()
            yield text
        if not chunk:
            return


@contextlib.contextmanager
def ticking(what: str) -> Iterator[None]:
    """For what prints by itself, or not at all: how long it has taken, every few seconds."""
    start = time.monotonic()
    ended = threading.Event()

    def tick() -> None:
        while not ended.wait(SILENCE):
            print(f"{what}: {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)

    thread = threading.Thread(target=tick, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


if __name__ == "__main__":
    sys.exit(run(sys.argv[2:], sys.argv[1]))

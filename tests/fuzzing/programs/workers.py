"""The processes that programs run in, one for each configuration."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from typing import Any

from tests.setup.environment import ROOT

# A program takes some milliseconds. Who has not answered then never will.
TIMEOUT_SECONDS = 60.0

Channels = dict[str, list[str]]


class Worker:
    def __init__(self, configuration: str, python: str = sys.executable) -> None:
        self.configuration = configuration
        self._python = python
        self._process: subprocess.Popen[bytes] | None = None
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - for as long as the worker

    def run(self, source: str, **settings: Any) -> Channels:
        """What the program saw; in `crash` how the process ended that ran it, if it did."""
        process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps({"source": source, **settings}).encode() + b"\n")
            process.stdin.flush()
            line = self._answer(process)
        except BrokenPipeError:
            line = b""
        errors = self._errors()
        if line and "panicked at" not in errors:
            channels: Channels = json.loads(line)
            return channels
        return {"crash": [self._end(process, hangs=line is None), *errors.splitlines()[-60:]]}

    def close(self) -> None:
        if self._process is not None:
            self._end(self._process, hangs=True)

    def _start(self) -> subprocess.Popen[bytes]:
        self._process = subprocess.Popen(
            [self._python, "-m", "tests.fuzzing.programs.worker", self.configuration],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": "0"},
            # Ctrl-C is for the campaign, which ends them.
            start_new_session=True,
        )
        return self._process

    def _answer(self, process: subprocess.Popen[bytes]) -> bytes | None:
        """The line that it writes; nothing if it ends, None if it does neither."""
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], TIMEOUT_SECONDS)
        if ready:
            return process.stdout.readline()
        process.send_signal(signal.SIGABRT)  # faulthandler shows where it is
        process.wait(30)
        return None

    def _errors(self) -> str:
        self._stderr.seek(0)
        text = self._stderr.read().decode(errors="replace")
        self._stderr.seek(0)
        self._stderr.truncate()
        return text

    def _end(self, process: subprocess.Popen[bytes], *, hangs: bool) -> str:
        self._process = None
        if hangs:
            process.kill()
        status = process.wait(30)
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
        return "it hangs" if hangs else f"the process ended with {status}"

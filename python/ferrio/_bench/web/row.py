"""Web rows: CPU time of a web server per request."""

from __future__ import annotations

import importlib.util
import math
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass

from ..child import Child, ChildError
from ..cpus import CpuTime, pin
from ..row import Effort, Measurement

CONNECTIONS = 50

_UNITS_US = {"us": 1.0, "ms": 1e3, "s": 1e6, "m": 60e6}


@dataclass(frozen=True)
class WebRow:
    name: str
    framework: str
    needs: tuple[str, ...]
    quick: bool = False
    group: str = "web"
    unit: str = "CPU-µs/request"
    lower_is_better: bool = True

    @property
    def summary(self) -> str:
        return f"{self.framework} answering 13 bytes under wrk, {CONNECTIONS} connections"

    def missing(self) -> str | None:
        if not sys.platform.startswith("linux"):
            return "needs Linux's per-process CPU clocks"
        if shutil.which("wrk") is None:
            return "needs the program wrk"
        absent = [name for name in self.needs if importlib.util.find_spec(name) is None]
        return f"needs pip install {' '.join(absent)}" if absent else None

    def expected_seconds(self, effort: Effort) -> float:
        return self._seconds(effort) + 1.8

    def measure(self, loop: str, effort: Effort) -> Measurement:
        with Child.of_package(
            "web.server", [loop, self.framework], effort.placement.server
        ) as child:
            url = child.receive()["url"]
            wrk(url, 1, effort)
            before = CpuTime.of(child.pid)
            report = wrk(url, self._seconds(effort), effort)
            total, user, system = CpuTime.of(child.pid).since(before)
        return Measurement(
            total / report.requests * 1e6,
            {
                "user_us": user / report.requests * 1e6,
                "system_us": system / report.requests * 1e6,
                "requests_per_second": report.requests / report.seconds,
                "p50_us": report.p50_us,
                "p99_us": report.p99_us,
                "busy": total / report.seconds,
            },
        )

    def _seconds(self, effort: Effort) -> int:
        # wrk takes whole seconds.
        return max(2, math.ceil(effort.seconds))


@dataclass(frozen=True)
class WrkReport:
    requests: int
    seconds: float
    p50_us: float
    p99_us: float


def wrk(url: str, seconds: int, effort: Effort) -> WrkReport:
    threads = effort.placement.load_threads
    argv = ["wrk", "--latency", f"-t{threads}", f"-c{CONNECTIONS}", f"-d{seconds}s", url]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if effort.placement.load is not None:
        pin(process.pid, effort.placement.load)
    text, _ = process.communicate(timeout=seconds + 30)
    return parse(text)


def parse(text: str) -> WrkReport:
    """Reads what wrk prints; `ChildError` if it was not a clean run."""
    total = re.search(r"(\d+) requests in ([\d.]+)(us|ms|s|m)\b", text)
    if total is None or int(total[1]) == 0:
        raise ChildError(f"wrk: {text.strip().splitlines()[-1] if text.strip() else 'no output'}")
    for trouble in (r"Socket errors: .*", r"Non-2xx or 3xx responses: .*"):
        if found := re.search(trouble, text):
            raise ChildError(f"wrk: {found[0]}")

    def quantile(percent: int) -> float:
        found = re.search(rf"^\s*{percent}%\s+([\d.]+)(us|ms|s|m)$", text, re.MULTILINE)
        if found is None:
            raise ChildError(f"wrk printed no latency at {percent} %")
        return float(found[1]) * _UNITS_US[found[2]]

    seconds = float(total[2]) * _UNITS_US[total[3]] / 1e6
    return WrkReport(int(total[1]), seconds, quantile(50), quantile(99))


WEB_ROWS = (
    WebRow("web_uvicorn", "uvicorn", ("uvicorn", "httptools")),
    WebRow("web_aiohttp", "aiohttp", ("aiohttp",)),
)

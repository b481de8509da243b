#!/usr/bin/env python3
"""The engine's echo servers beside a bare epoll server in C: CPU time of a request, in pairs.

    python3 bench/engine_echo.py                      # 1 KiB, 50 connections, 9 rounds
    python3 bench/engine_echo.py --rounds 21 --size 65536 --connections 20

Builds the servers (examples/echo.rs, and examples/session_echo.rs, which is the same as a Session)
and the load generator, then takes rounds: all servers are started afresh, in
alternating order, each on a CPU of its own with the load on the others. The server's CPU clock
(user and system, nanoseconds, from the scheduler) is read exactly around the measured requests.
Shown are medians, and the median of the ratios within rounds with the least and the most of them.

Needs Linux, cargo, cc and a quiet machine.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
C_SERVER = TARGET / "epoll_echo"
LOAD = TARGET / "ferrio-load"


def build() -> None:
    cargo = ["cargo", "build", "--quiet", "--release"]
    examples = ["--example", "echo", "--example", "session_echo"]
    subprocess.run([*cargo, "-p", "ferrio-engine", *examples], cwd=ROOT, check=True)
    subprocess.run([*cargo, "-p", "ferrio-load"], cwd=ROOT, check=True)
    compiler = os.environ.get("CC", "cc")
    source = ROOT / "bench" / "c" / "epoll_echo.c"
    subprocess.run([compiler, "-O2", "-Wall", "-Wextra", "-o", C_SERVER, source], check=True)


def pinned(cpus: set[int]) -> Callable[[], None]:
    return lambda: os.sched_setaffinity(0, cpus)


def cpu_ns(pid: int) -> int:
    """Nanoseconds that a single-threaded process has run (proc(5), schedstat)."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])


def measure(server: Path, options: argparse.Namespace) -> float:
    """Starts `server`, loads it and returns its CPU microseconds per request."""
    cpus = sorted(os.sched_getaffinity(0))
    own, others = {cpus[-1]}, set(cpus[:-1]) or {cpus[-1]}
    with subprocess.Popen(
        [server], stdout=subprocess.PIPE, text=True, preexec_fn=pinned(own)
    ) as process:
        assert process.stdout is not None
        try:
            address = process.stdout.readline().split()[-1]
            command: list[str | Path] = [LOAD, "--tcp", address, "--gate"]
            command += ["--size", str(options.size), "--connections", str(options.connections)]
            command += ["--depth", str(options.depth), "--requests", str(options.requests)]
            command += ["--warmup-requests", str(max(options.requests // 5, 1))]
            with subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                preexec_fn=pinned(others),
            ) as load:
                assert load.stdin is not None
                assert load.stdout is not None
                load.stdout.readline()
                before = cpu_ns(process.pid)
                load.stdin.write("\n")
                load.stdin.flush()
                last = load.stdout.readline().strip()
                after = cpu_ns(process.pid)
                # Its connections end when we are done with the clock.
                load.stdin.close()
                load.wait()
            if load.returncode != 0:
                sys.exit(f"the load generator failed on {server.name}: {last}")
            requests: int = json.loads(last)["requests"]
        finally:
            process.terminate()
    if process.returncode != 0:
        sys.exit(f"{server.name} did not end cleanly: status {process.returncode}")
    return (after - before) / requests / 1_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--requests", type=int, default=200_000, help="in each measurement")
    parser.add_argument("--size", type=int, default=1024, help="bytes of a message")
    parser.add_argument("--connections", type=int, default=50)
    parser.add_argument("--depth", type=int, default=1, help="messages under way on each")
    options = parser.parse_args()
    build()

    examples = TARGET / "examples"
    servers = {"C": C_SERVER, "engine": examples / "echo", "session": examples / "session_echo"}
    results: dict[str, list[float]] = {name: [] for name in servers}
    for turn in range(options.rounds):
        order = list(servers) if turn % 2 == 0 else list(reversed(servers))
        for name in order:
            results[name].append(measure(servers[name], options))
        figures = ", ".join(f"{name} {values[-1]:.3f}" for name, values in results.items())
        print(f"round {turn + 1}: {figures} µs", flush=True)

    for name, values in results.items():
        low, high = min(values), max(values)
        print(f"{name:>7}: {statistics.median(values):.3f} µs a request ({low:.3f} to {high:.3f})")
    for one, other in (("engine", "C"), ("session", "engine")):
        ratios = sorted(a / b for a, b in zip(results[one], results[other], strict=True))
        middle = statistics.median(ratios)
        print(f"{one} to {other}: {middle:.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f})")


if __name__ == "__main__":
    main()

"""`ferrio info`: what ferrio runs with on this machine."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import sys
import sysconfig
import time
from importlib import metadata

from . import __version__, _ferrio, new_event_loop, run

#: Packages whose version matters to a bug report: other loops, and what programs mostly run on one.
NEIGHBOURS = ("uvloop", "rloop", "zuvloop", "aiohttp", "uvicorn", "anyio", "pytest-asyncio")

#: Seconds; far below the millisecond to which a wait is rounded where the kernel can do no better.
SHORT_SLEEP = 0.0002

#: The parts of asyncio that need a loop's support, and whether ferrio has them.
FEATURES = {
    "tcp": True,
    "descriptors": True,
    "signals": True,
    "executors": True,
    "tls": True,
    "udp": True,
    "unix_sockets": True,
    "pipes": True,
    "subprocesses": True,
    "sendfile": True,
}

Section = dict[str, str | int | float | bool | None]


def print_info(*, as_json: bool) -> int:
    """Print what there is to know; the exit status."""
    sections = gather()
    if as_json:
        print(json.dumps(sections, indent=2))
        return 0
    for title, section in sections.items():
        print(title)
        for name, value in section.items():
            print(f"  {name.replace('_', ' '):<20} {shown(value)}")
    return 0


def gather() -> dict[str, Section]:
    """Everything, by section; the keys are the same on every machine."""
    return {
        "ferrio": ferrio_section(),
        "features": dict(FEATURES),
        "accelerations": accelerations(),
        "python": python_section(),
        "system": system_section(),
        "installed": installed(),
    }


def ferrio_section() -> Section:
    loop = new_event_loop()
    # What is in force, FERRIO_DRIVER included.
    driver = loop._driver
    loop.close()
    return {
        "version": __version__,
        **_ferrio.build_info(),
        "driver": driver,
        "module": _ferrio.__file__,
    }


def accelerations() -> Section:
    """What makes ferrio fast, and whether it is in force here."""
    loop = new_event_loop()
    try:
        debug = loop.get_debug()
        own_tasks = not loop._c_tasks
    finally:
        loop.close()
    oversleep = measured_oversleep()
    return {
        # Built without optimisation everything works, several times slower.
        "optimised_build": _ferrio.build_info()["profile"] == "release",
        # The steps of this Task class are queued without a Handle.
        "native_task_steps": asyncio.Task.__module__ == "_asyncio",
        # Tasks and futures are ferrio's own types.
        "own_tasks": own_tasks,
        # Source tracebacks for every callback.
        "debug_mode_off": not debug,
        # epoll_pwait2: Linux 5.11, and no seccomp filter that hides it.
        "exact_timers": oversleep < 0.0008,
        "oversleep_us": round(oversleep * 1e6),
    }


def measured_oversleep() -> float:
    """By how many seconds a short sleep ends too late, at best."""

    async def main() -> float:
        best = 1.0
        for _ in range(10):
            start = time.perf_counter()
            await asyncio.sleep(SHORT_SLEEP)
            best = min(best, time.perf_counter() - start - SHORT_SLEEP)
        return best

    return run(main())


def python_section() -> Section:
    is_gil_enabled = getattr(sys, "_is_gil_enabled", lambda: True)
    return {
        "version": platform.python_version(),
        "implementation": platform.python_implementation(),
        "compiler": platform.python_compiler(),
        "build": " ".join(platform.python_build()),
        "executable": sys.executable,
        "free_threaded_build": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
        "gil_enabled": is_gil_enabled(),
        "debug_build": hasattr(sys, "gettotalrefcount"),
        "development_mode": sys.flags.dev_mode,
    }


def system_section() -> Section:
    return {
        "system": platform.system(),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "c_library": " ".join(platform.libc_ver()).strip() or None,
        "cpus": os.cpu_count(),
        "cpus_usable": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
    }


def installed() -> Section:
    versions: Section = {}
    for name in NEIGHBOURS:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    return versions


def shown(value: object) -> str:
    match value:
        case True:
            return "yes"
        case False:
            return "no"
        case None:
            return "-"
        case _:
            return str(value)

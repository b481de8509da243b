"""`ferrio info`: what ferrio runs with on this machine."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import sys
import sysconfig
import time
from collections.abc import Iterator
from importlib import metadata

from . import Loop, __version__, _ferrio, aio, new_event_loop, run
from ._waiting import replaced_selector

#: Packages whose version matters to a bug report: other loops, and what programs mostly run on one.
NEIGHBOURS = ("uvloop", "rloop", "zuvloop", "aiohttp", "uvicorn", "anyio", "pytest-asyncio")

#: Variables that change what is run on what.
VARIABLES = (
    "FERRIO_RUN",
    "FERRIO_C_TASKS",
    "FERRIO_DRIVER",
    "PYTHONASYNCIODEBUG",
    "PYTHONDEVMODE",
)

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
    else:
        print("\n".join(text_of(sections)))
    return 0


def text_of(sections: dict[str, Section]) -> Iterator[str]:
    """The same in words, with what to do about what is not as it should be."""
    ferrio, python, system = (sections[name] for name in ("ferrio", "python", "system"))
    yield f"ferrio {ferrio['version']} on {python['implementation']} {python['version']}"
    yield ""
    yield "Speed"
    yield from speed(ferrio, sections["accelerations"], python)
    yield ""
    yield "What is patched in this process"
    yield from patches(sections["patched"])
    yield ""
    yield "Installed beside it"
    there = [f"{name} {version}" for name, version in sections["installed"].items() if version]
    yield line("packages", ", ".join(there) or "none that ferrio knows of")
    yield line("python", f"{python['executable']}")
    kinds = [
        text
        for name, text in (
            ("free_threaded_build", "free-threaded"),
            ("debug_build", "debug build"),
            ("development_mode", "development mode"),
        )
        if python[name]
    ]
    yield line("", ", ".join([f"{python['compiler']}", *kinds]))
    yield line("ferrio", f"{ferrio['module']}")
    yield line("", f"built by rustc {ferrio['rustc']} for {ferrio['target']}")
    usable = system["cpus_usable"] or system["cpus"]
    yield line("system", f"{system['system']} {system['kernel']}, {system['machine']}")
    library = system["c_library"] or "C library unknown"
    yield line("", f"{library}, {usable} of {system['cpus']} processors")
    yield ""
    yield "Next"
    yield line("a program", "ferrio run app.py")
    yield line("what it gains", "ferrio compare app.py")
    yield line("a bug report", "this text, and what `ferrio run --loop asyncio app.py` does")


def speed(ferrio: Section, found: Section, python: Section) -> Iterator[str]:
    if found["optimised_build"]:
        yield line("build", "release, optimised")
    else:
        yield line("build", f"{ferrio['profile']}: not optimised, several times slower")
        yield line("", "-> install a wheel, or `pip install .` in a clone")
    if found["own_tasks"]:
        yield line("tasks, futures", "ferrio's own, in Rust")
    elif python["free_threaded_build"]:
        yield line("tasks, futures", "asyncio's own: ferrio's need the GIL as yet")
    else:
        yield line("tasks, futures", "asyncio's own, which are slower")
        yield line("", "-> without --c-tasks and FERRIO_C_TASKS they are ferrio's")
    if not found["native_task_steps"]:
        yield line("", "asyncio.Task is not the interpreter's: each step is a Python call")
    if found["debug_mode_off"]:
        yield line("debug mode", "off")
    else:
        yield line("debug mode", "on, which costs several times the time of each callback")
        yield line("", "-> without -X dev and PYTHONASYNCIODEBUG it is off")
    late = f"a sleep of {SHORT_SLEEP * 1e3} ms ended {found['oversleep_us']} us late"
    if found["exact_timers"]:
        yield line("timers", f"exact: {late}")
    else:
        yield line("timers", f"rounded to milliseconds: {late}")
        yield line("", "-> Linux 5.11 or newer has epoll_pwait2; a container may forbid it")
    kind = "Linux' own" if ferrio["driver"] == "epoll" else "for systems without epoll"
    yield line("driver", f"{ferrio['driver']}, {kind}")


def patches(found: Section) -> Iterator[str]:
    loops = "ferrio's, for who names no other" if found["event_loops"] else "asyncio's own"
    yield line("new loops", loops)
    classes = "ferrio's" if found["asyncio_classes"] else "asyncio's own"
    yield line("locks, streams ...", f"{classes} in the module asyncio")
    if found["selectors"]:
        yield line("selectors", f"{found['selectors']}'s, by which loops wait")
    yield line("children", "on ferrio, too" if found["children"] else "on what they choose")
    if found["environment"]:
        yield line("environment", f"{found['environment']}")
    if not (found["event_loops"] or found["asyncio_classes"]):
        yield line("", "`ferrio run app.py` and ferrio.install(replace=True) change that")


def line(name: str, text: str) -> str:
    return f"  {name:<19} {text}".rstrip()


def gather() -> dict[str, Section]:
    """Everything, by section; the keys are the same on every machine."""
    return {
        "ferrio": ferrio_section(),
        "features": dict(FEATURES),
        "accelerations": accelerations(),
        "patched": patched(),
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


def patched() -> Section:
    """What stands in the place of asyncio's own, here and now."""
    loop = asyncio.new_event_loop()
    loop.close()
    selector = replaced_selector()
    variables = [name for name in VARIABLES if os.environ.get(name)]
    return {
        "event_loops": isinstance(loop, Loop),
        "asyncio_classes": asyncio.Lock is aio.Lock,
        "selectors": None if selector is None else type(selector).__module__.partition(".")[0],
        "children": bool(os.environ.get("FERRIO_RUN")),
        "environment": " ".join(f"{name}={os.environ[name]}" for name in variables) or None,
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

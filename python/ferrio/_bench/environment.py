"""Where and how the figures came about: without it they mean nothing later."""

from __future__ import annotations

import datetime
import os
import platform
import sys
import sysconfig
from pathlib import Path
from typing import Any

from .row import Effort


def describe(effort: Effort, rounds: int) -> dict[str, Any]:
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "python_build": " ".join(platform.python_build()),
        "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
        "compiler": platform.python_compiler(),
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "cpu": cpu_model(),
        "cpus": os.cpu_count(),
        "load_average": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "rounds": rounds,
        "seconds": effort.seconds,
        "load_generator": "Python client" if effort.load_generator is None else "ferrio-load",
        "pinned": effort.placement.server is not None,
    }


def cpu_model() -> str:
    if sys.platform.startswith("linux"):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"

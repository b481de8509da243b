"""Descriptors and ports: what a machine must have to spare for thousands of connections."""

from __future__ import annotations

import contextlib
from pathlib import Path

BESIDES = 100
"""Descriptors of a process that are no connections, with room to spare."""


def raise_limit() -> None:
    """Raises this process's limit of open files, often 1,024, as far as it may by itself."""
    try:
        import resource
    except ImportError:
        return
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # If it cannot be raised, opening the connections fails with a message of its own.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def missing(connections: int) -> str | None:
    """Why no process here can have so many connections to one other; None if it can."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections + BESIDES
    if hard != resource.RLIM_INFINITY and hard < needed:
        return f"needs {needed:,} open files: `ulimit -Hn` says {hard:,}"
    ports = local_ports()
    if ports is not None and ports < needed:
        return f"needs {needed:,} ports: net.ipv4.ip_local_port_range has {ports:,}"
    return None


def local_ports() -> int | None:
    """How many ports the kernel chooses from for connections; None where it does not say."""
    try:
        text = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text()
    except OSError:
        return None
    first, last = map(int, text.split())
    return last - first + 1

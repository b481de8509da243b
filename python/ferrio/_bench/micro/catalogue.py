"""Every operation there is: importing the modules enters them."""

from __future__ import annotations

from . import descriptors, lifecycle, locks, processes, scheduling, subclasses, tasks, threads
from .operation import OPERATIONS

__all__ = [
    "OPERATIONS",
    "descriptors",
    "lifecycle",
    "locks",
    "processes",
    "scheduling",
    "subclasses",
    "tasks",
    "threads",
]

"""What the measured process has used so far."""

from __future__ import annotations

import os
import sys
import time

from ..cpus import resident_kib


class Lap:
    """CPU time of the process since this was made."""

    def __init__(self) -> None:
        self._begun = time.process_time_ns()

    def each(self, times: int) -> float:
        """Nanoseconds for each of so many."""
        return (time.process_time_ns() - self._begun) / times


def resident_bytes() -> float:
    """Resident memory of this process; 0 where the system does not say."""
    return resident_kib(os.getpid()) * 1024 if sys.platform.startswith("linux") else 0.0

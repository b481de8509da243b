"""What is compared, the ratios, and which of them mean something."""

from __future__ import annotations

import enum
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Quantity:
    """One column of what is measured."""

    title: str
    unit: str
    lower_is_better: bool = True


#: By the names under which a run's figures stand, in the order in which they are shown.
QUANTITIES = {
    "wall": Quantity("time", "s"),
    "rate": Quantity("requests", "/s", lower_is_better=False),
    "load": Quantity("time of the load", "s"),
    "cpu": Quantity("CPU", "s"),
    "server_cpu": Quantity("CPU", "s"),
    "request_cpu": Quantity("CPU", "µs/request"),
    "p50": Quantity("latency, 50 %", "ms"),
    "p99": Quantity("latency, 99 %", "ms"),
    "memory": Quantity("memory", "MiB"),
    "server_memory": Quantity("memory", "MiB"),
    "calls": Quantity("system calls", ""),
    "request_calls": Quantity("system calls", "/request"),
    "switches": Quantity("context switches", ""),
    "request_switches": Quantity("context switches", "/request"),
}

#: Fewer rounds than this say nothing of noise.
ENOUGH = 3


class Meaning(enum.Enum):
    """Of the difference between two loops."""

    BETTER = "better"
    WORSE = "worse"
    NOISE = "noise"
    #: Counted or measured too few times to tell.
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Ratio:
    """Of a loop to the baseline, taken within rounds: those of one lie close together in time."""

    median: float
    least: float
    most: float
    rounds: int

    def meaning(self, quantity: Quantity) -> Meaning:
        """Better or worse is what is so in every round; whatever changes sides is noise."""
        if self.rounds < ENOUGH:
            return Meaning.UNKNOWN
        if self.least <= 1 <= self.most:
            return Meaning.NOISE
        is_less = self.most < 1
        return Meaning.BETTER if is_less == quantity.lower_is_better else Meaning.WORSE


Figures = Mapping[str, float]


def median(rounds: Sequence[Figures], name: str) -> float | None:
    """Of a quantity over rounds; None if nobody has measured it."""
    values = [figures[name] for figures in rounds if name in figures]
    return statistics.median(values) if values else None


def ratio(rounds: Sequence[Figures], baseline: Sequence[Figures], name: str) -> Ratio | None:
    """Of what was measured in the same rounds; None if that is nothing."""
    pairs = zip(rounds, baseline, strict=False)
    ratios = [
        one[name] / other[name] for one, other in pairs if name in one and other.get(name, 0) > 0
    ]
    if not ratios:
        return None
    return Ratio(statistics.median(ratios), min(ratios), max(ratios), len(ratios))


def sentence(loop: str, baseline: str, rounds: Mapping[str, Sequence[Figures]]) -> str:
    """What it comes to, in words."""

    def first_of(*names: str) -> tuple[Quantity, Ratio] | None:
        """What was measured of these: a program and the two kinds of load have one each."""
        for name in names:
            if found := ratio(rounds[loop], rounds[baseline], name):
                return QUANTITIES[name], found
        return None

    speed = first_of("wall", "rate", "load")
    cpu = first_of("cpu", "server_cpu", "request_cpu")
    said = []
    if speed is not None:
        quantity, found = speed
        factor = 1 / found.median if quantity.lower_is_better else found.median
        said.append(
            f"as fast as {baseline}, within the noise"
            if found.meaning(quantity) is Meaning.NOISE
            else f"{factor:.2f} times as fast as {baseline}{doubt(found)}"
        )
    if cpu is not None:
        quantity, found = cpu
        said.append(
            "the same CPU time, within the noise"
            if found.meaning(quantity) is Meaning.NOISE
            else f"{found.median:.2f} of its CPU time{doubt(found)}"
        )
    return f"{loop}: {'; '.join(said)}" if said else f"{loop}: nothing to compare"


def doubt(found: Ratio) -> str:
    """What to add where too few rounds were run."""
    return "" if found.rounds >= ENOUGH else " (too few rounds to tell it from noise)"

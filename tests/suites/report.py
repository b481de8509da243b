"""What came out, for each suite: a row of the table, the details, and JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from .catalogue import Suite
from .comparison import Difference
from .runner import Run

COLUMNS = (
    "tests",
    "pass on asyncio",
    "pass on ferrio",
    "skip",
    "fail on both",
    "only on asyncio",
    "flaky",
    "known",
    "differ",
    "made a loop",
    "of ferrio's",
    "of the stdlib's",
    "seconds",
)


@dataclass
class SuiteReport:
    suite: Suite
    asyncio: Run
    ferrio: Run
    differences: list[Difference] = field(default_factory=list)

    @property
    def counting(self) -> list[Difference]:
        return [difference for difference in self.differences if difference.counts]

    @property
    def troubles(self) -> list[str]:
        """What makes this suite's run worthless, whatever its tests say."""
        found = [f"on {run.loop}: {run.trouble}" for run in self._runs() if run.trouble]
        if not self.ferrio.on_ours:
            found.append("no test made a loop of ferrio's")
        if escaped := [o.test for o in self.ferrio.outcomes.values() if o.stdlib]:
            found.append(f"ran on a loop of the stdlib's all the same: {', '.join(escaped)}")
        return found

    @property
    def is_good(self) -> bool:
        return not self.troubles and not self.counting

    def fail_on_both(self) -> list[str]:
        ferrio = self.ferrio.outcomes
        return [
            test
            for test, outcome in self.asyncio.outcomes.items()
            if outcome.is_failure and test in ferrio and ferrio[test].is_failure
        ]

    def only_on_asyncio(self) -> list[str]:
        """What fails on asyncio, and not on ferrio."""
        ferrio = self.ferrio.outcomes
        return [
            test
            for test, outcome in self.asyncio.outcomes.items()
            if outcome.is_failure and test in ferrio and not ferrio[test].is_failure
        ]

    def row(self) -> list[str]:
        verdicts = [difference.verdict for difference in self.differences]
        values = (
            len(self.ferrio.outcomes),
            self.asyncio.count("passed", "xfailed"),
            self.ferrio.count("passed", "xfailed"),
            self.ferrio.count("skipped"),
            len(self.fail_on_both()),
            len(self.only_on_asyncio()),
            sum(verdict in ("flaky", "not seen again") for verdict in verdicts),
            verdicts.count("known"),
            verdicts.count("differs"),
            self.asyncio.on_stdlib,
            self.ferrio.on_ours,
            self.ferrio.on_stdlib,
            f"{self.asyncio.seconds:.0f} / {self.ferrio.seconds:.0f}",
        )
        return [f"{self.suite.name} {self.suite.version}", *map(str, values)]

    def as_json(self) -> dict[str, object]:
        return {
            "suite": self.suite.name,
            "version": self.suite.version,
            "is_good": self.is_good,
            "troubles": self.troubles,
            "differences": [asdict(difference) for difference in self.differences],
            "fail_on_both": self.fail_on_both(),
            "only_on_asyncio": self.only_on_asyncio(),
            "runs": [
                {
                    "loop": run.loop,
                    "seconds": round(run.seconds, 1),
                    "tests": [asdict(outcome) for outcome in run.outcomes.values()],
                }
                for run in self._runs()
            ],
        }

    def _runs(self) -> tuple[Run, Run]:
        return self.asyncio, self.ferrio


def table(reports: list[SuiteReport]) -> str:
    rows = [["suite", *COLUMNS], *(report.row() for report in reports)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])

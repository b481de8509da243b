"""Outcomes against expectations: counts for each module, what is unexpected, and REPORT.md."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from .expectations import KINDS, Expectations
from .supervisor import ModuleRun, Outcome

REPORT = Path(__file__).with_name("REPORT.md")

COLUMNS = ("ids", "pass", "on the loop", *KINDS, "skip", "repeat", "unexpected")


@dataclass
class Unexpected:
    outcome: Outcome
    # Why it is: no entry for a failure, or an entry's reason for a pass.
    expected: str

    def __str__(self) -> str:
        outcome = self.outcome
        return f"{outcome.test}: {outcome.result} ({self.expected}), {outcome.seconds} s"

    def as_json(self) -> dict[str, object]:
        return vars(self.outcome) | {"expected": self.expected}


@dataclass
class ModuleReport:
    module: str
    seconds: float
    counts: Counter[str] = field(default_factory=Counter)
    unexpected: list[Unexpected] = field(default_factory=list)
    # What the whole module was skipped for.
    skipped: str = ""

    @classmethod
    def of(cls, run: ModuleRun, expectations: Expectations) -> ModuleReport:
        report = cls(run.module, run.seconds, skipped=run.skipped)
        for outcome in run.outcomes.values():
            report._add(outcome, expectations)
        return report

    def _add(self, outcome: Outcome, expectations: Expectations) -> None:
        expectation = expectations.of(outcome.test)
        self.counts["ids"] += 1
        self.counts["on the loop"] += outcome.on_loop and outcome.result == "pass"
        if outcome.is_failure and expectation is not None:
            self.counts[expectation.kind] += 1
        elif outcome.is_failure:
            self._add_unexpected(outcome, "expected to pass")
        elif outcome.result == "pass" and expectation is not None and expectation.is_strict:
            self._add_unexpected(outcome, f"{expectation.kind}: {expectation.why}")
        else:
            self.counts[outcome.result] += 1

    def _add_unexpected(self, outcome: Outcome, expected: str) -> None:
        self.counts["unexpected"] += 1
        self.unexpected.append(Unexpected(outcome, expected))

    def line(self) -> str:
        if self.skipped:
            return f"{self.module:28} skipped: {self.skipped}"
        counts = [f"{self.counts['pass']:4} of {self.counts['ids']:4} pass"]
        counts += [f"{self.counts[name]} {name}" for name in COLUMNS[2:] if self.counts[name]]
        return f"{self.module:28} {', '.join(counts)}  [{self.seconds:.0f} s]"


def summary(reports: list[ModuleReport]) -> str:
    """A Markdown table, one row for each module and a total."""
    total = ModuleReport("total", 0.0)
    rows = []
    for report in sorted(reports, key=lambda report: report.module):
        if not report.skipped:
            rows.append(report)
            total.counts.update(report.counts)
    lines = [f"| module | {' | '.join(COLUMNS)} |", "|---" * (len(COLUMNS) + 1) + "|"]
    for row in [*rows, total]:
        lines.append(f"| {row.module} | {' | '.join(str(row.counts[c]) for c in COLUMNS)} |")
    return "\n".join(lines)


def update_report_file(heading: str, reports: list[ModuleReport]) -> None:
    """Replaces the section under `## heading`, or appends it; sections are sorted by heading."""
    text = REPORT.read_text() if REPORT.exists() else INTRODUCTION
    introduction, *sections = re.split(r"^## ", text, flags=re.MULTILINE)
    kept = {section.partition("\n")[0]: section for section in sections}
    kept[heading] = f"{heading}\n\n{summary(reports)}\n\n"
    body = "".join(f"## {kept[name]}" for name in sorted(kept))
    REPORT.write_text(f"{introduction}{body}".rstrip() + "\n")


INTRODUCTION = """\
# CPython's test_asyncio on ferrio

Written by `python -m tests.conformance --update-report`; see `expectations.toml` for the reason
behind each number outside the columns *ids* and *pass*.

*on the loop* counts the passes of tests that made a loop of ours; the others need none, or bring
the suite's own simulated one. *repeat* are tests of the same thing under another selector's name.
*skip* is the suite's own doing.

"""

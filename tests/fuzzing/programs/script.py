"""What a failing program that was written to a file calls."""

from __future__ import annotations

import sys
from typing import Any

from .campaign import Campaign, Failure
from .tree import Function, Program


def compare(source: str, settings: dict[str, Any], configuration: str) -> None:
    program = Written(source, settings)
    with Campaign([configuration]) as campaign:
        expected = campaign.run(campaign.reference, program)
        (worker,) = campaign.workers
        failure = Failure(program, configuration, expected, campaign.run(worker, program))
    for channel, events in expected.items():
        print(f"[{channel}]", *events, sep="\n  ")
    if failure.actual == failure.expected:
        print("both see the same")
        return
    print(failure.report())
    sys.exit(1)


class Written(Program):
    """A program that is there as text only."""

    def __init__(self, source: str, settings: dict[str, Any]) -> None:
        super().__init__("written", [Function("", "main")], **settings)
        self._source = source

    def source(self) -> str:
        return self._source

"""The rounds: every loop once in each, in turns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from . import system_calls
from .program import FailedError, Outcome, Program, failure
from .results import LoopResult
from .server import Server


class Observer(Protocol):
    """Hears how it goes on."""

    def begin(self, what: str) -> None: ...

    def tick(self) -> None: ...

    def end(self, outcome: Outcome | None) -> None: ...

    def say(self, what: str) -> None: ...


@dataclass(frozen=True)
class Campaign:
    """A program, and how often it runs."""

    program: Program
    #: None for one that ends by itself.
    server: Server | None
    rounds: int
    #: One round more, at the start, that does not count.
    warms_up: bool
    counts_calls: bool

    def run(self, loops: dict[str, LoopResult], observer: Observer) -> None:
        """Fill in `loops`. One that fails is left out from there on."""
        outputs: dict[str, bytes] = {}
        if self.warms_up:
            for loop, result in loops.items():
                outcome = self._try(loop, result, f"{loop}, to warm up", observer)
                if outcome is not None:
                    outputs[loop] = outcome.stdout
            if self.server is None:
                self._compare_outputs(outputs, observer)
        for round_ in range(self.rounds):
            names = list(loops)
            # A B C, B C A, C A B: so that no loop always comes after the same one.
            turn = round_ % len(names)
            for loop in names[turn:] + names[:turn]:
                what = f"{loop}, round {round_ + 1} of {self.rounds}"
                outcome = self._try(loop, loops[loop], what, observer)
                if outcome is not None:
                    loops[loop].rounds.append(outcome.figures)
        if self.counts_calls:
            for loop, result in loops.items():
                self._count(loop, result, observer)

    def _once(self, loop: str, observer: Observer) -> Outcome:
        if self.server is not None:
            return self.server.measure(self.program, loop)
        with self.program.started(loop) as running:
            outcome = running.finish(observer.tick)
        if outcome.status != 0:
            raise failure(outcome)
        return outcome

    def _try(self, loop: str, result: LoopResult, what: str, observer: Observer) -> Outcome | None:
        if result.error is not None:
            return None
        observer.begin(what)
        try:
            outcome = self._once(loop, observer)
        except FailedError as error:
            observer.end(None)
            result.error = str(error)
            observer.say(f"on {loop} it {error}")
            return None
        observer.end(outcome)
        for note in outcome.notes:
            if note not in result.notes:
                result.notes.append(note)
                observer.say(f"{loop}: {note}")
        return outcome

    def _count(self, loop: str, result: LoopResult, observer: Observer) -> None:
        if result.error is not None or not result.rounds:
            return
        observer.begin(f"{loop}, system calls")
        try:
            if self.server is None:
                calls: float | None = system_calls.of_program(self.program, loop)
            else:
                calls = system_calls.of_request(self.program, self.server, loop)
        except FailedError as error:
            observer.say(f"system calls on {loop}: {error}")
            calls = None
        observer.end(None)
        if calls is not None:
            name = "calls" if self.server is None else "request_calls"
            for figures in result.rounds:
                figures[name] = calls

    def _compare_outputs(self, outputs: dict[str, bytes], observer: Observer) -> None:
        """Say so where a program does not print the same everywhere: it may not do the same."""
        if len(set(outputs.values())) > 1:
            observer.say(
                "it does not print the same on each loop; see --show-output, unless it prints times"
            )

"""What is being measured, and how long it will still take: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from . import figures
from .campaign import Observer, Step
from .row import Measurement


class Clock:
    """Estimates the time left from what rows are expected to take and how that came out so far."""

    def __init__(self, expected_seconds: float) -> None:
        self._left = expected_seconds
        self._expected = 0.0
        self._taken = 0.0
        self._since = 0.0

    def begin(self) -> None:
        self._since = time.monotonic()

    def end(self, step: Step, measured: bool) -> None:
        self._left -= step.seconds
        if measured:
            self._expected += step.seconds
            self._taken += time.monotonic() - self._since

    @property
    def left(self) -> str:
        pace = self._taken / self._expected if self._expected else 1.0
        minutes, seconds = divmod(round(max(0.0, self._left * pace)), 60)
        return f"{minutes}:{seconds:02d} left"


class Display(Observer, Protocol):
    """An observer that wants to know when it is over."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


class Bar:
    def __init__(self, console: Console, steps: int, expected_seconds: float) -> None:
        self._clock = Clock(expected_seconds)
        self._progress = Progress(
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]:>10}"),
            TextColumn("{task.description}"),
            console=console,
            transient=True,
        )
        self._task: TaskID = self._progress.add_task("", total=steps, left=self._clock.left)

    def begin(self, step: Step) -> None:
        self._clock.begin()
        what = f"{step.row.name} [bold]{step.loop}[/bold] round {step.round} of {step.rounds}"
        self._progress.update(self._task, description=what)

    def end(self, step: Step, outcome: Measurement | str | None) -> None:
        self._clock.end(step, outcome is not None)
        self._progress.update(self._task, advance=1, left=self._clock.left)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()


class Lines:
    """For logs: a line for each measurement, when it is made."""

    def __init__(self, console: Console, steps: int, expected_seconds: float) -> None:
        self._console = console
        self._clock = Clock(expected_seconds)
        self._steps = steps
        self._done = 0

    def begin(self, step: Step) -> None:
        self._clock.begin()

    def end(self, step: Step, outcome: Measurement | str | None) -> None:
        self._clock.end(step, outcome is not None)
        self._done += 1
        match outcome:
            case None:
                return
            case Measurement(value=value):
                said = f"{figures.number(value)} {step.row.unit}"
            case error:
                said = error
        # Not `Console.print`: it would wrap, highlight and read brackets as markup.
        self._console.out(
            f"[{self._done}/{self._steps}, {self._clock.left}] "
            f"{step.row.name} {step.loop} round {step.round}: {said}",
            highlight=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        pass


def display(console: Console, steps: int, expected_seconds: float) -> Display:
    kind = Bar if console.is_terminal else Lines
    return kind(console, steps, expected_seconds)

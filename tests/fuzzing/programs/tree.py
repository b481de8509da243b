"""A program as a tree of steps: what the generator makes, the shrinker cuts and Python runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

INDENT = "    "


@dataclass
class Step:
    """One thing that is done. `code` is an expression, or the header of a block that ends in ":".

    `guard` is the method of the stage that records how the step ends; without one it stands alone.
    """

    code: str
    guard: str = "step"
    body: list[Step] = field(default_factory=list)

    @property
    def is_block(self) -> bool:
        return self.code.endswith(":")

    def lines(self, label: str) -> Iterator[str]:
        inside = ""
        if self.guard:
            yield f"with S.{self.guard}({label!r}):"
            inside = INDENT
        if self.is_block:
            yield inside + self.code
            for line in body_lines(self.body, label):
                yield inside + INDENT + line
        elif self.code.startswith(("return", "raise", "yield", "pass")):
            yield inside + self.code
        else:
            yield f"{inside}S.note({label!r}, {self.code})"


def body_lines(steps: list[Step], label: str) -> Iterator[str]:
    if not steps:
        yield "pass"
    for number, step in enumerate(steps):
        yield from step.lines(f"{label}.{number}")


@dataclass
class Function:
    """A coroutine, a callback, an asynchronous generator or a class, which holds functions."""

    header: str
    name: str
    body: list[Step] = field(default_factory=list)
    methods: list[Function] = field(default_factory=list)
    # What a method has to do in any case, say keep its transport.
    first: str = ""

    def lines(self) -> Iterator[str]:
        yield self.header
        if self.first:
            yield INDENT + self.first
        for method in self.methods:
            for line in method.lines():
                yield INDENT + line
        if self.body or not (self.methods or self.first):
            for line in body_lines(self.body, self.name):
                yield INDENT + line


@dataclass
class Program:
    seed: str
    functions: list[Function]
    # Whether sockets are in it: then each task and protocol is traced by itself.
    has_io: bool
    debug: bool

    def source(self) -> str:
        parts = ["\n".join(function.lines()) for function in self.functions]
        return "\n\n\n".join(parts) + "\n"

    def settings(self) -> dict[str, object]:
        return {"has_io": self.has_io, "debug": self.debug}


def bodies(program: Program) -> Iterator[list[Step]]:
    """Every list of steps in it, outer ones first."""
    pending = [f.body for f in program.functions]
    pending += [method.body for f in program.functions for method in f.methods]
    while pending:
        steps = pending.pop(0)
        yield steps
        pending += [step.body for step in steps if step.is_block]


def copied(program: Program) -> Program:
    def steps(of: list[Step]) -> list[Step]:
        return [replace(step, body=steps(step.body)) for step in of]

    def function(of: Function) -> Function:
        return replace(of, body=steps(of.body), methods=[function(m) for m in of.methods])

    return replace(program, functions=[function(f) for f in program.functions])

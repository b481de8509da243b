"""Makes a failing program smaller for as long as it still fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from .tree import Program, bodies, copied


def shrink(program: Program, fails: Callable[[Program], bool], seconds: float) -> Program:
    deadline = time.monotonic() + seconds
    changed = True
    while changed:
        changed = False
        for smaller in candidates(program):
            if time.monotonic() > deadline:
                return program
            if fails(smaller):
                program, changed = smaller, True
                break
    return program


def candidates(program: Program) -> Iterator[Program]:
    """Programs with less in them: whole functions, then runs of steps, then blocks opened."""
    for index, function in enumerate(program.functions):
        if function.name != "main" and (function.body or function.methods):
            smaller = copied(program)
            smaller.functions[index].body.clear()
            for method in smaller.functions[index].methods:
                method.body.clear()
            if smaller.source() != program.source():
                yield smaller
        if function.name != "main" and not mentioned(program, index):
            smaller = copied(program)
            del smaller.functions[index]
            yield smaller
    for index, steps in enumerate(bodies(program)):
        size = len(steps)
        while size:
            for start in range(0, len(steps), size):
                yield without(program, index, start, size)
            size //= 2
    for index, steps in enumerate(bodies(program)):
        for position, step in enumerate(steps):
            if step.is_block and "TaskGroup" not in step.code:
                smaller = copied(program)
                place = list(bodies(smaller))[index]
                place[position : position + 1] = place[position].body
                yield smaller
    if program.debug:
        smaller = copied(program)
        smaller.debug = False
        yield smaller


def without(program: Program, index: int, start: int, size: int) -> Program:
    smaller = copied(program)
    del list(bodies(smaller))[index][start : start + size]
    return smaller


def mentioned(program: Program, index: int) -> bool:
    name = program.functions[index].name
    return any(
        name in "\n".join(function.lines())
        for other, function in enumerate(program.functions)
        if other != index
    )

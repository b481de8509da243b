"""That both fuzzers see what they look for."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from .attributes.campaign import Children
from .programs.campaign import Campaign
from .programs.grammar import Grammar
from .programs.script import Written
from .programs.shrink import shrink
from .programs.tree import bodies

pytestmark = pytest.mark.timeout(600)

HANGS_UP = """\
async def main():
    S.fill()
    S.note("main", type(S.loop).__module__)
    await S.finish()
"""


STEADY = """\
async def f0():
    async with S.lock:
        S.note("f0", await S.queue.get())
    await S.turns(2)


async def main():
    S.fill()
    S.spawn(f0)
    S.note("main", await S.queue.put(1))
    await S.finish()
"""


def test_a_program_that_sees_none_is_not_reported() -> None:
    with Campaign(["loop", "replaced"]) as campaign:
        failure = campaign.check(Written(STEADY, {"has_io": False, "debug": False}))
    assert failure is None, failure.report()
    assert (campaign.runs, campaign.unstable) == (1, 0)


def test_a_program_that_sees_a_difference_is_reported() -> None:
    program = Written(HANGS_UP, {"has_io": False, "debug": False})
    with Campaign(["loop"]) as campaign:
        failure = campaign.check(program)
    assert failure is not None
    assert "-main 'none' 'unix_events'" in failure.report()


def test_a_program_is_the_same_each_time() -> None:
    assert Grammar("7").program().source() == Grammar("7").program().source()
    assert Grammar("7").program().source() != Grammar("8").program().source()


def test_shrinking_leaves_what_fails() -> None:
    program = Grammar("3").program()
    marked = next(step for steps in bodies(program) for step in steps if step.guard).code
    smaller = shrink(program, lambda candidate: marked in candidate.source(), seconds=30)
    assert marked in smaller.source()
    assert sum(map(len, bodies(smaller))) < sum(map(len, bodies(program)))


def test_attributes_take_odd_arguments() -> None:
    failure = Children(sys.executable).run("1", range(100))
    assert failure is None, failure.report()


def test_a_child_that_dies_is_reported(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "thread panicked at" >&2; kill -SEGV $$\n')
    python.chmod(0o755)
    children = Children(str(python))
    failure = children.run("1", range(3))
    assert failure is not None
    assert failure.status == -11
    assert children.smaller(failure).indices == [2]

"""examples/synchronisation"""

from __future__ import annotations

import pytest

from .conftest import Cookbook, LoopName

#: What each program prints, after its heading: the same on every loop.
EXPECTED = {
    "races": """\
look_then_sell     20 of 10 seats sold
sell_under_lock    10 of 10 seats sold
reserve_then_pay   8 of 10 seats sold

100 visitors, read_wait_write: counted 1
100 visitors, in_one_go: counted 100
purse and till together, look: 70
purse and till together, look_under_lock: 100
walking through the set: RuntimeError: Set changed size during iteration
walking through a copy:  told 2
""",
    "locks": """\
in the order of asking: ann, bob, eve
first in the queue: cancelled True; second has it: True
taken twice by one task: nothing happens, for 0.5 s and for ever
two locks, in different order: both wait, each for the other
two locks, in one order: both have eaten
""",
    "semaphores": """\
12 wagons, a semaphore of 3: 3 at once
after one release too many: 4 at once
a bounded one, released too often: ValueError: BoundedSemaphore released too many times
it is as it was: 3 at once
""",
    "events": """\
before the shot: 0 run
after the shot:  3 run: ann, bob, eve
who comes after the shot runs at once
woken by an open door, and found it open: False
laps in the order of being run: [0, 0, 0, 1, 1, 1, 2, 2, 2]
""",
    "pool": """\
12 clerks, 48 right answers to 48 questions
connections: at most 3 at once, 3 in all
ConnectionResetError: the database closed the connection; 2 idle in the pool
answer: STILL THERE?
all 3 are lent: gave up after 0.05 s
given back: AND NOW?; idle meanwhile: 2
60 times half of the clerks cancelled: all 3 can still be lent
called and cancelled: True; then the next was called: True
""",
}


@pytest.mark.parametrize("program", EXPECTED)
def test_program(cookbook: Cookbook, loop: LoopName, program: str) -> None:
    done = cookbook("synchronisation", program, loop=loop)
    assert done.stderr == ""
    first, blank, heading, _, output = done.stdout.split("\n", 4)
    assert first.startswith(f"running on {loop}.")
    assert blank == ""
    assert heading.startswith(f"{program}: ")
    assert output == EXPECTED[program]


def test_all_programs_run_without_arguments(cookbook: Cookbook, loop: LoopName) -> None:
    done = cookbook("synchronisation", loop=loop)
    assert done.stderr == ""
    for output in EXPECTED.values():
        assert output in done.stdout

"""examples/concurrency"""

from __future__ import annotations

import re

from .conftest import Cookbook, LoopName

LOOPS = {"ferrio": "running on ferrio.Loop", "asyncio": "running on asyncio."}


def test_all_programs_run_without_arguments(cookbook: Cookbook, loop: LoopName) -> None:
    done = cookbook("concurrency", loop=loop)
    assert done.stdout.startswith(LOOPS[loop])
    assert done.stderr == ""
    assert re.findall(r"^(\w+): ", done.stdout, re.MULTILINE)[0] == "sequential"
    for program in ("timing", "tasks", "cancelling", "timeouts", "blocking", "debugging"):
        assert f"\n{program}: " in done.stdout


def test_sequential(cookbook: Cookbook, loop: LoopName) -> None:
    output = cookbook("concurrency", "sequential", loop=loop).stdout
    for way in ("one_after_the_other", "awaited_too_early", "gathered", "grouped"):
        assert re.search(rf"^{way} +\d\.\d\d s$", output, re.MULTILINE)
    assert "the answers are the same: Heron Rock: 1.5 m, Old Bess" in output


def test_timing_counts_steps(cookbook: Cookbook, loop: LoopName) -> None:
    """The number of steps follows from the number of waits, whatever the time they take."""
    output = cookbook("concurrency", "timing", loop=loop).stdout
    steps = re.findall(r"^(\w+) .* in (\d) steps$", output, re.MULTILINE)
    assert steps[:4] == [("waiting", "2"), ("working", "1"), ("both", "2"), ("three_waits", "4")]
    assert sorted(steps[4:]) == [("three_waits", "4"), ("waiting", "2"), ("working", "1")]


def test_tasks(cookbook: Cookbook, loop: LoopName) -> None:
    output = cookbook("concurrency", "tasks", loop=loop).stdout
    assert "order of events: before, created, task, after a wait" in output
    assert "gather raises Silence('Old Bess'); the other task is running" in output
    assert "with return_exceptions=True: [Silence('Old Bess'), 'Tern Island: 1.0 m']" in output
    assert "the group raises (Silence('Old Bess'),); the other is cancelled: True" in output
    assert "ends up in the log: ['Task exception was never retrieved']" in output


def test_cancelling(cookbook: Cookbook, loop: LoopName) -> None:
    output = cookbook("concurrency", "cancelling", loop=loop).stdout
    assert output.splitlines()[4:] == [
        "tidy:       puts the radio away",
        "tidy:       cancel() returned True, cancelled() is True, no answer",
        "idle:       cancelled() is True, it had begun: False",
        "stubborn:   asks once more",
        "stubborn:   cancel() returned True, cancelled() is False, Old Bess: 0.5 m",
        "impatient:  cancel() returned True, cancelled() is True, no answer",
        "            the question goes on, and is answered: World's End: 6.0 m",
    ]


def test_timeouts(cookbook: Cookbook, loop: LoopName) -> None:
    output = cookbook("concurrency", "timeouts", loop=loop).stdout
    assert output.splitlines()[4:] == [
        "wait_for, Old Bess: Old Bess: 0.5 m",
        "wait_for, Old Light: no answer in time; the question was cancelled: True",
        "timeout: 1 of 2 answers before the deadline: ['Old Bess: 0.5 m']",
        "reschedule: 4 of 4 reports arrived, expired: False",
        "shield: it takes longer than usual ...",
        "shield: World's End: 6.0 m",
    ]


def test_blocking_stops_the_heart(cookbook: Cookbook, loop: LoopName) -> None:
    output = cookbook("concurrency", "blocking", loop=loop).stdout
    beats = {way: int(number) for way, number in re.findall(r"^(\w+) .* (\d+) beats", output, re.M)}
    assert beats.pop("blocking") == beats.pop("computing") == 0
    assert len(beats) == 5
    assert all(number > 0 for number in beats.values()), beats
    assert "every way of computing gives the same: True" in output


def test_debug_mode_names_the_culprit(cookbook: Cookbook, loop: LoopName) -> None:
    output = cookbook("concurrency", "debugging", loop=loop).stdout
    # Beside it there may be others that the machine has held up.
    assert re.search(
        r"^  Executing <Task finished name='stock' coro=<count_the_stock\(\) done, "
        r"defined at debugging\.py:\d+> .* took \d\.\d+ seconds$",
        output,
        re.MULTILINE,
    )
    assert "with slow_callback_duration = 1.0 there are 0 lines" in output
    assert "coroutine 'count_the_stock' was never awaited\n  it says where: True" in output
    assert "RuntimeError: Non-thread-safe operation" in output


def test_threads(cookbook: Cookbook, loop: LoopName) -> None:
    output = cookbook("concurrency", "threads", loop=loop).stdout
    used = dict(re.findall(r"^(\w+) .* (\d\.\d)$", output, re.MULTILINE))
    assert used.keys() == {"sleep", "count", "hash_small", "hash_large", "compress"}
    # Sleeping is not computing, however many sleep.
    assert float(used["sleep"]) < 0.5

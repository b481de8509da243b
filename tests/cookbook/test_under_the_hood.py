"""examples/under_the_hood"""

from __future__ import annotations

import ast
import io
import re
import tokenize

import pytest

from .conftest import ROOT, Cookbook, LoopName

#: What each program prints, after its heading: the same on every loop.
EXPECTED = {
    "awaitables": """\
by hand: who are you?
by hand: where from, Ada?
by hand: returned 'Ada from Turin'
a bare yield lets others run: before, other, after
an alarm: wake up!
an alarm that was cancelled takes its timer with it
a lazy value, awaited 4 times, computed 1 time: [42, 42, 42, 42]
a coroutine can be awaited once: cannot reuse already awaited coroutine
""",
    "turns": """\
order: nothing has run yet
order: first callback
order: task
order: last callback
order: one turn later
order: callback of the task
order: two turns later
1000 items, with get() only: others had 0 turns
1000 items, with sleep(0): others had 1000 turns
progress as seen from outside: [0, 2500, 5000, 7500, 10000]
""",
    "either": """\
plain function: snow
coroutine function: snow
ValueError('did not like it: snow')
object with an async __call__: snow
coroutine function: snow (by lambda)
plain function: snow
""",
    "contexts": """\
20 of 20 visitors were answered by their name
20 of 20 pages of the ledger have the four steps of one visitor
outside of any request: nobody
call_soon with context, without; run_in_executor, with context.run: \
['Ada', 'nobody', 'nobody', 'Ada']
""",
    "swapping": """\
50 clients with 20 messages each
what this program was started on   1000 right answers, N ms
asyncio with EpollSelector         1000 right answers, N ms
asyncio with PollSelector          1000 right answers, N ms
asyncio with SelectSelector        1000 right answers, N ms
a subclass that counts calls       1000 right answers, N ms, N calls
uvloop                             1000 right answers, N ms
""",
    "tiny_loop": """\
three sleepers of 0.3, 0.1 and 0.2 s woke in the order bca in N s
an echo server and 20 clients: 20 right answers
an exception comes out where the task is awaited: ValueError('on purpose')
a task that waits for itself: deadlock: everybody waits, and nothing is left that could wake
""",
}


def without_figures(output: str) -> str:
    """Without what was measured."""
    return re.sub(r"(?<=, ) *\d+(?= ms| calls)|(?<=bca in )\d\.\d\d", "N", output)


def without_foreign_loops(stderr: str) -> str:
    """Without what `ferrio run` says of the loops that `swapping` names."""
    return re.sub(r"ferrio run: not on ferrio: the program has chosen .*\n", "", stderr)


@pytest.mark.parametrize("program", EXPECTED)
def test_program(cookbook: Cookbook, loop: LoopName, program: str) -> None:
    done = cookbook("under_the_hood", program, loop=loop, options=["--keep-loops"])
    assert without_foreign_loops(done.stderr) == ""
    first, blank, heading, _, output = done.stdout.split("\n", 4)
    assert first.startswith(f"running on {loop}.")
    assert blank == ""
    assert heading.startswith(f"{program}: ")
    assert without_figures(output) == EXPECTED[program]


def test_all_programs_run_without_arguments(cookbook: Cookbook, loop: LoopName) -> None:
    done = cookbook("under_the_hood", loop=loop, options=["--keep-loops"])
    assert without_foreign_loops(done.stderr) == ""
    for output in EXPECTED.values():
        assert output in without_figures(done.stdout)


def test_loops_are_named_that_are_not_ferrios(cookbook: Cookbook) -> None:
    asked, kept = (
        cookbook("under_the_hood", "swapping", options=options).stderr.splitlines()
        for options in ([], ["--keep-loops"])
    )
    assert [line for line in asked if "asks for uvloop" in line]
    assert [line for line in kept if line.endswith(" uvloop.Loop")]
    for lines in asked, kept:
        assert [line for line in lines if line.endswith(" swapping.CountingLoop")]


def test_the_tiny_loop_has_fifty_lines() -> None:
    """Of code below the imports: no blank lines, comments and documentation."""
    source = (ROOT / "examples" / "under_the_hood" / "tiny_loop.py").read_text()
    definitions = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    documentation: set[int] = set()
    for node in definitions:
        if ast.get_docstring(node) is not None:
            documentation.update(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    no_code = {
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENDMARKER,
    }
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in no_code:
            lines.update(range(token.start[0], token.end[0] + 1))
    first = min(part.lineno for node in definitions for part in [node, *node.decorator_list])
    assert len({line for line in lines - documentation if line >= first}) == 50

"""`ferrio run` runs programs on ferrio: whatever makes a loop gets one of ferrio's."""

from __future__ import annotations

from pathlib import Path

import pytest

from .command import Command, ferrio_run, python, python_m_ferrio_run

WAYS_TO_A_LOOP = {
    "asyncio.run": """
async def main():
    print(type(asyncio.get_running_loop()))
asyncio.run(main())
""",
    "Runner": """
with asyncio.Runner() as runner:
    print(type(runner.get_loop()))
""",
    "new_event_loop": """
loop = asyncio.new_event_loop()
print(type(loop))
loop.close()
""",
    "imported name": """
from asyncio import new_event_loop
loop = new_event_loop()
print(type(loop))
loop.close()
""",
    "thread": """
import threading
async def main():
    print(type(asyncio.get_running_loop()))
thread = threading.Thread(target=lambda: asyncio.run(main()))
thread.start()
thread.join()
""",
    "IsolatedAsyncioTestCase": """
import unittest
class Test(unittest.IsolatedAsyncioTestCase):
    async def test(self):
        print(type(asyncio.get_running_loop()))
unittest.main(verbosity=0, exit=False)
""",
}

#: What the programs above are to print, by the value of `--loop`.
LOOP_TYPES = {
    "ferrio": "<class 'ferrio.Loop'>\n",
    "asyncio": "<class 'asyncio.unix_events._UnixSelectorEventLoop'>\n",
    "uvloop": "<class 'uvloop.Loop'>\n",
}


@pytest.mark.parametrize("way", WAYS_TO_A_LOOP)
def test_every_way_leads_to_ferrio(way: str, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("import asyncio\n" + WAYS_TO_A_LOOP[way])
    # DeprecationWarnings as errors: that asyncio deprecates policies is not the program's problem.
    outcome = python_m_ferrio_run("-W", "error").run(["app.py"], cwd=tmp_path)
    assert (outcome.status, outcome.stdout) == (0, LOOP_TYPES["ferrio"]), outcome


@pytest.mark.parametrize("loop", LOOP_TYPES)
def test_loop_option(loop: str, tmp_path: Path) -> None:
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    program = ["-c", "import asyncio\n" + WAYS_TO_A_LOOP["asyncio.run"]]
    assert ferrio_run("--loop", loop).run(program, cwd=tmp_path).stdout == LOOP_TYPES[loop]
    assert ferrio_run(f"--loop={loop}").run(program, cwd=tmp_path).stdout == LOOP_TYPES[loop]


@pytest.mark.parametrize(
    ("options", "module"),
    [
        ([], "ferrio.aio._locks"),
        (["--c-tasks"], "ferrio.aio._locks"),
        (["--loop-only"], "asyncio.locks"),
        (["--loop", "asyncio"], "asyncio.locks"),
    ],
)
def test_asyncios_classes_are_ferrios(options: list[str], module: str, tmp_path: Path) -> None:
    program = ["-c", "from asyncio import Event; print(Event.__module__)"]
    outcome = ferrio_run(*options).run(program, cwd=tmp_path)
    assert (outcome.status, outcome.stdout) == (0, f"{module}\n"), outcome


def test_unknown_loop(tmp_path: Path) -> None:
    outcome = ferrio_run("--loop", "nonsense").run(["-c", "print(1)"], cwd=tmp_path)
    assert (outcome.status, outcome.stdout) == (2, "")
    assert "there is no --loop 'nonsense'; there are: ferrio, asyncio, uvloop" in outcome.stderr


def test_loop_that_is_not_installed(tmp_path: Path) -> None:
    (tmp_path / "uvloop.py").write_text("raise ImportError")
    form = python_m_ferrio_run()
    form.environment["PYTHONPATH"] = str(tmp_path)
    outcome = form.run(["-c", "print(1)"], cwd=tmp_path)
    assert outcome.stdout == "1\n"
    form = Command([*form.words, "--loop", "uvloop"], form.environment)
    outcome = form.run(["-c", "print(1)"], cwd=tmp_path)
    assert (outcome.status, outcome.stdout) == (1, "")
    assert "uvloop is not installed" in outcome.stderr


DEBUG = """
import asyncio
async def main():
    print(asyncio.get_running_loop().get_debug())
asyncio.run(main())
asyncio.run(main(), debug=False)
"""


def test_debug_option(tmp_path: Path) -> None:
    assert ferrio_run().run(["-c", DEBUG], cwd=tmp_path).stdout == "False\nFalse\n"
    assert ferrio_run("--debug").run(["-c", DEBUG], cwd=tmp_path).stdout == "True\nFalse\n"
    dev = python_m_ferrio_run("-X", "dev")
    assert dev.run(["-c", DEBUG], cwd=tmp_path).stdout == "True\nFalse\n"


def test_a_program_may_choose_for_itself(tmp_path: Path) -> None:
    program = """
import asyncio, ferrio
def loop():
    loop = asyncio.new_event_loop()
    loop.close()
    return type(loop).__module__.partition(".")[0]
print(loop())
ferrio.install()
print(loop())
ferrio.uninstall()
print(loop())
"""
    outcome = ferrio_run().run(["-c", program], cwd=tmp_path)
    assert outcome.stdout == "ferrio\nferrio\nasyncio\n", outcome


def test_the_repl_of_asyncio(tmp_path: Path) -> None:
    program = "print(type(asyncio.get_running_loop()))\nawait asyncio.sleep(0, 'slept')\n"
    outcome = ferrio_run().run(["-m", "asyncio"], cwd=tmp_path, stdin=program)
    assert "<class 'ferrio.Loop'>" in outcome.stdout + outcome.stderr, outcome
    assert "'slept'" in outcome.stdout + outcome.stderr


def test_running_a_program_imports_little(tmp_path: Path) -> None:
    program = ["-c", "import sys, asyncio, runpy; print(*sorted(sys.modules))"]
    more = set(ferrio_run().run(program, cwd=tmp_path).stdout.split()) - set(
        python().run(program, cwd=tmp_path).stdout.split()
    )
    assert not more & {"rich", "matplotlib", "json", "importlib.metadata", "platform", "uvloop"}
    assert not any(name.startswith(("ferrio._bench", "ferrio._info")) for name in more)

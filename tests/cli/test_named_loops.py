"""Programs under `ferrio run` that name a loop: who asks for uvloop gets ferrio."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from .command import Command, ferrio_run

MAIN = """
import asyncio, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)
async def main():
    loop = asyncio.get_running_loop()
    print(type(loop).__module__.partition(".")[0])
    await asyncio.sleep(0)
"""

SAID = "ferrio run: the program asks for uvloop and gets ferrio (--keep-loops gives it uvloop)\n"

WAYS_TO_UVLOOP = {
    "install": "import uvloop\nuvloop.install()\nasyncio.run(main())",
    "install, imported": "from uvloop import install\ninstall()\nasyncio.run(main())",
    "policy": "import uvloop\nasyncio.set_event_loop_policy(uvloop.EventLoopPolicy())\n"
    "asyncio.run(main())",
    "run": "import uvloop\nuvloop.run(main())",
    "Runner": "import uvloop\n"
    "with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:\n"
    "    runner.run(main())",
    "new_event_loop": "import uvloop\nloop = uvloop.new_event_loop()\n"
    "loop.run_until_complete(main())\nloop.close()",
    "Loop": "import uvloop\nloop = uvloop.Loop()\nloop.run_until_complete(main())\nloop.close()",
    "Loop, from where it is": "from uvloop.loop import Loop\nloop = Loop()\n"
    "loop.run_until_complete(main())\nloop.close()",
    "factory": "import uvloop\n"
    "with asyncio.Runner(loop_factory=uvloop.Loop) as runner:\n"
    "    runner.run(main())",
    "if there is any": "import importlib.util\n"
    "if importlib.util.find_spec('uvloop'):\n"
    "    import uvloop\n"
    "    uvloop.run(main())",
    "in a thread": "import uvloop, threading\n"
    "thread = threading.Thread(target=lambda: uvloop.run(main()))\n"
    "thread.start()\nthread.join()",
    "twice": "import uvloop\nuvloop.install()\nuvloop.run(asyncio.sleep(0))\nasyncio.run(main())",
}


@pytest.fixture(autouse=True)
def has_uvloop() -> None:
    pytest.importorskip("uvloop")


def run(form: Command, source: str, cwd: Path) -> tuple[int, str, str]:
    (cwd / "app.py").write_text(source)
    outcome = form.run(["app.py"], cwd=cwd)
    return outcome.status, outcome.stdout, outcome.stderr


@pytest.mark.parametrize("way", WAYS_TO_UVLOOP)
def test_who_asks_for_uvloop_gets_ferrio(way: str, tmp_path: Path) -> None:
    program = MAIN + WAYS_TO_UVLOOP[way]
    assert run(ferrio_run(), program, tmp_path) == (0, "ferrio\n", SAID)


@pytest.mark.parametrize("way", ["install", "run", "Loop", "if there is any"])
def test_keep_loops(way: str, tmp_path: Path) -> None:
    status, stdout, stderr = run(ferrio_run("--keep-loops"), MAIN + WAYS_TO_UVLOOP[way], tmp_path)
    assert (status, stdout) == (0, "uvloop\n")
    assert stderr == (
        "ferrio run: not on ferrio: the program has chosen a loop of its own, uvloop.Loop\n"
    )


@pytest.mark.parametrize("loop", ["asyncio", "uvloop", "rloop", "aiofastnet"])
@pytest.mark.parametrize("way", ["run", "Loop", "asyncio.run"])
def test_a_loop_to_compare_with_is_the_users_choice(loop: str, way: str, tmp_path: Path) -> None:
    pytest.importorskip(loop)
    # aiofastnet makes transports for the loop of uvloop.
    kind = {"aiofastnet": "uvloop"}.get(loop, loop)
    program = MAIN + WAYS_TO_UVLOOP.get(way, "asyncio.run(main())")
    status, stdout, stderr = run(ferrio_run("--loop", loop), program, tmp_path)
    assert (status, stdout) == (0, f"{kind}\n")
    is_told = way != "asyncio.run" and kind != "uvloop"
    assert stderr == (SAID.replace("gets ferrio", f"gets {loop}") if is_told else "")


def test_a_loop_that_is_not_there(tmp_path: Path) -> None:
    # An import that fails stands for one that is not installed.
    (tmp_path / "zuvloop.py").write_text("raise ImportError('none')")
    words = ferrio_run("--loop", "zuvloop").words
    outcome = Command(words, {"PYTHONPATH": str(tmp_path)}).run(["-c", "print(1)"], cwd=tmp_path)
    assert (outcome.status, outcome.stdout) == (1, "")
    assert outcome.stderr == "ferrio run: zuvloop is not installed (pip install zuvloop)\n"


def test_a_program_that_only_looks_hears_nothing(tmp_path: Path) -> None:
    program = """
import importlib.util, uvloop
print(importlib.util.find_spec("uvloop").name, uvloop.__version__ > "0", uvloop.__spec__.loader)
async def look():
    loop = asyncio.get_running_loop()
    return isinstance(loop, uvloop.Loop), issubclass(type(loop), uvloop.Loop)
print(asyncio.run(look()))
asyncio.run(main())
"""
    status, stdout, stderr = run(ferrio_run(), MAIN + program, tmp_path)
    assert (status, stderr) == (0, "")
    assert stdout.startswith("uvloop True <_frozen_importlib_external.SourceFileLoader object")
    # To a program that asks, it is the loop that it has asked for.
    assert stdout.endswith("\n(True, True)\nferrio\n")


def test_what_uvloop_offers_looks_as_ever(tmp_path: Path) -> None:
    program = (
        MAIN
        + """
import inspect, uvloop
print(uvloop.Loop, uvloop.new_event_loop.__name__, uvloop.new_event_loop.__doc__)
print(inspect.signature(uvloop.new_event_loop).parameters, sorted(uvloop.__all__))
class Mine(uvloop.Loop):
    def __init__(self, answer):
        super().__init__()
        self.answer = answer
loop = Mine(42)
print(loop.answer, isinstance(loop, Mine), isinstance(loop, uvloop.Loop), issubclass(int, Mine))
loop.close()
other = asyncio.new_event_loop()
print(isinstance(other, Mine), isinstance(other, uvloop.Loop), isinstance(3, uvloop.Loop))
other.close()
"""
    )
    status, stdout, stderr = run(ferrio_run(), program, tmp_path)
    assert (status, stderr) == (0, "")
    assert run(ferrio_run("--keep-loops"), program, tmp_path)[1] == stdout.replace(
        "False True False", "False False False"
    )


def test_in_children(tmp_path: Path) -> None:
    child = MAIN + WAYS_TO_UVLOOP["run"]
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    assert run(ferrio_run(), program, tmp_path) == (0, "ferrio\n", SAID)
    assert run(ferrio_run("--keep-loops"), program, tmp_path)[1] == "uvloop\n"
    assert run(ferrio_run("--no-children"), program, tmp_path) == (0, "uvloop\n", "")


OTHER_LOOPS = {
    "asyncio.unix_events._UnixSelectorEventLoop": """
with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
    runner.run(main())
    runner.run(main())
asyncio.SelectorEventLoop().run_until_complete(main())
""",
    "__main__.Mine": """
class Mine(asyncio.SelectorEventLoop):
    pass
for _ in range(3):
    loop = Mine()
    loop.run_until_complete(main())
    loop.close()
""",
}


@pytest.mark.parametrize("name", OTHER_LOOPS)
def test_any_other_loop_is_named_once(name: str, tmp_path: Path) -> None:
    status, stdout, stderr = run(ferrio_run(), MAIN + OTHER_LOOPS[name], tmp_path)
    assert (status, set(stdout.split())) == (0, {name.partition(".")[0]})
    lines = [line for line in stderr.splitlines() if line.startswith("ferrio run:")]
    assert lines == [f"ferrio run: not on ferrio: the program has chosen a loop of its own, {name}"]


def test_a_policy_of_the_programs_own(tmp_path: Path) -> None:
    program = "asyncio.set_event_loop_policy(None)\nasyncio.run(main())"
    status, stdout, stderr = run(ferrio_run(), MAIN + program, tmp_path)
    assert (status, stdout) == (0, "asyncio\n")
    assert "not on ferrio" in stderr


def test_a_program_that_takes_ferrio_away_knows(tmp_path: Path) -> None:
    program = "import ferrio\nferrio.uninstall()\nasyncio.run(main())"
    assert run(ferrio_run(), MAIN + program, tmp_path) == (0, "asyncio\n", "")


def test_a_subclass_of_ferrios_loop_is_ferrio(tmp_path: Path) -> None:
    program = """
import ferrio
class Mine(ferrio.Loop):
    pass
with asyncio.Runner(loop_factory=Mine) as runner:
    runner.run(main())
"""
    assert run(ferrio_run(), MAIN + program, tmp_path) == (0, "__main__\n", "")


@pytest.mark.parametrize("stderr", ["None", "open('/dev/full', 'w')", "closed"])
def test_where_nobody_can_be_told(stderr: str, tmp_path: Path) -> None:
    silence = (
        "sys.__stderr__.close()\nsys.stderr = None\n"
        if stderr == "closed"
        else f"sys.__stderr__ = {stderr}\n"
    )
    program = MAIN + silence + WAYS_TO_UVLOOP["run"]
    assert run(ferrio_run(), program, tmp_path)[:2] == (0, "ferrio\n")


@pytest.mark.skipif(sys.platform == "win32", reason="uvloop is not for Windows")
def test_sigterm_is_gentle_on_what_was_asked_for(tmp_path: Path) -> None:
    program = (
        MAIN
        + """
import os, signal, uvloop
async def wait():
    os.kill(os.getpid(), signal.SIGTERM)
    try:
        await asyncio.sleep(1000)
    finally:
        print("released", flush=True)
uvloop.run(wait())
"""
    )
    assert run(ferrio_run(), program, tmp_path) == (-15, "released\n", SAID)


@pytest.mark.parametrize("has_it", [True, False])
def test_uvicorns_own_choice(has_it: bool, tmp_path: Path) -> None:
    pytest.importorskip("uvicorn")
    hide = "" if has_it else "sys.modules['uvloop'] = None\n"
    program = (
        MAIN
        + hide
        + """
import uvicorn
async def app(scope, receive, send): ...
for name in ("auto", "none", "uvloop" if "uvloop" not in sys.modules else "auto"):
    factory = uvicorn.Config(app, loop=name).get_loop_factory()
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())
"""
    )
    status, stdout, stderr = run(ferrio_run(), program, tmp_path)
    assert (status, stdout) == (0, "ferrio\n" * 3)
    assert stderr == (SAID if has_it else "")

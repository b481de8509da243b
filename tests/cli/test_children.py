"""Processes that a program under `ferrio run` starts run on what it runs on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import ferrio
import pytest

from .command import FERRIO, PATIENCE, Command, clean_environment, ferrio_run, python

LOOP_TYPE = """
import asyncio, sys
async def loop_type():
    return f"{type(asyncio.get_running_loop()).__module__} {asyncio.Lock.__module__}"
"""

ON_FERRIO = "ferrio ferrio.aio._locks"
ON_ASYNCIO = "asyncio.unix_events asyncio.locks"

SUBPROCESS = f"""
import subprocess, sys
child = {LOOP_TYPE + "print(asyncio.run(loop_type()))"!r}
sys.exit(subprocess.run([sys.executable, *sys.argv[1:], "-c", child]).returncode)
"""

MULTIPROCESSING = (
    LOOP_TYPE
    + """
import multiprocessing
def work(queue):
    queue.put(asyncio.run(loop_type()))
if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    queue = context.Queue()
    process = context.Process(target=work, args=(queue,))
    process.start()
    print(queue.get(timeout=50))
    process.join()
    sys.exit(process.exitcode)
"""
)

POOL = (
    LOOP_TYPE
    + """
import concurrent.futures, multiprocessing
def work():
    return asyncio.run(loop_type())
if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        print(pool.submit(work).result(timeout=50))
"""
)


def output(form: Command, source: str, cwd: Path, *arguments: str) -> str:
    """What the program `source` has printed; it must have ended well."""
    (cwd / "app.py").write_text(source)
    outcome = form.run(["app.py", *arguments], cwd=cwd)
    assert (outcome.status, outcome.stderr) == (0, ""), outcome
    return outcome.stdout.strip()


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(method: str, tmp_path: Path) -> None:
    assert output(ferrio_run(), MULTIPROCESSING, tmp_path, method) == ON_FERRIO


def test_process_pool(tmp_path: Path) -> None:
    assert output(ferrio_run(), POOL, tmp_path) == ON_FERRIO


@pytest.mark.parametrize(
    "options", [[], ["-I"], ["-E"], ["-P"], ["-X", "dev"], ["-s"], ["-O"], ["-Werror"]]
)
def test_subprocess_of_the_same_interpreter(options: list[str], tmp_path: Path) -> None:
    assert output(ferrio_run(), SUBPROCESS, tmp_path, *options) == ON_FERRIO


def test_child_without_site_packages(tmp_path: Path) -> None:
    """It could not import ferrio either."""
    assert output(ferrio_run(), SUBPROCESS, tmp_path, "-S") == ON_ASYNCIO


def test_child_of_a_child(tmp_path: Path) -> None:
    program = f"""
import subprocess, sys
sys.exit(subprocess.run([sys.executable, "-c", {SUBPROCESS!r}]).returncode)
"""
    assert output(ferrio_run(), program, tmp_path) == ON_FERRIO


def test_child_by_way_of_a_shell(tmp_path: Path) -> None:
    (tmp_path / "child.py").write_text(LOOP_TYPE + "print(asyncio.run(loop_type()))")
    program = "import os, sys; sys.exit(os.system(f'{sys.executable} child.py'))"
    assert output(ferrio_run(), program, tmp_path) == ON_FERRIO


def test_child_in_place_of_the_program(tmp_path: Path) -> None:
    (tmp_path / "child.py").write_text(LOOP_TYPE + "print(asyncio.run(loop_type()))")
    program = "import os, sys; os.execv(sys.executable, [sys.executable, 'child.py'])"
    assert output(ferrio_run(), program, tmp_path) == ON_FERRIO


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--no-children"], ON_ASYNCIO),
        (["--loop", "asyncio"], ON_ASYNCIO),
        (["--loop-only"], "ferrio asyncio.locks"),
        (["--c-tasks"], ON_FERRIO),
    ],
)
def test_children_share_the_options(options: list[str], expected: str, tmp_path: Path) -> None:
    assert output(ferrio_run(*options), SUBPROCESS, tmp_path) == expected


def test_children_share_c_tasks_and_debug_mode(tmp_path: Path) -> None:
    child = """
import asyncio
async def main():
    print(type(asyncio.current_task()).__module__, asyncio.get_running_loop().get_debug())
asyncio.run(main())
"""
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    assert output(ferrio_run("--c-tasks"), program, tmp_path) == "_asyncio False"
    assert output(ferrio_run("--debug"), program, tmp_path) == "ferrio True"


def test_a_run_in_a_run_has_options_of_its_own(tmp_path: Path) -> None:
    def nested(outer: list[str], inner: list[str]) -> str:
        program = f"""
import subprocess, sys
words = [{FERRIO!r}, "run", *{inner!r}, "-c", {SUBPROCESS!r}]
sys.exit(subprocess.run(words).returncode)
"""
        return output(ferrio_run(*outer), program, tmp_path)

    assert nested([], []) == ON_FERRIO
    assert nested(["--loop-only"], []) == ON_FERRIO
    assert nested(["--loop", "asyncio"], ["--loop-only"]) == "ferrio asyncio.locks"
    assert nested([], ["--loop", "asyncio"]) == ON_ASYNCIO
    assert nested([], ["--no-children"]) == ON_ASYNCIO


def test_an_environment_of_the_childs_own(tmp_path: Path) -> None:
    """Who gives a child no environment means it."""
    program = SUBPROCESS.replace("child]", "child], env={}")
    assert output(ferrio_run(), program, tmp_path) == ON_ASYNCIO


#: What a child can see of the way in which it was started.
SURROUNDINGS = """
import os, sys
print(sys.path, sys.argv, sys.orig_argv, sys.flags, sys.warnoptions, sys._xoptions)
print([type(finder) for finder in sys.path_hooks], sorted(os.environ.keys() - {"FERRIO_RUN"}))
print(__name__, sorted(globals()), __spec__)
print(sorted(set(sys.modules) - {"_ferrio_start"}))
print([name for name in sys.modules if name.startswith("ferrio")])
try:
    import sitecustomize
    print(sitecustomize.__file__)
except ImportError:
    print("no sitecustomize")
"""


@pytest.mark.parametrize("customized", [False, True])
def test_child_that_never_imports_asyncio_sees_no_difference(
    customized: bool, tmp_path: Path
) -> None:
    environment = {}
    if customized:
        (tmp_path / "sitecustomize.py").write_text("print('customized')")
        environment["PYTHONPATH"] = str(tmp_path)
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {SURROUNDINGS!r}])"
    expected = output(Command(python().words, environment), program, tmp_path)
    assert "sitecustomize.py" in expected or not customized
    assert output(Command(ferrio_run().words, environment), program, tmp_path) == expected


def test_asyncio_looks_as_ever(tmp_path: Path) -> None:
    child = """
import asyncio, asyncio.events, importlib.machinery, inspect, sys
print(asyncio.__spec__, asyncio.__loader__ is asyncio.__spec__.loader, asyncio.__file__)
print(type(asyncio.__loader__), inspect.getsource(asyncio)[:40], asyncio.__path__)
print(sys.modules["asyncio"] is asyncio, asyncio.events.__spec__)
"""
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    assert output(ferrio_run(), program, tmp_path) == output(python(), program, tmp_path)


@pytest.mark.parametrize(
    "imports",
    [
        "import asyncio.events",
        "from asyncio import Lock",
        "import importlib; importlib.import_module('asyncio')",
        "import concurrent.futures, unittest.async_case",
        "import threading; t = threading.Thread(target=lambda: __import__('asyncio')); "
        "t.start(); t.join()",
        "import uvloop",
    ],
)
def test_however_asyncio_comes_in(imports: str, tmp_path: Path) -> None:
    if "uvloop" in imports:
        pytest.importorskip("uvloop")
    child = f"{imports}\n{LOOP_TYPE}print(asyncio.run(loop_type()))"
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    assert output(ferrio_run(), program, tmp_path) == ON_FERRIO


@pytest.mark.parametrize("before", ["asyncio", "uvloop", "asyncio, uvloop"])
def test_who_was_there_before(before: str, tmp_path: Path) -> None:
    """Another file of site-packages, or a debugger, may import asyncio before ours is read."""
    if "uvloop" in before:
        pytest.importorskip("uvloop")
    program = f"""
import {before}, _ferrio_start
_ferrio_start.begin()
{LOOP_TYPE}
print(asyncio.run(loop_type()))
"""
    if "uvloop" in before:
        program += "print(uvloop.run(loop_type()))"
    child = Command(python("-S").words, {"FERRIO_RUN": "ferrio"})
    child.environment["PYTHONPATH"] = str(Path(ferrio.__file__).parents[1])
    outcome = child.run(["-c", program], cwd=tmp_path)
    assert set(outcome.stdout.splitlines()) == {ON_FERRIO}, outcome


def test_child_in_which_ferrio_does_not_work(tmp_path: Path) -> None:
    """It is not the child's fault, who has not asked for ferrio."""
    (tmp_path / "folder" / "ferrio").mkdir(parents=True)
    (tmp_path / "folder" / "ferrio" / "__init__.py").write_text("1 / 0")
    program = f"""
import os
os.environ["PYTHONPATH"] = {str(tmp_path / "folder")!r}
{SUBPROCESS}"""
    assert output(ferrio_run(), program, tmp_path) == ON_ASYNCIO


def test_options_of_a_later_version(tmp_path: Path) -> None:
    program = f"""
import os
os.environ["FERRIO_RUN"] += " an_option_of_the_future"
{SUBPROCESS}"""
    assert output(ferrio_run(), program, tmp_path) == ON_FERRIO


def test_another_interpreter(tmp_path: Path) -> None:
    """An environment without ferrio knows nothing of all this."""
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"],
        env=clean_environment(),
        timeout=PATIENCE,
        check=True,
    )
    program = SUBPROCESS.replace("sys.executable", repr(str(tmp_path / "venv" / "bin" / "python")))
    assert output(ferrio_run(), program, tmp_path) == ON_ASYNCIO


def test_sigterm_ends_a_child_as_always(tmp_path: Path) -> None:
    """`Process.terminate()` is not a wish to be told of a KeyboardInterrupt."""
    program = """
import asyncio, multiprocessing, sys
async def main(queue):
    queue.put("ready")
    await asyncio.sleep(1000)
def work(queue):
    asyncio.run(main(queue))
if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=work, args=(queue,))
    process.start()
    print(queue.get(timeout=50))
    process.terminate()
    process.join()
    print(process.exitcode)
"""
    assert output(ferrio_run(), program, tmp_path) == output(python(), program, tmp_path)
    assert output(ferrio_run(), program, tmp_path) == "ready\n-15"


@pytest.mark.parametrize("customized", [False, True])
def test_ferrio_that_is_not_in_site_packages(customized: bool, tmp_path: Path) -> None:
    """`pip install --target`, or a clone: PYTHONPATH leads to it."""
    target = tmp_path / "target"
    target.mkdir()
    installed = Path(ferrio.__file__).parents[1]
    for name in ("ferrio", "_ferrio_start.py"):
        (target / name).symlink_to(installed / name)
    own = tmp_path / "own"
    own.mkdir()
    if customized:
        (own / "sitecustomize.py").write_text("print('customized')")
    venv = tmp_path / "venv"
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", venv],
        env=clean_environment(),
        timeout=PATIENCE,
        check=True,
    )
    environment = {"PYTHONPATH": f"{target}:{own}"}
    bare = Command([str(venv / "bin" / "python")], environment)
    form = Command([*bare.words, "-m", "ferrio", "run"], environment)
    lines = output(form, SUBPROCESS, tmp_path).splitlines()
    assert sorted(lines) == ["customized"] * (2 * customized) + [ON_FERRIO]
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {PATHS!r}])"
    assert output(form, program, tmp_path) == output(bare, program, tmp_path)


PATHS = "import sys; print(sys.path, sys.argv, getattr(sys.modules.get('sitecustomize'), 'x', 1))"


@pytest.mark.skipif(sys.version_info < (3, 14), reason="interpreters in pools came with 3.14")
def test_subinterpreter(tmp_path: Path) -> None:
    program = f"""
import concurrent.futures
def work():
    scope = {{}}
    exec({LOOP_TYPE!r}, scope)
    return scope["asyncio"].run(scope["loop_type"]())
with concurrent.futures.InterpreterPoolExecutor(1) as pool:
    print(pool.submit(work).result(timeout=50))
"""
    assert output(ferrio_run(), program, tmp_path) in (ON_FERRIO, ON_ASYNCIO)

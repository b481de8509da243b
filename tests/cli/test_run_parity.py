"""`ferrio run` is `python`: same output, same traceback to the byte, same exit status."""

from __future__ import annotations

import compileall
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from .command import Command, ferrio_run, python, python_m_ferrio_run

#: All ways to say it. What does not depend on the way is tested with the first alone.
FORMS = [
    pytest.param(ferrio_run(), id="ferrio-run"),
    pytest.param(python_m_ferrio_run(), id="python-m"),
    pytest.param(ferrio_run("--loop", "asyncio"), id="loop-asyncio"),
]


def same(
    form: Command, program: Sequence[str], cwd: Path, *, stdin: str = "", status: int | None = None
) -> None:
    """Asserts that both ways to run `program` are one, and that it ended as it was meant to."""
    expected = python().run(program, cwd=cwd, stdin=stdin)
    if status is not None:
        assert expected.status == status, expected
    assert form.run(program, cwd=cwd, stdin=stdin) == expected


WORLD = """\
import __main__, builtins, inspect, sys
print(sys.argv)
print(sorted(globals()))
print({name: globals().get(name) for name in ("__name__", "__file__", "__doc__", "__package__")})
print(type(__loader__), __loader__ if isinstance(__loader__, type) else vars(__loader__))
print(getattr(__spec__, "name", None), getattr(__spec__, "origin", None))
print(__builtins__ is builtins, __main__.__dict__ is globals(), sys.modules["__main__"] is __main__)
print(sys.path)
def function(): pass
class Class: pass
print(function.__module__, Class.__module__, Class)
if globals().get("__file__", "<").startswith("/") and not __file__.endswith(".pyc"):
    print(inspect.getsource(function))
"""


@pytest.mark.parametrize("form", FORMS)
class TestWorld:
    """What the program finds when it starts."""

    @pytest.mark.parametrize("path", ["app.py", "./app.py", "folder/../app.py", "folder//inner.py"])
    def test_file(self, form: Command, path: str, tmp_path: Path) -> None:
        (tmp_path / "folder").mkdir()
        (tmp_path / "app.py").write_text(WORLD)
        (tmp_path / "folder" / "inner.py").write_text(WORLD)
        same(form, [path, "a", "--flag", "-m", "--", "--loop", ""], tmp_path, status=0)

    def test_absolute_path(self, form: Command, tmp_path: Path) -> None:
        (tmp_path / "app.py").write_text(WORLD)
        same(form, [str(tmp_path / "app.py")], Path("/"), status=0)

    def test_imports_come_from_where_a_link_points_to(self, form: Command, tmp_path: Path) -> None:
        (tmp_path / "real").mkdir()
        (tmp_path / "real" / "app.py").write_text("import neighbour\n" + WORLD)
        (tmp_path / "real" / "neighbour.py").write_text("print(__name__)")
        (tmp_path / "link.py").symlink_to("real/app.py")
        same(form, ["link.py"], tmp_path, status=0)

    def test_byte_code(self, form: Command, tmp_path: Path) -> None:
        (tmp_path / "app.py").write_text(WORLD)
        compileall.compile_file(tmp_path / "app.py", legacy=True, quiet=1)
        same(form, ["app.pyc", "x"], tmp_path, status=0)

    def test_byte_code_that_is_none(self, form: Command, tmp_path: Path) -> None:
        (tmp_path / "app.pyc").write_bytes(b"nonsense, and long enough for a header")
        expected = python().run(["app.pyc"], cwd=tmp_path)
        outcome = form.run(["app.pyc"], cwd=tmp_path)
        # The interpreter and importlib word it differently.
        assert (outcome.status, outcome.stdout) == (expected.status, expected.stdout)
        assert "bad magic number" in outcome.stderr.lower()

    def test_module(self, form: Command, tmp_path: Path) -> None:
        (tmp_path / "app.py").write_text(WORLD)
        same(form, ["-m", "app", "-x", "--", "y"], tmp_path, status=0)

    def test_package_with_main(self, form: Command, tmp_path: Path) -> None:
        (tmp_path / "package").mkdir()
        (tmp_path / "package" / "__init__.py").write_text("print(__name__, __import__('sys').argv)")
        (tmp_path / "package" / "__main__.py").write_text("from . import __path__\n" + WORLD)
        same(form, ["-m", "package", "x"], tmp_path, status=0)

    def test_folder(self, form: Command, tmp_path: Path) -> None:
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder" / "__main__.py").write_text("import neighbour\n" + WORLD)
        (tmp_path / "folder" / "neighbour.py").write_text("print(__name__)")
        same(form, ["folder", "x"], tmp_path, status=0)

    def test_archive(self, form: Command, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "app.pyz", "w") as archive:
            # Without `inspect.getsource`, whose error names the archive's reader.
            archive.writestr("__main__.py", "import neighbour\n" + WORLD.partition("if global")[0])
            archive.writestr("neighbour.py", "print(__name__)")
        same(form, ["app.pyz", "x"], tmp_path, status=0)

    def test_command(self, form: Command, tmp_path: Path) -> None:
        same(form, ["-c", WORLD, "x", "--loop"], tmp_path, status=0)

    @pytest.mark.skipif(sys.version_info < (3, 14), reason="a SyntaxError in both before 3.14")
    def test_indented_command(self, form: Command, tmp_path: Path) -> None:
        same(form, ["-c", "\n  import sys\n  print(sys.argv)\n"], tmp_path, status=0)

    def test_standard_input(self, form: Command, tmp_path: Path) -> None:
        same(form, ["-", "x"], tmp_path, stdin=WORLD, status=0)


ENDINGS = {
    "normal": "print('done')",
    "exit 0": "import sys; sys.exit(0)",
    "exit 3": "import sys; sys.exit(3)",
    "exit 256": "import sys; sys.exit(256)",
    "exit text": "import sys; sys.exit('no such thing: ü')",
    "exit object": "import sys; sys.exit([1, 'two'])",
    "exit none": "raise SystemExit",
    "exit true": "raise SystemExit(True)",
    "exit in a function": "import sys\ndef f(): sys.exit(4)\nf()",
    "os._exit": "import os; os._exit(5)",
    "abort by signal": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "exception": "def f(x):\n    return 1 / x\n\nf(0)\n",
    "own exception": "class Own(Exception):\n    def __str__(self): return 'text'\nraise Own",
    "notes": "e = ValueError('x')\ne.add_note('first')\ne.add_note('second')\nraise e",
    "cause": "try:\n    {}['a']\nexcept KeyError as e:\n    raise OSError(2, 'gone') from e",
    "context": "try:\n    {}['a']\nexcept KeyError:\n    int('x')",
    "group": (
        "def f(): raise ExceptionGroup('both', [ValueError(1), TypeError(2)])\n"
        "try:\n    f()\nexcept* TypeError as g:\n    raise RuntimeError('again') from g\n"
    ),
    "base exception": "class Own(BaseException): pass\nraise Own(1)",
    "generator exit": "raise GeneratorExit",
    "recursion": "def f(): f()\nf()",
    "syntax error": "print('not reached')\nx = (1,\ny = 2\n",
    "indentation error": "if True:\nprint(1)\n",
    "tab error": "if True:\n        x = 1\n\ty = 2\n",
    "empty": "",
    "no newline at the end": "print(1)\n# comment",
    "syntax error in an import": "import broken",
    "encoding declared": "# -*- coding: latin-1 -*-\nprint(len('\\xe4'))",
    "keyboard interrupt": "def f(): raise KeyboardInterrupt\nf()",
    "keyboard interrupt with text": "raise KeyboardInterrupt('enough')",
    "own keyboard interrupt": "class Own(KeyboardInterrupt): pass\nraise Own",
    "interrupt in a group": "raise BaseExceptionGroup('g', [KeyboardInterrupt()])",
    "excepthook": (
        "import sys, traceback\n"
        "def hook(kind, value, tb):\n"
        "    print(kind, value, traceback.extract_tb(tb), sys.last_value is value)\n"
        "    print(value.__traceback__ is tb, value.__context__, sys.exc_info())\n"
        "sys.excepthook = hook\n"
        "1 / 0"
    ),
    "failing excepthook": (
        "import sys\ndef hook(*_): raise RuntimeError('hook')\nsys.excepthook = hook\n1 / 0"
    ),
    "excepthook that exits": (
        "import sys\ndef hook(*_): sys.exit(7)\nsys.excepthook = hook\n1 / 0"
    ),
    "no excepthook": "import sys\ndel sys.excepthook\n1 / 0",
    "no stderr": "import sys\nsys.stderr = None\n1 / 0",
    "exit handlers": (
        "import atexit\n"
        "@atexit.register\ndef bye():\n    import sys\n    print('bye', sys.last_type)\n"
        "1 / 0"
    ),
    "interrupt, then exit handlers": (
        "import atexit\natexit.register(print, 'bye', end='')\nraise KeyboardInterrupt"
    ),
    "failing exit handler": "import atexit\natexit.register(lambda: 1 / 0)",
    "thread outlives main": (
        "import threading, time\n"
        "def f():\n    threading.main_thread().join()\n    print('t')\n    raise OSError('t')\n"
        "threading.Thread(target=f, name='other').start()\n"
        "1 / 0"
    ),
    "finalizer at the end": (
        "class C:\n    def __del__(self): print('deleted')\nc = C()\nraise KeyboardInterrupt"
    ),
    "unraisable": "class C:\n    def __del__(self): 1 / 0\nc = C()\ndel c\n",
    "warning": "import warnings\nwarnings.warn('careful')\nwarnings.warn('x', DeprecationWarning)",
    "closed stdout": "import sys\nprint('x')\nsys.stdout.close()",
    "main replaced": "import sys, types\nsys.modules['__main__'] = types.ModuleType('x')\n1 / 0",
    "future stays out": "def f(x: int): pass\nprint(f.__annotations__)",
    "asyncio": (
        "import asyncio\nasync def main():\n    await asyncio.sleep(0)\n    return 'result'\n"
        "print(asyncio.run(main()))"
    ),
    "exit from a coroutine": (
        "import asyncio, sys\nasync def main():\n    await asyncio.sleep(0)\n    sys.exit(9)\n"
        "asyncio.run(main())"
    ),
}


@pytest.mark.parametrize("form", FORMS[:1])
class TestEnding:
    """How the program ends, and what is seen of it."""

    @pytest.mark.parametrize("ending", ENDINGS)
    def test_of_a_file(self, form: Command, ending: str, tmp_path: Path) -> None:
        (tmp_path / "broken.py").write_text("def f(:\n    pass\n")
        (tmp_path / "app.py").write_text(ENDINGS[ending])
        same(form, ["app.py"], tmp_path)

    @pytest.mark.parametrize("ending", ["exit 3", "exception", "group", "keyboard interrupt"])
    def test_of_a_module(self, form: Command, ending: str, tmp_path: Path) -> None:
        (tmp_path / "broken.py").write_text("def f(:\n    pass\n")
        (tmp_path / "app.py").write_text(ENDINGS[ending])
        same(form, ["-m", "app"], tmp_path)

    @pytest.mark.parametrize("ending", ["exception", "syntax error", "group", "keyboard interrupt"])
    def test_of_a_command(self, form: Command, ending: str, tmp_path: Path) -> None:
        same(form, ["-c", ENDINGS[ending]], tmp_path)

    @pytest.mark.parametrize("ending", ["exception", "syntax error", "group", "keyboard interrupt"])
    def test_of_standard_input(self, form: Command, ending: str, tmp_path: Path) -> None:
        same(form, ["-"], tmp_path, stdin=ENDINGS[ending])

    @pytest.mark.parametrize(
        "content",
        [b"print('\xff')\n", b"print(1)\n\0", b"# coding: nonsense\n", b"\xef\xbb\xbfprint(1)\n"],
        ids=["not utf-8", "null byte", "unknown encoding", "byte order mark"],
    )
    def test_of_a_file_that_is_no_text(self, form: Command, content: bytes, tmp_path: Path) -> None:
        (tmp_path / "app.py").write_bytes(content)
        same(form, ["app.py"], tmp_path)


@pytest.mark.parametrize("form", FORMS[1:])
@pytest.mark.parametrize("ending", ["exit 3", "exception", "keyboard interrupt", "excepthook"])
def test_ending_of_the_other_forms(form: Command, ending: str, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(ENDINGS[ending])
    same(form, ["app.py"], tmp_path)


ASYNCIO_ENDINGS = {
    "exception": "raise ValueError('v')",
    "exit": "raise SystemExit('text')",
    "interrupt": "raise KeyboardInterrupt",
    "cancelled": "raise asyncio.CancelledError('c')",
    "task group": (
        "async with asyncio.TaskGroup() as group:\n"
        "        group.create_task(fail(1))\n"
        "        group.create_task(fail(2))"
    ),
    "never retrieved": "asyncio.create_task(fail(1)); await asyncio.sleep(0.01)",
    "never awaited": "fail(1)",
    "pending task": "asyncio.create_task(asyncio.sleep(100))",
}

ASYNCIO_PROGRAM = """\
import asyncio
async def fail(n):
    raise ArithmeticError(n)
async def main():
    await asyncio.sleep(0)
    {}
asyncio.run(main())
"""


@pytest.mark.parametrize("ending", ASYNCIO_ENDINGS)
def test_ending_out_of_a_loop(ending: str, tmp_path: Path) -> None:
    """On asyncio's loop to the byte; on ferrio's the frames of asyncio's loop are not there."""
    (tmp_path / "app.py").write_text(ASYNCIO_PROGRAM.format(ASYNCIO_ENDINGS[ending]))
    same(ferrio_run("--loop", "asyncio"), ["app.py"], tmp_path)

    expected = python().run(["app.py"], cwd=tmp_path)
    outcome = ferrio_run().run(["app.py"], cwd=tmp_path)
    assert (outcome.status, outcome.stdout) == (expected.status, expected.stdout)
    assert "ferrio" not in outcome.stderr
    assert without_frames_of_loops(outcome.stderr) == without_frames_of_loops(expected.stderr)


# Files of asyncio whose functions are native on ferrio and have no frames.
NATIVE = ("base_events", "events", "locks", "queues", "streams", "taskgroups", "tasks", "timeouts")


def without_frames_of_loops(stderr: str) -> list[str]:
    """The lines of `stderr` without the frames in tracebacks that only asyncio's own code has."""
    lines: list[str] = []
    skipping = False
    for line in stderr.splitlines():
        # Tracebacks of an exception group stand behind bars.
        text = line.partition("| ")[2] if line.lstrip().startswith("|") else line
        if text.lstrip().startswith('File "'):
            skipping = any(f"asyncio/{name}.py" in text for name in NATIVE)
        elif not text.startswith("    "):
            skipping = False
        if not skipping:
            lines.append(line)
    return lines


@pytest.mark.parametrize("form", FORMS[:1])
class TestNothingToRun:
    def test_unknown_file(self, form: Command, tmp_path: Path) -> None:
        same(form, ["missing.py"], tmp_path, status=2)
        same(form, ["no/such/folder/missing.py", "x"], tmp_path, status=2)

    def test_file_that_may_not_be_read(self, form: Command, tmp_path: Path) -> None:
        (tmp_path / "loop.py").symlink_to("loop.py")
        same(form, ["loop.py"], tmp_path, status=2)

    def test_unknown_module(self, form: Command, tmp_path: Path) -> None:
        same(form, ["-m", "no_such_module"], tmp_path, status=1)
        same(form, ["-m", "no_such.module"], tmp_path, status=1)
        same(form, ["-m", "json.no_such_module"], tmp_path, status=1)

    def test_package_without_main(self, form: Command, tmp_path: Path) -> None:
        (tmp_path / "package").mkdir()
        (tmp_path / "package" / "__init__.py").write_text("")
        same(form, ["-m", "package"], tmp_path, status=1)

    def test_package_that_fails_to_import(self, form: Command, tmp_path: Path) -> None:
        (tmp_path / "package").mkdir()
        (tmp_path / "package" / "__init__.py").write_text("import no_such_module")
        same(form, ["-m", "package.part"], tmp_path, status=1)

    def test_folder_without_main(self, form: Command, tmp_path: Path) -> None:
        (tmp_path / "folder").mkdir()
        same(form, ["folder"], tmp_path, status=1)


PICKLE = """\
import dataclasses, pickle
@dataclasses.dataclass
class Point:
    x: "int"
print(pickle.loads(pickle.dumps(Point(1))) == Point(1), Point.__module__)
"""

WORKERS = """\
import concurrent.futures, multiprocessing, sys
def work(x):
    return x * x, __name__, sys.argv
if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        print(list(pool.map(work, range(3))))
    process = context.Process(target=work, args=())
    process.start()
    process.join()
    print(process.exitcode)
"""


@pytest.mark.parametrize("form", FORMS[:1])
class TestMainModule:
    """The module __main__ is one that other processes and picklers can find."""

    def test_pickle(self, form: Command, tmp_path: Path) -> None:
        (tmp_path / "app.py").write_text(PICKLE)
        same(form, ["app.py"], tmp_path, status=0)
        same(form, ["-m", "app"], tmp_path, status=0)

    @pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
    def test_multiprocessing(self, form: Command, method: str, tmp_path: Path) -> None:
        (tmp_path / "app.py").write_text(WORKERS)
        for program in (["app.py", method], ["-m", "app", method]):
            expected = python().run(program, cwd=tmp_path)
            outcome = form.run(program, cwd=tmp_path)
            assert (outcome.status, outcome.stdout) == (expected.status, expected.stdout)
            assert expected.status == 0
            # Its traceback has frames of the caller's below it, where this is the fork's parent.
            assert "TypeError: work() missing 1 required positional argument" in outcome.stderr


class TestInterpreterOptions:
    """Options of the interpreter stand where they always did: after `python`."""

    @pytest.mark.parametrize(
        "options", [["-O"], ["-X", "dev"], ["-W", "error"], ["-P"], ["-B", "-u"], ["-I"]]
    )
    def test_are_the_interpreters(self, options: list[str], tmp_path: Path) -> None:
        (tmp_path / "app.py").write_text(
            WORLD + "print(sys.flags)\nimport warnings\nwarnings.warn('w', ResourceWarning)\n"
        )
        program = ["app.py", "x"]
        expected = python(*options).run(program, cwd=tmp_path)
        assert python_m_ferrio_run(*options).run(program, cwd=tmp_path) == expected

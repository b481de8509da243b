"""The modules that are run: test_asyncio's, and those of the interpreter's other tests that use a
loop.

    python -m tests.conformance.modules     what this interpreter has of them, as JSON
"""

from __future__ import annotations

import fnmatch
import importlib.util
import json
import platform
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "test.test_asyncio."


@dataclass(frozen=True)
class Module:
    # What test ids begin with: `test_streams`, `test_async_case`.
    name: str
    # Where it is imported from: the first of these that there is.
    places: tuple[str, ...]
    # Its tests that matter here, by what follows the name; the rest has no use for a loop.
    tests: tuple[str, ...] = ("*",)

    def place(self) -> str | None:
        return next((place for place in self.places if _exists(place)), None)

    def short(self, test: str) -> str:
        """The id of a test without what its module's name is preceded by."""
        for place in self.places:
            if test == place or test.startswith(f"{place}."):
                return f"{self.name}{test.removeprefix(place)}"
        return test.removeprefix(PACKAGE)

    def wants(self, test: str) -> bool:
        rest = test.removeprefix(f"{self.name}.")
        return any(fnmatch.fnmatchcase(rest, pattern) for pattern in self.tests)


# What else in the interpreter's test package takes a loop from asyncio. Not here: what runs its
# loops in other processes (test_external_inspection, test_cmd_line).
USERS = (
    Module(
        "test_async_case",
        ("test.test_unittest.test_async_case", "unittest.test.test_async_case"),
    ),
    Module("test_asyncgen", ("test.test_asyncgen",)),
    Module("test_builtin", ("test.test_builtin",), ("*async*", "*top_level_await*")),
    Module("test_contextlib_async", ("test.test_contextlib_async",)),
    Module("test_coroutines", ("test.test_coroutines",)),
    Module(
        "test_inspect",
        ("test.test_inspect.test_inspect", "test.test_inspect"),
        ("TestGetAsyncGenState.*", "*inside_async_function"),
    ),
    Module(
        "test_interpreter_pool",
        ("test.test_concurrent_futures.test_interpreter_pool",),
        ("AsyncioTest.*",),
    ),
    Module("test_logging", ("test.test_logging",), ("*taskName*",)),
    Module("test_os", ("test.test_os.test_os", "test.test_os"), ("TestSendfile.*",)),
    Module(
        "test_pdb",
        ("test.test_pdb",),
        ("*async*", "*await*", "*coroutine"),
    ),
    Module("test_sys_settrace", ("test.test_sys_settrace",), ("*async*",)),
    Module("test_type_params", ("test.test_type_params",), ("*coroutine*",)),
)


# The tests of what `ferrio.aio` has instead of asyncio's: a second run has them on that.
OF_REPLACED = (
    "test_streams",
    "test_tasks",
    "test_futures",
    "test_futures2",
    "test_locks",
    "test_queues",
    "test_taskgroups",
    "test_timeouts",
    "test_waitfor",
    "test_eager_task_factory",
    "test_free_threading",
)


def named(name: str) -> Module:
    """The module called `name`: one of `USERS`, or else of test_asyncio."""
    asyncio = Module(name, (f"{PACKAGE}{name}",))
    return next((module for module in USERS if module.name == name), asyncio)


def available() -> list[str]:
    """The names of what this interpreter has."""
    folder = importlib.util.find_spec("test.test_asyncio")
    assert folder is not None
    places = [Path(place) for place in folder.submodule_search_locations or ()]
    names = sorted(path.stem for place in places for path in place.glob("test_*.py"))
    return names + [module.name for module in USERS if module.place() is not None]


def _exists(place: str) -> bool:
    try:
        spec = importlib.util.find_spec(place)
    except ModuleNotFoundError:  # a package above it is not there
        return False
    # `test.test_inspect` is a module in some versions and a package in others.
    return spec is not None and spec.submodule_search_locations is None


if __name__ == "__main__":
    print(json.dumps([platform.python_version(), available()]))

"""How a child of `ferrio run` begins: before it imports anything, with the wish to be on ferrio.

`ferrio_start.pth` beside it is read by every interpreter that starts with this folder among its
site-packages, and imports this module where the environment variable FERRIO_RUN says so. A child
that never imports asyncio pays for no more than what is here.

It is there before pytest is, which would warn of asserts that it can no longer rewrite:
PYTEST_DONT_REWRITE.
"""

import sys

# Not even `__future__` is imported: a child shows its program no module that is not its own.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any


class AfterImport:
    """A finder of modules that finds none: it calls something after the import of certain ones."""

    def __init__(self, calls: "Mapping[str, Callable[[ModuleType], object]]") -> None:
        self._calls = dict(calls)

    def find_spec(
        self, name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        if name not in self._calls:
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(name, path, target)
            if spec is not None:
                # It may be that somebody only wants to know if there is such a module.
                if hasattr(spec.loader, "exec_module"):
                    spec.loader = Calling(spec.loader, self)  # type: ignore[assignment]
                return spec
        return None

    def executed(self, module: "ModuleType") -> None:
        call = self._calls.pop(module.__name__, None)
        if not self._calls and self in sys.meta_path:
            sys.meta_path.remove(self)
        if call is not None:
            call(module)


class Calling:
    """A loader that gives its place to the real one, and tells the finder in the end."""

    def __init__(self, loader: "Any", finder: AfterImport) -> None:
        self._loader = loader
        self._finder = finder

    def __getattr__(self, name: str) -> "Any":
        return getattr(self._loader, name)

    def create_module(self, spec: "ModuleSpec") -> "ModuleType | None":
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: "ModuleType") -> None:
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        self._finder.executed(module)


def begin() -> None:
    """Have this interpreter be on ferrio as soon as it imports asyncio."""
    # A file of site-packages that is read before ours may have done so.
    there = [sys.modules[name] for name in ("asyncio", *NAMED) if name in sys.modules]
    # uvloop imports asyncio, so it has begun when asyncio is there: it cannot be waited for later.
    wait("asyncio", *NAMED)
    for module in there:
        imported(module)


def wait(*names: str) -> None:
    """Look out for the import of those of these modules that are not there."""
    if not any(isinstance(finder, AfterImport) for finder in sys.meta_path):
        calls = {name: imported for name in names if name not in sys.modules}
        if calls:
            sys.meta_path.insert(0, AfterImport(calls))


#: Modules that name a loop, see `ferrio._named_loops`.
NAMED = ("uvloop", "uvicorn.loops.auto")


def imported(module: "ModuleType") -> None:
    """One of them has been imported."""
    try:
        from ferrio import _choice

        _choice.imported(module)
    except Exception:
        # No ferrio that works here, such as in a subinterpreter. It was not asked for by this
        # program, so it is not this program's error: it runs on what it would have run on.
        pass

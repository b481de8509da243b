"""What the user of `ferrio run` has chosen, put in force in this process and in its children.

Children that are forked have it from their parent. What begins as a new interpreter is told by the
environment variable FERRIO_RUN, which `_ferrio_start` looks for.
"""

from __future__ import annotations

import asyncio
import os
import site
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Literal, TypeAlias, get_args

import _ferrio_start

from . import _install, _named_loops, _replace, _runner, _tasks

LoopName: TypeAlias = Literal["ferrio", "asyncio", "uvloop", "rloop", "zuvloop", "aiofastnet"]

#: With these, who asks for uvloop is to get it.
ON_UVLOOP = ("uvloop", "aiofastnet")

VARIABLE = "FERRIO_RUN"

#: For PYTHONPATH, where `ferrio_start.pth` is not read.
START = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_start")


@dataclass(frozen=True)
class Choice:
    """The options of `ferrio run` that a program's children share."""

    loop: LoopName = "ferrio"
    debug: bool = False
    #: Tasks and futures are asyncio's own types.
    c_tasks: bool = False
    #: asyncio's classes and functions are left in place.
    loop_only: bool = False
    #: A program that asks for uvloop gets it.
    keep_loops: bool = False

    def put_in_force(self, prepare: Callable[[], object] = lambda: None) -> None:
        """Have asyncio go by this choice, and by no other one that is in force.

        Args:
            prepare: Called for each loop before the program gets it.

        Raises:
            ImportError: The loop is not installed.
        """
        global in_force
        make_loop = _runner.new_event_loop if self.loop == "ferrio" else maker_of_another(self.loop)
        in_force = self
        # What the `ferrio run` around this one has put in place.
        _install.uninstall()
        _ferrio_start.wait(*_ferrio_start.NAMED)
        _named_loops.chosen = _named_loops.Chosen(self.loop, make_loop)
        _named_loops.watch.set(self.loop == "ferrio")

        def prepared(made: asyncio.AbstractEventLoop) -> asyncio.AbstractEventLoop:
            prepare()
            if self.debug:
                made.set_debug(True)
            return made

        _tasks.c_tasks = self.c_tasks or _tasks.asked_for_by_environment()
        # So that a program that names ferrio's loop is not worse off than one that names none.
        _runner.prepare = prepared
        if self.loop == "ferrio":
            _install.switch.on(make_loop)
            if not self.loop_only:
                _replace.replace()
        else:
            _install.switch.on(lambda: prepared(make_loop()))

    def tell_children(self, tell: bool) -> None:
        """Have interpreters that this process starts go by this choice, or by none."""
        if tell:
            os.environ[VARIABLE] = self.words()
            if not is_in_site_packages():
                put_in_path(START)
        else:
            os.environ.pop(VARIABLE, None)

    def words(self) -> str:
        """The choice as text: the loop's name, and what else was said."""
        return " ".join([self.loop, *(name for name in FLAGS if getattr(self, name))])

    @classmethod
    def of_words(cls, words: str) -> Choice:
        """The inverse of `words`. What is unknown is another version's, and left out."""
        said = words.split()
        return cls(
            loop=next((name for name in get_args(LoopName) if name in said), "ferrio"),
            **{name: name in said for name in FLAGS},
        )


FLAGS = ("debug", "c_tasks", "loop_only", "keep_loops")


def is_in_site_packages() -> bool:
    """Is ferrio where interpreters look for files that end in .pth?"""
    folders = site.getsitepackages()
    if site.ENABLE_USER_SITE:
        folders.append(site.getusersitepackages())
    package = os.path.dirname(START)
    return os.path.realpath(os.path.dirname(package)) in map(os.path.realpath, folders)


def put_in_path(folder: str) -> None:
    """Have children look for modules in `folder` first."""
    path = os.environ.get("PYTHONPATH")
    entries = path.split(os.pathsep) if path else []
    if folder not in entries:
        os.environ["PYTHONPATH"] = os.pathsep.join([folder, *entries])


def maker_of_another(name: LoopName) -> Callable[[], asyncio.AbstractEventLoop]:
    """What makes the loops that ferrio is to be compared with.

    Raises:
        ImportError: It is not installed.
    """
    match name:
        case "asyncio":
            # The platform's default, which has a name of its own only since 3.13.
            if sys.platform == "win32":
                return asyncio.ProactorEventLoop
            return asyncio.SelectorEventLoop
        case _:
            from ._bench import loops

            return loops.factory(name)


#: The choice by which this process goes.
in_force = Choice()


def imported(module: ModuleType) -> None:
    """What `_ferrio_start` waits for has been imported: asyncio, or who names a loop."""
    if module.__name__ == "asyncio":
        Choice.of_words(os.environ.get(VARIABLE, "")).put_in_force()
    elif in_force.loop not in ON_UVLOOP and not in_force.keep_loops:
        _named_loops.imported(module)

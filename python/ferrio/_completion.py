"""`ferrio completion`: scripts for shells, made by shtab out of the commands' parsers."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from . import _cookbook
from .__main__ import SUMMARIES, build_parser


def print_script(shell: str) -> int:
    """Print the script for a shell; the exit status."""
    try:
        import shtab
    except ImportError:
        command = f"{sys.executable} -m pip install shtab"
        print(f"ferrio completion: shtab is not installed: {command}", file=sys.stderr)
        return 1
    print(shtab.complete(parser(shtab.FILE), shell))
    return 0


def parser(files: Any) -> argparse.ArgumentParser:
    """The parser, with what can only be known when it is used: files, and the names of recipes.

    Args:
        files: What says to shtab that a file is wanted.
    """
    whole = build_parser("completion")
    for name, summary in SUMMARIES.items():
        # In a line beside the name.
        command(whole, name).description = summary
    recipes = [recipe.name for recipe in _cookbook.recipes()]
    run, compare = command(whole, "run"), command(whole, "compare")
    cookbook = command(whole, "cookbook")
    for each in (run, compare):
        argument(each, "program").complete = files
        # What stands behind the program's name is its own.
        argument(each, "program").nargs = None
    argument(run, "watch").complete = files
    argument(run, "profile").complete = files
    for name in ("show", "copy"):
        argument(command(cookbook, name), "name").choices = recipes
    recipe = argument(command(cookbook, "run"), "program")
    recipe.nargs, recipe.choices = None, recipes
    for each in (whole, cookbook, command(whole, "jupyter")):
        for action in each._actions:
            if isinstance(action, argparse._SubParsersAction):
                # Its help is suppressed, since the description has it; shtab would leave it out.
                action.help = None
    for each in (run, compare, command(cookbook, "run")):
        argument(each, "program").help = "what to run"
    return whole


def command(parser: argparse.ArgumentParser, name: str) -> argparse.ArgumentParser:
    """The parser of one of its commands."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found: argparse.ArgumentParser = action.choices[name]
            return found
    raise LookupError(name)


def argument(parser: argparse.ArgumentParser, name: str) -> Any:
    return next(action for action in parser._actions if action.dest == name)

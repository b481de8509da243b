"""`ferrio compare`: a user's own program on every loop that is there.

How a figure comes about, from the outside in:

1. `command` reads the arguments, asks which loops are there, and says what came out.
2. `campaign` runs the program: round after round, on every loop once (A B C, B C A, ...), so that
   what disturbs the machine disturbs all of them.
3. `program` runs it once, by `ferrio run --loop`, in processes of its own, and reads from the
   kernel what it took: to its end, or, for a server, while `load` asks it things (`server`).
   `system_calls` counts these in a run that is not measured otherwise.
4. `verdict` takes ratios within rounds and says which of them are more than noise; `table`, `plot`
   and `results` show and keep them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `ferrio compare` to `parser`."""
    from . import command

    command.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Compares what `args` (of `add_arguments`) ask for; returns the exit status."""
    from . import command

    return command.run(args)

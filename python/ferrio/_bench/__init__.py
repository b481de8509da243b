"""`ferrio bench`: this machine's event loops side by side.

How a figure comes about, from the outside in:

1. `command` reads the arguments, asks every loop whether it is there (`probe`), and draws the rest.
2. `campaign` runs the rows: for each row, round after round, every loop once (A B C, B C A, ...),
   so that what disturbs the machine disturbs all of them, and ratios are taken within a round
   (`results`).
3. A row (`row`) measures one loop once, in a process started for it: `echo`, `web`, `clients` and
   `micro` hold them.

The measured processes import this package *without its parent* (`child`), so a peer is never
measured with ferrio's extension module loaded beside it. Keep it so: modules in here use relative
imports only, and import neither rich nor matplotlib unless they draw.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `ferrio bench` to `parser`."""
    from . import command

    command.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Runs the benchmarks that `args` (of `add_arguments`) ask for; returns the exit status."""
    from . import command

    return command.run(args)

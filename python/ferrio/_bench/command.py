"""The command line of `ferrio bench`."""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from . import campaign, environment
from .child import Child, ChildError
from .cpus import Placement
from .loops import NAMES, VARIANTS
from .results import Results, baseline_of
from .row import Effort, Row
from .rows import ALL, NoSuchRow, select

if TYPE_CHECKING:
    from rich.console import Console

QUICK_SECONDS, QUICK_ROUNDS = 0.35, 3
FULL_SECONDS, FULL_ROUNDS = 1.0, 5
LOG_COLUMNS = 160

EPILOG = """\
Each figure comes from a process started for it, and loops take turns within each round, so ratios
bear more weight than absolute figures. Close other programs first; spreads that overlap are no
difference.

examples:
  ferrio bench --quick                        a first impression, in less than a minute
  ferrio bench --rows 'echo_*' --rounds 9     only the network rows, more exactly
  ferrio bench --loops ferrio uvloop --json now.json --plot now.svg
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument("--quick", action="store_true", help="few rows, short measurements")
    parser.add_argument(
        "--loops",
        nargs="+",
        choices=NAMES + VARIANTS,
        metavar="LOOP",
        help=f"which loops to compare; default: those installed of {', '.join(NAMES)}; "
        f"also {', '.join(VARIANTS)}",
    )
    parser.add_argument(
        "--rows", nargs="+", default=[], metavar="GLOB", help="which rows, e.g. 'echo_*' sleep0_*"
    )
    parser.add_argument(
        "--rounds",
        type=_positive_int,
        metavar="N",
        help=f"how often to measure each loop (default {FULL_ROUNDS}, quick {QUICK_ROUNDS})",
    )
    parser.add_argument(
        "--seconds",
        type=_positive_float,
        metavar="S",
        help=f"length of one measurement (default {FULL_SECONDS:g}, quick {QUICK_SECONDS:g})",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured")
    parser.add_argument(
        "--plot", type=Path, metavar="FILE", help="draw the ratios; .png or .svg by its name"
    )
    parser.add_argument("--list", action="store_true", help="show the rows and run nothing")
    parser.add_argument(
        "--load-generator",
        metavar="PATH",
        help="the program ferrio-load; default: from PATH, else a Python client does its work",
    )


def run(args: argparse.Namespace, rows: Sequence[Row] = ALL) -> int:
    """Returns the exit status: 0; 1 if nothing could be measured; 2 for bad arguments or missing
    packages.
    """
    try:
        chosen = select(rows, args.rows, args.quick)
    except NoSuchRow as error:
        return _complain(str(error))
    if args.list:
        return _list(chosen)
    if args.plot is not None and args.plot.suffix not in (".png", ".svg"):
        return _complain(f"--plot {args.plot}: the name must end in .png or .svg")
    if args.load_generator is not None and shutil.which(args.load_generator) is None:
        return _complain(f"--load-generator {args.load_generator}: there is no such program")
    for path in (args.json, args.plot):
        if path is not None and not path.absolute().parent.is_dir():
            return _complain(f"{path}: there is no such directory")
    needed = ["rich"] if args.plot is None else ["rich", "matplotlib"]
    if absent := [name for name in needed if importlib.util.find_spec(name) is None]:
        return _complain(f"needs {' and '.join(absent)}: pip install 'ferrio[bench]'")

    # Only now: rich may be absent.
    from rich.console import Console

    # A log has no width; rich would take 80 columns and cut the table to them.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else LOG_COLUMNS)
    return _measure(args, chosen, console)


def _measure(args: argparse.Namespace, chosen: list[Row], console: Console) -> int:
    from . import table
    from .progress import display

    loops = _installed(args.loops, console)
    possible = _possible(chosen, console)
    if not loops or not possible:
        return _complain("nothing to measure", status=1)
    effort = Effort(
        seconds=args.seconds or (QUICK_SECONDS if args.quick else FULL_SECONDS),
        placement=Placement.of_this_machine(),
        load_generator=args.load_generator or shutil.which("ferrio-load"),
    )
    if effort.load_generator is None and any(row.name.startswith("echo_") for row in possible):
        console.print(
            "No ferrio-load found: a Python client makes the load, and limits the requests per "
            "second. CPU time per request still compares."
        )
    _warn_of_company(console)
    rounds = args.rounds or (QUICK_ROUNDS if args.quick else FULL_ROUNDS)
    results = Results(environment.describe(effort, rounds), loops, baseline_of(loops))
    plan = list(campaign.steps(possible, list(loops), rounds, effort))
    interrupted = False
    with display(console, len(plan), sum(step.seconds for step in plan)) as observer:
        try:
            for row in campaign.run(plan, effort, observer):
                results.rows.append(row)
        except KeyboardInterrupt:
            # What is complete is worth showing.
            interrupted = True
    if results.rows:
        table.print_results(results, console)
        _save(args, results, console)
    return 130 if interrupted else 0


def _installed(wanted: Sequence[str] | None, console: Console) -> dict[str, str]:
    """The loops that start here, with their versions."""
    loops = {}
    for name in NAMES if wanted is None else sorted(set(wanted), key=(NAMES + VARIANTS).index):
        try:
            with Child.of_package("probe", [name]) as child:
                loops[name] = child.receive()["version"]
        except ChildError as error:
            # Absence is worth a word only where the loop was asked for, or is there and broken.
            absent = str(error).startswith("ModuleNotFoundError")
            if wanted is not None or not absent:
                console.print(f"without {name}: {error}", markup=False)
    return loops


def _possible(rows: Sequence[Row], console: Console) -> list[Row]:
    possible = []
    for row in rows:
        missing = row.missing()
        if missing is None:
            possible.append(row)
        else:
            console.print(f"without {row.name}: {missing}", markup=False)
    return possible


def _warn_of_company(console: Console) -> None:
    """Says so where other programs have been using the CPUs that are about to be measured on."""
    if not hasattr(os, "getloadavg"):
        return
    load = os.getloadavg()[0]
    if load > 0.5 * (os.cpu_count() or 1):
        console.print(
            f"The load average is {load:.1f}: other programs are running, and figures will scatter."
        )


def _save(args: argparse.Namespace, results: Results, console: Console) -> None:
    if args.json is not None:
        results.write(args.json)
        console.print(f"wrote {args.json}", markup=False)
    if args.plot is not None:
        from . import plot

        plot.save(results, args.plot)
        console.print(f"wrote {args.plot}", markup=False)


def _list(rows: Sequence[Row]) -> int:
    width = max((len(row.name) for row in rows), default=0)
    for row in rows:
        print(f"{'*' if row.quick else ' '} {row.name:{width}}  {row.summary} [{row.unit}]")
    print("\n* part of --quick")
    return 0


def _complain(message: str, status: int = 2) -> int:
    print(f"ferrio bench: {message}", file=sys.stderr)
    return status


def _positive_int(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def _positive_float(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError("must be above 0")
    return value

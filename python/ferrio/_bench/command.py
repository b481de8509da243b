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
from .growth import families
from .loops import NAMES, VARIANTS
from .results import Results, RowResult, baseline_of
from .row import Effort, Row
from .rows import ALL, NoSuchRow, select

if TYPE_CHECKING:
    from rich.console import Console

QUICK_SECONDS, QUICK_ROUNDS = 0.35, 3
FULL_SECONDS, FULL_ROUNDS = 1.0, 5
GROWTH_QUICK_SECONDS, GROWTH_QUICK_ROUNDS = 0.25, 1
GROWTH_SECONDS, GROWTH_ROUNDS = 0.5, 3
LOG_COLUMNS = 160

EPILOG = """\
Each figure comes from a process started for it, and loops take turns within
each round, so ratios bear more weight than absolute figures. Close other
programs first; spreads that overlap are no difference.

examples:
  ferrio bench --quick                      a first impression, within a minute
  ferrio bench --rows 'echo_*' --rounds 9   only the network rows, more exactly
  ferrio bench --loops ferrio uvloop --json now.json --plot now.svg
  ferrio bench --growth --plot growth.svg   what costs grow to: 15 minutes
  ferrio bench --growth --rows 'timers_*'   only timers, a thousand to a million
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument("--quick", action="store_true", help="few rows, short measurements")
    parser.add_argument(
        "--growth",
        action="store_true",
        help="instead: what one operation costs with 10 to 10,000 connections, and with a "
        "thousand to a million timers and tasks",
    )
    parser.add_argument(
        "--loops",
        nargs="+",
        choices=NAMES + VARIANTS,
        metavar="LOOP",
        help=f"which loops to compare; default: those installed of {', '.join(NAMES)}; "
        f"also {', '.join(VARIANTS)}",
    )
    parser.add_argument(
        "--baseline",
        choices=NAMES + VARIANTS,
        metavar="LOOP",
        help="which of them is 1 in table and plot; default: uvloop, else asyncio",
    )
    parser.add_argument(
        "--rows", nargs="+", default=[], metavar="GLOB", help="which rows, e.g. 'echo_*' sleep0_*"
    )
    parser.add_argument(
        "--rounds",
        type=positive_int,
        metavar="N",
        help=f"how often to measure each loop (default {FULL_ROUNDS}, quick {QUICK_ROUNDS}; "
        f"growth {GROWTH_ROUNDS}, quick {GROWTH_QUICK_ROUNDS})",
    )
    parser.add_argument(
        "--seconds",
        type=positive_float,
        metavar="S",
        help=f"length of one measurement (default {FULL_SECONDS:g}, quick {QUICK_SECONDS:g}; "
        f"growth {GROWTH_SECONDS:g}, quick {GROWTH_QUICK_SECONDS:g})",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured")
    parser.add_argument(
        "--plot",
        type=Path,
        metavar="FILE",
        help="draw the ratios, or the curves of --growth; .png or .svg by its name",
    )
    parser.add_argument("--list", action="store_true", help="show the rows and run nothing")
    parser.add_argument(
        "--load-generator",
        metavar="PATH",
        help="the program ferrio-load; default: the wheel's, else from PATH, else a Python client "
        "does its work",
    )


def run(args: argparse.Namespace, rows: Sequence[Row] | None = None) -> int:
    """`rows` are others than the arguments would choose from.

    Returns the exit status: 0; 1 if nothing could be measured; 2 for bad arguments or missing
    packages.
    """
    if rows is None:
        rows = families.ROWS if args.growth else ALL
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

    return _measure(args, chosen, console_of_output())


def console_of_output() -> Console:
    """Standard output, for tables."""
    # Only now: rich may be absent.
    from rich.console import Console

    # A log has no width; rich would take 80 columns and cut the table to them.
    return Console(highlight=False, width=None if sys.stdout.isatty() else LOG_COLUMNS)


def _load_generator() -> str | None:
    """The program that came with this package, or one on PATH."""
    return shutil.which(Path(__file__).with_name("ferrio-load")) or shutil.which("ferrio-load")


def _measure(args: argparse.Namespace, chosen: list[Row], console: Console) -> int:
    from .progress import display

    loops = installed(args.loops, console)
    possible, impossible = _possible(chosen, console)
    if not loops or not possible:
        return _complain("nothing to measure", status=1)
    if args.baseline is not None and args.baseline not in loops:
        return _complain(f"--baseline {args.baseline}: it is not among {', '.join(loops)}")
    seconds, rounds = _extent(args)
    effort = Effort(
        seconds=seconds,
        placement=Placement.of_this_machine(),
        load_generator=args.load_generator or _load_generator(),
    )
    if effort.load_generator is None and any(row.name.startswith("echo_") for row in possible):
        console.print(
            "No ferrio-load found: a Python client makes the load, and limits the requests per "
            "second. CPU time per request still compares. In a clone, what has it is "
            "`pip install . --config-settings load-generator=yes`."
        )
    _warn_of_company(console)
    results = Results(
        environment.describe(effort, rounds), loops, args.baseline or baseline_of(loops)
    )
    steps = families.steps if args.growth else campaign.steps
    plan = list(steps(possible, list(loops), rounds, effort))
    if args.growth:
        # A curve that ends early should say why.
        for row, reason in impossible.items():
            results.rows.append(RowResult.not_measured(row, loops, reason))
    interrupted = False
    with display(console, len(plan), sum(step.seconds for step in plan)) as observer:
        try:
            for result in campaign.run(plan, effort, observer):
                results.rows.append(result)
        except KeyboardInterrupt:
            # What is complete is worth showing.
            interrupted = True
    if results.rows:
        _print(args, results, console)
        _save(args, results, console)
    return 130 if interrupted else 0


def _extent(args: argparse.Namespace) -> tuple[float, int]:
    """Seconds of a measurement, and rounds."""
    if args.growth:
        quick, full = (GROWTH_QUICK_SECONDS, GROWTH_QUICK_ROUNDS), (GROWTH_SECONDS, GROWTH_ROUNDS)
    else:
        quick, full = (QUICK_SECONDS, QUICK_ROUNDS), (FULL_SECONDS, FULL_ROUNDS)
    seconds, rounds = quick if args.quick else full
    return args.seconds or seconds, args.rounds or rounds


def installed(wanted: Sequence[str] | None, console: Console) -> dict[str, str]:
    """The loops that start here, of these or of all, with their versions."""
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


def _possible(rows: Sequence[Row], console: Console) -> tuple[list[Row], dict[Row, str]]:
    """The rows that can be measured here, and why the others cannot."""
    possible, impossible = [], {}
    for row in rows:
        missing = row.missing()
        if missing is None:
            possible.append(row)
        else:
            impossible[row] = missing
            console.print(f"without {row.name}: {missing}", markup=False)
    return possible, impossible


def _warn_of_company(console: Console) -> None:
    """Says so where other programs have been using the CPUs that are about to be measured on."""
    if not hasattr(os, "getloadavg"):
        return
    load = os.getloadavg()[0]
    if load > 0.5 * (os.cpu_count() or 1):
        console.print(
            f"The load average is {load:.1f}: other programs are running, and figures will scatter."
        )


def _print(args: argparse.Namespace, results: Results, console: Console) -> None:
    # Only now: rich may be absent.
    from . import table
    from .growth import table as growth_table

    (growth_table if args.growth else table).print_results(results, console)


def _save(args: argparse.Namespace, results: Results, console: Console) -> None:
    if args.json is not None:
        results.write(args.json)
        console.print(f"wrote {args.json}", markup=False)
    if args.plot is not None:
        from . import plot
        from .growth import plot as growth_plot

        (growth_plot if args.growth else plot).save(results, args.plot)
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


def positive_int(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def positive_float(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError("must be above 0")
    return value

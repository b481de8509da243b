"""The command line of `ferrio compare`."""

from __future__ import annotations

import argparse
import importlib.util
import math
import os
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from .._bench import environment
from .._bench.command import console_of_output, installed, positive_float, positive_int
from .._bench.cpus import Placement
from .._bench.loops import NAMES
from .._bench.row import Effort
from . import load, system_calls
from .campaign import Campaign
from .program import Outcome, Program
from .results import LoopResult, Results
from .server import Server

if TYPE_CHECKING:
    from rich.console import Console

ROUNDS = 5
LOAD_SECONDS = 3
CONNECTIONS = 32
READY_SECONDS = 30
#: After so many seconds of a program that does not end, a word on servers.
LONG = 60

USAGE = """\
ferrio compare [options] PROGRAM
       ferrio compare [options] --until-ready URL --load URL SERVER

  PROGRAM, SERVER: (FILE | -m MODULE | -c CODE | COMMAND) [args ...]"""

DESCRIPTION = """\
Run a program of yours on asyncio, on every other loop that is installed here,
and on ferrio, in turns, and compare what it takes: time, CPU, memory, system
calls, context switches. The program is not changed. What stands behind it is
its own, as behind `ferrio run`.
"""

EPILOG = """\
A program that ends is run to its end, with no input unless some is piped in.
Its children count as far as it waits for them. `ferrio run` starts it on each
of the loops, so its start (some 50 ms) is in every time.

A server is started, asked until it answers, loaded twice, of which the second
counts, and stopped by SIGTERM. Its worker processes count.

A difference is called noise unless it has the same sign in every round.

examples:
  ferrio compare app.py --items 1000
  ferrio compare --runs 9 --plot compared.svg -m myservice.job
  ferrio compare --loops asyncio ferrio -- app.py
  ferrio compare --until-ready http://127.0.0.1:8000/ \\
      --load http://127.0.0.1:8000/ uvicorn app:app --port 8000
  ferrio compare --until-ready tcp://127.0.0.1:6380 \\
      --load 'redis-benchmark -p 6380 -n 100000 -q' server.py
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.usage, parser.description, parser.epilog = USAGE, DESCRIPTION, EPILOG
    parser.add_argument(
        "--loops",
        nargs="+",
        choices=NAMES,
        metavar="LOOP",
        help=f"which loops; default: those installed of {', '.join(NAMES)}",
    )
    parser.add_argument(
        "--runs",
        type=positive_int,
        default=ROUNDS,
        metavar="N",
        help=f"how often on each loop (default {ROUNDS})",
    )
    parser.add_argument(
        "--no-warm-up",
        action="store_true",
        help="have the first run count, too: by default each loop has one before that",
    )
    parser.add_argument(
        "--show-output", action="store_true", help="print what the program prints on each loop"
    )
    server = parser.add_argument_group("servers (on Linux)")
    server.add_argument(
        "--until-ready",
        metavar="URL",
        help="ask this until it answers: http(s)://HOST:PORT/PATH, tcp://HOST:PORT, unix:PATH",
    )
    server.add_argument(
        "--load",
        metavar="URL",
        help="then ask for this as often as possible: by wrk where that is installed; or a "
        "command that is run to its end",
    )
    server.add_argument(
        "--seconds",
        type=positive_float,
        default=LOAD_SECONDS,
        metavar="S",
        help=f"how long a URL is asked for (default {LOAD_SECONDS})",
    )
    server.add_argument(
        "--connections",
        type=positive_int,
        default=CONNECTIONS,
        metavar="N",
        help=f"by how many at once (default {CONNECTIONS})",
    )
    server.add_argument(
        "--ready-within",
        type=positive_float,
        default=READY_SECONDS,
        metavar="S",
        help=f"how long to wait for the first answer (default {READY_SECONDS})",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured")
    parser.add_argument(
        "--plot", type=Path, metavar="FILE", help="draw it; .png or .svg by its name"
    )
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("-m", dest="is_module", action="store_true", help="run a module")
    kind.add_argument("-c", dest="is_command", action="store_true", help="run text")
    parser.add_argument("program", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)


class MistakeError(Exception):
    """The arguments cannot be meant so."""


def run(args: argparse.Namespace) -> int:
    """The exit status: 0; 1 if nothing could be compared; 2 for bad arguments, missing packages."""
    try:
        program, server = meant(args)
    except MistakeError as mistake:
        return complain(str(mistake))
    needed = ["rich"] if args.plot is None else ["rich", "matplotlib"]
    if absent := [name for name in needed if importlib.util.find_spec(name) is None]:
        return complain(f"needs {' and '.join(absent)}: pip install 'ferrio[bench]'")

    return compare(args, program, server, console_of_output())


def meant(args: argparse.Namespace) -> tuple[Program, Server | None]:
    """The program and the server that `args` say.

    Raises:
        MistakeError: They cannot be meant so.
    """
    words = list(args.program)
    if words[:1] == ["--"]:
        del words[0]
    if not words:
        what = "MODULE" if args.is_module else "CODE" if args.is_command else "FILE"
        raise MistakeError(f"{what} is missing (try: ferrio compare --help)")
    kind = ["-m"] if args.is_module else ["-c"] if args.is_command else []
    for path in (args.json, args.plot):
        if path is not None and not path.absolute().parent.is_dir():
            raise MistakeError(f"{path}: there is no such directory")
    if args.plot is not None and args.plot.suffix not in (".png", ".svg"):
        raise MistakeError(f"--plot {args.plot}: the name must end in .png or .svg")
    if os.name != "posix":
        raise MistakeError("reads from the kernel what a process took, which needs Linux or macOS")
    stdin = b"" if sys.stdin is None or sys.stdin.isatty() else read_piped()
    return Program([*kind, *words], stdin), server_of(args)


def read_piped() -> bytes:
    """What is piped in, for each run to read; nothing from what nobody will ever end."""
    import select
    import stat

    mode = os.fstat(sys.stdin.fileno()).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISREG(mode)):
        return b""
    # A pipe that is open and silent belongs to whoever started us, not to the program.
    if stat.S_ISFIFO(mode) and not select.select([sys.stdin], [], [], 0.2)[0]:
        return b""
    return sys.stdin.buffer.read()


def server_of(args: argparse.Namespace) -> Server | None:
    if args.until_ready is None and args.load is None:
        return None
    if args.until_ready is None or args.load is None:
        raise MistakeError("--until-ready and --load go together")
    if not sys.platform.startswith("linux"):
        raise MistakeError("a server's part is read from /proc, which needs Linux")
    try:
        return Server(
            load.address_of(args.until_ready),
            load.of(args.load, args.connections, max(1, math.ceil(args.seconds))),
            args.ready_within,
        )
    except ValueError as error:
        raise MistakeError(str(error)) from None


def compare(
    args: argparse.Namespace, program: Program, server: Server | None, console: Console
) -> int:
    versions = installed(args.loops, console)
    loops = {name: LoopResult(version) for name, version in versions.items()}
    if len(loops) < 2:
        return complain("there is nothing to compare with: pip install uvloop", status=1)
    why_no_calls = system_calls.missing()
    if why_no_calls is not None:
        console.print(why_no_calls, style="dim")
    effort = Effort(args.seconds, Placement(None, None, None), None)
    described = environment.describe(effort, args.runs)
    results = Results(
        {
            name: described[name]
            for name in ("date", "python", "system", "cpu", "cpus", "load_average", "rounds")
        },
        shlex.join(program.words),
        None if server is None else server.load.what,
        "asyncio" if "asyncio" in loops else next(iter(loops)),
        loops,
    )
    if server is not None:
        console.print(f"load: {server.load.what}, twice each time", style="dim", markup=False)
    campaign = Campaign(
        program,
        server,
        args.runs,
        # A server is warmed up by the first of its two loads.
        warms_up=server is None and not args.no_warm_up,
        counts_calls=why_no_calls is None,
    )
    is_interrupted = False
    with Lines(console, show_output=args.show_output) as observer:
        try:
            campaign.run(loops, observer)
        except KeyboardInterrupt:
            # What is complete is worth showing.
            is_interrupted = True
    return finish(args, results, console, is_interrupted)


def finish(
    args: argparse.Namespace, results: Results, console: Console, is_interrupted: bool
) -> int:
    from . import table

    if results.baseline not in results.measured and results.measured:
        results.baseline = next(iter(results.measured))
    for loop, result in results.loops.items():
        if result.error is not None:
            console.print(f"{loop}: {result.error}", markup=False, style="red")
    table.print_results(results, console)
    if args.json is not None:
        results.write(args.json)
        console.print(f"wrote {args.json}", markup=False)
    if args.plot is not None and results.measured:
        from . import plot

        plot.save(results, args.plot)
        console.print(f"wrote {args.plot}", markup=False)
    if is_interrupted:
        return 130
    return 0 if len(results.measured) > 1 else 1


class Lines:
    """What goes on: a line that changes on a terminal, a line for each run elsewhere."""

    def __init__(self, console: Console, *, show_output: bool) -> None:
        self._console = console
        self._shows_output = show_output
        self._status = console.status("") if console.is_terminal else None
        self._what = ""
        self._began = 0.0
        self._is_told = False

    def __enter__(self) -> Lines:
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._status is not None:
            self._status.stop()

    def begin(self, what: str) -> None:
        self._what, self._began = what, time.monotonic()
        if self._status is not None:
            self._status.update(what)

    def tick(self) -> None:
        seconds = time.monotonic() - self._began
        if self._status is not None and seconds > 1:
            self._status.update(f"{self._what}: {seconds:.0f} s")
        if seconds > LONG and not self._is_told:
            self._is_told = True
            self.say(
                f"it has been running for {LONG} s; of a server, say --until-ready and --load, "
                "or press Ctrl-C"
            )

    def end(self, outcome: Outcome | None) -> None:
        seconds = time.monotonic() - self._began
        if self._status is None:
            self._console.out(f"{self._what}: {seconds:.1f} s", highlight=False)
        if outcome is not None and self._shows_output:
            self._console.out(outcome.stdout.decode(errors="replace").rstrip(), highlight=False)

    def say(self, what: str) -> None:
        self._console.print(what, markup=False)


def complain(message: str, status: int = 2) -> int:
    print(f"ferrio compare: {message}", file=sys.stderr)
    return status

"""The command `ferrio`, also `python -m ferrio`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from . import __version__

DESCRIPTION = """\
asyncio, all of it, in Rust.

commands:
  run     run an unmodified asyncio program on ferrio
  bench   measure ferrio beside asyncio, uvloop and other loops on this machine
  info    show versions, driver and features: what to put into a bug report
"""

EXAMPLES = """\
examples:
  ferrio run app.py --port 8080     a file; what follows it is the program's
  ferrio run -m package.module      a module
  ferrio run -m asyncio             an interactive prompt with await, on ferrio
  ferrio bench --quick              one minute of measuring
  ferrio info --json                for scripts

`ferrio COMMAND --help` says more about each.
"""

RUN_DESCRIPTION = """\
Run a program on ferrio, as `python` would run it: the same arguments, module __main__, tracebacks
and exit status. Every loop that the program makes without naming a class or a factory is a ferrio
loop: by asyncio.run, asyncio.Runner or asyncio.new_event_loop. And asyncio's locks, queues, streams
and functions over tasks are ferrio's. The program is not changed and needs no import of ferrio.
"""

RUN_EXAMPLES = """\
what to run:
  FILE [args]       a Python file, or a folder or zip archive with a __main__.py
  -m MODULE [args]  a module or package
  -c CODE [args]    the text itself
  - [args]          the text on standard input

examples:
  ferrio run app.py --port 8080
  ferrio run --debug -m myservice
  ferrio run --loop asyncio app.py               the same on asyncio, to compare
  ferrio run --loop-only app.py                  ferrio's loop under asyncio's own classes
  python -X dev -m ferrio run app.py             options of the interpreter go to the interpreter

  ferrio run -m uvicorn --loop none app:main     see below

programs that choose a loop themselves:
  What names a loop's class or calls uvloop.install() gets what it asks for. uvicorn does, unless it
  is told not to, or told to use ferrio: uvicorn --loop ferrio:new_event_loop app:main

signals:
  Ctrl-C   as always: cancels the main task; KeyboardInterrupt if the program does not catch it
  SIGTERM  while a loop runs, the first one does what Ctrl-C does, so that `finally`, `async with`
           and shutdown code run; the second one kills. A handler of the program's own is left
           alone, and while no loop runs SIGTERM kills at once, as always.

exit status:
  as `python`'s: that of sys.exit, 1 after an uncaught exception, 2 if FILE cannot be opened, death
  by SIGINT (130 in a shell) after an uncaught KeyboardInterrupt. Death by SIGTERM (143) after a
  SIGTERM, unless the program calls sys.exit with a status of its own.
"""

INFO_DESCRIPTION = """\
Show what ferrio runs with here: versions, driver, features, and anything about the interpreter and
the system that makes a difference to it. Paste it into bug reports.
"""


def build_parser(command: str | None) -> argparse.ArgumentParser:
    """The parser. `command` is the one that was typed: only its arguments are worth an import."""
    parser = argparse.ArgumentParser(
        prog="ferrio",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        usage="ferrio [-h] [--version] COMMAND ...",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"ferrio {__version__}")
    commands = parser.add_subparsers(
        # Else the usage above would stand before each command's own.
        prog="ferrio",
        dest="command",
        metavar="COMMAND",
        help=argparse.SUPPRESS,
    )

    run = commands.add_parser(
        "run",
        description=RUN_DESCRIPTION,
        epilog=RUN_EXAMPLES,
        usage="ferrio run [--debug] [--loop LOOP] [--loop-only] [--c-tasks]\n"
        "                  (FILE | -m MODULE | -c CODE | -) [args ...]",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    run.add_argument(
        "--debug",
        action="store_true",
        help="turn on asyncio's debug mode in every loop: slow callbacks, calls from wrong threads",
    )
    run.add_argument(
        "--loop",
        choices=["ferrio", "asyncio", "uvloop"],
        default="ferrio",
        help="the loop to run on, for comparing (default: ferrio)",
    )
    run.add_argument(
        "--loop-only",
        action="store_true",
        help="leave asyncio's own locks, queues, streams and functions over tasks in place",
    )
    run.add_argument(
        "--c-tasks",
        action="store_true",
        help="have tasks and futures be asyncio's own types instead of ferrio's",
    )
    kind = run.add_mutually_exclusive_group()
    kind.add_argument("-m", dest="is_module", action="store_true", help="run a module")
    kind.add_argument("-c", dest="is_command", action="store_true", help="run text")
    # Everything from the program's name on is the program's, options included.
    run.add_argument("program", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    run.set_defaults(error=run.error)

    bench = commands.add_parser(
        "bench",
        description="Measure ferrio beside the other loops that are installed, on this machine.",
        allow_abbrev=False,
    )
    if command == "bench":
        from . import _bench

        _bench.add_arguments(bench)

    info = commands.add_parser("info", description=INFO_DESCRIPTION, allow_abbrev=False)
    info.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv`, by default the process's, and return the exit status."""
    if argv is None:
        argv = sys.argv[1:]
    command = argv[0] if argv else None
    parser = build_parser(command)
    options = parser.parse_args(argv)
    match options.command:
        case "run":
            return run(options)
        case "bench":
            from . import _bench

            return _bench.run(options)
        case "info":
            from . import _info

            return _info.print_info(as_json=options.json)
        case _:
            parser.print_help()
            return 0


def run(options: argparse.Namespace) -> int:
    """`ferrio run`."""
    from . import _run

    if not options.program:
        what = "MODULE" if options.is_module else "CODE" if options.is_command else "FILE"
        options.error(f"{what} is missing (try: ferrio run --help)")
    target, *arguments = options.program
    program: _run.Program
    if options.is_module:
        program = _run.Module(target)
    elif options.is_command:
        program = _run.Command(target)
    elif target == "-":
        program = _run.StandardInput()
    else:
        program = _run.Script(target)
    return _run.run(
        program,
        arguments,
        loop=options.loop,
        debug=options.debug,
        c_tasks=options.c_tasks,
        loop_only=options.loop_only,
    )


if __name__ == "__main__":
    sys.exit(main())

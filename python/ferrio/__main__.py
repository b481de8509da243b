"""The command `ferrio`, also `python -m ferrio`."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

from . import __version__, _mistakes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import _choice, _run

#: For shells that show a word beside what they complete.
SUMMARIES = {
    "run": "run a program on ferrio",
    "compare": "what a program takes on each loop",
    "cookbook": "programs to read and to run",
    "bench": "measure loops on this machine",
    "jupyter": "a kernel for notebooks",
    "info": "what ferrio runs with here",
    "completion": "a script for the shell",
}
COMMANDS = tuple(SUMMARIES)

VERSION = f"ferrio {__version__}"

DESCRIPTION = """\
asyncio, all of it, in Rust.

commands:
  run         run an unmodified asyncio program on ferrio
  compare     run a program on asyncio, uvloop and ferrio: what it takes on each
  cookbook    list, show and run programs for all that asyncio is used for
  bench       measure ferrio beside asyncio, uvloop and other loops
  jupyter     install a kernel for notebooks that runs on ferrio
  info        what ferrio runs with here: what to put into a bug report
  completion  have the shell complete commands and options
"""

EXAMPLES = """\
examples:
  ferrio run app.py --port 8080     a file; what follows it is the program's
  ferrio run -m package.module      a module
  ferrio run --reload app.py        again whenever a file changes
  ferrio run -m asyncio             an interactive prompt with await, on ferrio
  ferrio compare app.py             what it takes on each loop
  ferrio cookbook run sockets       a recipe
  ferrio bench --quick              one minute of measuring
  ferrio info --json                for scripts

`ferrio COMMAND --help` says more about each.
"""

RUN_DESCRIPTION = """\
Run a program on ferrio, as `python` would run it: the same arguments, module
__main__, tracebacks and exit status. Every loop that the program makes without
naming a class or a factory is a ferrio loop: by asyncio.run, asyncio.Runner or
asyncio.new_event_loop. And asyncio's locks, queues, streams and functions over
tasks are ferrio's. The program is not changed and needs no import of ferrio.
Python processes that it starts run on ferrio, too.
"""

RUN_EXAMPLES = """\
what to run:
  FILE [args]       a Python file, or a folder or zip archive with a
                    __main__.py; or the name of a command that is written in
                    Python, such as uvicorn or pytest
  -m MODULE [args]  a module or package
  -c CODE [args]    the text itself
  - [args]          the text on standard input

examples:
  ferrio run app.py --port 8080
  ferrio run --debug -m myservice
  ferrio run --loop asyncio app.py         the same on asyncio, to compare
  ferrio run --loop-only app.py            ferrio's loop, asyncio's own classes
  ferrio run -X dev -W error -u app.py     options of the interpreter
  ferrio run uvicorn --workers 4 app:main  as `uvicorn --workers 4 app:main`
  ferrio run --reload --watch src app.py   again when something in src changes
  ferrio run --profile app.py              a flame graph of it

programs that choose a loop themselves:
  Who asks for uvloop gets ferrio, unless --keep-loops is given. Who names
  another loop gets that one. A line on standard error says either.

signals:
  Ctrl-C   as always: cancels the main task; KeyboardInterrupt if the program
           does not catch it
  SIGTERM  while a loop runs, the first one does what Ctrl-C does, so that
           `finally`, `async with` and shutdown code run; the second one kills.
           A handler of the program's own is left alone, and while no loop runs
           SIGTERM kills at once, as always.

exit status:
  as `python`'s: that of sys.exit, 1 after an uncaught exception, 2 if FILE
  cannot be opened, death by SIGINT (130 in a shell) after an uncaught
  KeyboardInterrupt. Death by SIGTERM (143) after a SIGTERM, unless the program
  calls sys.exit with a status that says something else.
"""

COOKBOOK_DESCRIPTION = """\
Programs for everything that asyncio is used for: to read, to run, to change.
They know nothing of ferrio, and run on plain asyncio as well.
"""

COOKBOOK_COMMANDS = """\
commands:
  ferrio cookbook [list]           the recipes, with their needs and duration
  ferrio cookbook show NAME        a recipe's README and its files
  ferrio cookbook show NAME FILE   one of its files
  ferrio cookbook copy NAME        into the folder examples, to be changed
  ferrio cookbook run NAME [args]  run it, as `ferrio run` would

examples:
  ferrio cookbook run sockets
  ferrio cookbook run sockets --help          what this recipe can do
  ferrio cookbook run --loop asyncio sockets  the same on asyncio, to compare
"""

INFO_DESCRIPTION = """\
Show what ferrio runs with here: versions, driver, what is fast and what is not,
what is patched, and what to do about it. Paste it into bug reports.
"""

COMPLETION_DESCRIPTION = """\
Print a script that has the shell complete ferrio's commands, options, recipes
and files when Tab is pressed. It is made by shtab (pip install shtab).

bash:
  ferrio completion bash > ~/.local/share/bash-completion/completions/ferrio
zsh, with a folder of your own in fpath, before compinit is called:
  ferrio completion zsh > ~/.zsh/completions/_ferrio
fish:
  ferrio completion fish > ~/.config/fish/completions/ferrio.fish

Then open another shell.
"""


def build_parser(command: str | None) -> _mistakes.Parser:
    """The parser. `command` is the one that was typed: only its arguments are worth an import.

    That of `completion` has them all.
    """
    parser = _mistakes.Parser(
        prog="ferrio",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        usage="ferrio [-h] [--version] COMMAND ...",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=VERSION)
    commands = parser.add_subparsers(
        # Else the usage above would stand before each command's own.
        prog="ferrio",
        dest="command",
        metavar="COMMAND",
        help=argparse.SUPPRESS,
    )

    run = commands.add_parser(
        "run",
        help=SUMMARIES["run"],
        description=RUN_DESCRIPTION,
        epilog=RUN_EXAMPLES,
        usage="ferrio run [--debug] [--loop LOOP] [--loop-only] [--c-tasks]\n"
        "                  [--keep-loops] [--no-children] [--profile[=FILE]]\n"
        "                  [--reload] [--watch PATH]\n"
        "                  (FILE | -m MODULE | -c CODE | -) [args ...]",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_run_options(run)
    add_developer_options(run)
    # As `python --version` answers, which many type to see that a command is there.
    run.add_argument("--version", action="version", version=VERSION, help=argparse.SUPPRESS)
    kind = run.add_mutually_exclusive_group()
    kind.add_argument("-m", dest="is_module", action="store_true", help="run a module")
    kind.add_argument("-c", dest="is_command", action="store_true", help="run text")
    # Everything from the program's name on is the program's, options included.
    run.add_argument("program", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    run.set_defaults(error=run.error)

    compare = commands.add_parser("compare", help=SUMMARIES["compare"], allow_abbrev=False)
    if command in ("compare", "completion"):
        from . import _compare

        _compare.add_arguments(compare)

    cookbook = commands.add_parser(
        "cookbook",
        help=SUMMARIES["cookbook"],
        description=COOKBOOK_DESCRIPTION,
        epilog=COOKBOOK_COMMANDS,
        usage="ferrio cookbook [-h] [list | show NAME [FILE] | copy NAME |\n"
        "                       run [options] NAME [args ...]]",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_cookbook_commands(cookbook)

    bench = commands.add_parser(
        "bench",
        help=SUMMARIES["bench"],
        description="Measure ferrio beside the other loops that are installed, on this machine.",
        allow_abbrev=False,
    )
    if command in ("bench", "completion"):
        from . import _bench

        _bench.add_arguments(bench)

    jupyter = commands.add_parser("jupyter", help=SUMMARIES["jupyter"], allow_abbrev=False)
    if command in ("jupyter", "completion"):
        from . import _jupyter

        _jupyter.add_arguments(jupyter)

    info = commands.add_parser(
        "info",
        help=SUMMARIES["info"],
        description=INFO_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    info.add_argument("--json", action="store_true", help="print one JSON object instead of text")

    completion = commands.add_parser(
        "completion",
        help=SUMMARIES["completion"],
        description=COMPLETION_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    completion.add_argument(
        "shell", nargs="?", choices=["bash", "zsh", "fish"], help="bash, zsh or fish"
    )
    completion.set_defaults(error=completion.error)
    return parser


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """The options with which a program can be run."""
    parser.add_argument(
        "--debug",
        action="store_true",
        help="turn on asyncio's debug mode in every loop: slow callbacks, calls from wrong threads",
    )
    parser.add_argument(
        "--loop",
        choices=["ferrio", "asyncio", "uvloop", "rloop", "zuvloop", "aiofastnet"],
        default="ferrio",
        help="the loop to run on, to compare (default: ferrio); or see `ferrio compare`",
    )
    parser.add_argument(
        "--loop-only",
        action="store_true",
        help="leave asyncio's own locks, queues, streams and functions over tasks in place",
    )
    parser.add_argument(
        "--c-tasks",
        action="store_true",
        help="have tasks and futures be asyncio's own types instead of ferrio's",
    )
    parser.add_argument(
        "--keep-loops",
        action="store_true",
        help="give a program that asks for uvloop what it asks for, instead of ferrio",
    )
    parser.add_argument(
        "--no-children",
        action="store_true",
        help="leave Python processes that the program starts on what they choose themselves",
    )


def add_developer_options(parser: argparse.ArgumentParser) -> None:
    """What is of use while a program is being written."""
    parser.add_argument(
        "--profile",
        metavar="FILE",
        help="find out where the time goes, by py-spy if that is installed, else by cProfile; "
        "FILE, as in --profile=FILE, ends in .svg, .json, .txt or .prof",
    )
    parser.add_argument(
        "--reload",
        action="store_true",
        help="start the program again whenever a Python file in its folder changes",
    )
    parser.add_argument(
        "--watch",
        action="append",
        default=[],
        metavar="PATH",
        help="with --reload, look at this file or at all in this folder instead; may be repeated",
    )


def add_cookbook_commands(cookbook: argparse.ArgumentParser) -> None:
    """What can be done with recipes; `ferrio cookbook` alone lists them."""
    commands = cookbook.add_subparsers(
        prog="ferrio cookbook", dest="cookbook_command", metavar="COMMAND", help=argparse.SUPPRESS
    )
    commands.add_parser(
        "list",
        help="list the recipes",
        description="List the recipes, what they need and how long they take.",
        allow_abbrev=False,
    )
    show = commands.add_parser(
        "show",
        help="print a recipe",
        description="Print a recipe's README and what files it has.",
        allow_abbrev=False,
    )
    show.add_argument("name", metavar="NAME", help="a name that `ferrio cookbook` lists")
    show.add_argument("file", metavar="FILE", nargs="?", help="a file of the recipe, to be printed")
    copy = commands.add_parser(
        "copy",
        help="copy a recipe, to be changed",
        description="Copy a recipe into the folder `examples` here, to be changed.",
        allow_abbrev=False,
    )
    copy.add_argument("name", metavar="NAME", help="a name that `ferrio cookbook` lists")
    run = commands.add_parser(
        "run",
        help="run a recipe",
        description="Run a recipe on ferrio, as `ferrio run` would run its folder.",
        usage="ferrio cookbook run [options] NAME [args ...]",
        allow_abbrev=False,
    )
    add_run_options(run)
    run.add_argument("program", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    run.set_defaults(error=run.error)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv`, by default the process's, and return the exit status."""
    if argv is None:
        argv = sys.argv[1:]
    command = argv[0] if argv else None
    parser = build_parser(command)
    if command == "run":
        argv = ["run", *without_interpreter_options(argv[1:])]
    elif command not in (None, *COMMANDS, "-h", "--help", "--version"):
        parser.error(_mistakes.instead_of_command(argv, COMMANDS))
    _mistakes.Parser.typed = argv
    options, unknown = parser.parse_known_args(argv)
    if unknown:
        refuse(unknown, argv, parser)
    match options.command:
        case "run":
            return run(options, argv[1:])
        case "cookbook" if options.cookbook_command == "run":
            return run_recipe(options)
    try:
        status = say(options, parser)
        sys.stdout.flush()
    except BrokenPipeError:
        return end_of_readers()
    return status


def refuse(unknown: Sequence[str], argv: Sequence[str], parser: _mistakes.Parser) -> NoReturn:
    """Speak of words that no command takes, in the name of the command."""
    innermost = parser
    for word in argv:
        for action in innermost._actions:
            if isinstance(action, argparse._SubParsersAction) and word in action.choices:
                innermost = action.choices[word]
    innermost.refuse(unknown)


def without_interpreter_options(words: Sequence[str]) -> list[str]:
    """The words behind `ferrio run`. With those for the interpreter it is started anew."""
    from ._command_line import CommandLine, MistakeError, start_again

    try:
        line = CommandLine.parse(words)
        if line.interpreter:
            start_again(line)
    except MistakeError as mistake:
        mistaken(mistake)
    return [*line.own, *line.program]


def mistaken(mistake: Exception) -> NoReturn:
    print(f"ferrio run: {mistake}", file=sys.stderr)
    sys.exit(2)


def say(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """The commands that answer by printing something."""
    match options.command:
        case "cookbook":
            return cookbook(options)
        case "compare":
            from . import _compare

            return _compare.run(options)
        case "bench":
            from . import _bench

            return _bench.run(options)
        case "jupyter":
            from . import _jupyter

            return _jupyter.run(options)
        case "info":
            from . import _info

            return _info.print_info(as_json=options.json)
        case "completion":
            from . import _completion

            if options.shell is None:
                options.error("the shell is missing, as in: ferrio completion bash")
            return _completion.print_script(options.shell)
        case _:
            parser.print_help()
            return 0


def run(options: argparse.Namespace, words: Sequence[str]) -> int:
    """`ferrio run WORDS`."""
    from ._command_line import MistakeError

    if not options.program:
        what = "MODULE" if options.is_module else "CODE" if options.is_command else "FILE"
        mistaken(MistakeError(_mistakes.nothing_to_run(what)))
    try:
        if options.watch and not options.reload:
            paths = " ".join(f"--watch {path}" for path in options.watch)
            raise MistakeError(f"--watch belongs to --reload: ferrio run --reload {paths} ...")
        if options.reload and options.profile is not None:
            raise MistakeError("--profile profiles one run, so it does not go with --reload")
        if options.reload:
            from . import _reload

            program_of(options)
            return _reload.run(words, options.watch)
        program = program_of(options)
        arguments = options.program[1:]
        with contextlib.ExitStack() as stack:
            if options.profile is not None:
                from . import _profile

                is_named = not (options.is_command or options.program[0] == "-")
                name = options.program[0] if is_named else "program"
                stack.enter_context(_profile.profiling(options.profile, name))
            return run_program(program, arguments, options)
    except MistakeError as mistake:
        mistaken(mistake)


def run_program(
    program: _run.Program, arguments: Sequence[str], options: argparse.Namespace
) -> int:
    from . import _run

    return _run.run(
        program,
        arguments,
        choice=choice_of(options),
        children=not options.no_children,
    )


def program_of(options: argparse.Namespace) -> _run.Program:
    """What is to be run.

    Raises:
        MistakeError: Something else is meant.
    """
    from . import _run, _scripts
    from ._command_line import MistakeError

    target, *arguments = options.program
    if options.is_module:
        return _run.Module(target)
    if options.is_command:
        return _run.Command(target)
    if target == "-":
        return _run.StandardInput()
    file = _scripts.file_of(target, arguments)
    if file == target and (instead := _mistakes.instead_of_file(target, arguments)):
        raise MistakeError(instead)
    return _run.Script(file)


def choice_of(options: argparse.Namespace) -> _choice.Choice:
    """What `add_run_options` has asked for."""
    from . import _choice

    return _choice.Choice(
        loop=options.loop,
        debug=options.debug,
        c_tasks=options.c_tasks,
        loop_only=options.loop_only,
        keep_loops=options.keep_loops,
    )


def run_recipe(options: argparse.Namespace) -> int:
    """`ferrio cookbook run`."""
    from . import _cookbook

    if not options.program:
        options.error("NAME is missing (try: ferrio cookbook)")
    name, *arguments = options.program
    return _cookbook.run(
        name,
        arguments,
        choice=choice_of(options),
        children=not options.no_children,
    )


def cookbook(options: argparse.Namespace) -> int:
    """`ferrio cookbook`, without running anything."""
    from . import _cookbook

    if options.cookbook_command == "show":
        return _cookbook.show(options.name, options.file)
    if options.cookbook_command == "copy":
        return _cookbook.copy(options.name)
    return _cookbook.list_recipes()


def end_of_readers() -> int:
    """`ferrio info | head`: whoever reads has read enough. The status that a shell shows for it."""
    # What is left in the buffer would be written at the end of the interpreter.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 128 + getattr(signal, "SIGPIPE", 13)  # not on Windows


if __name__ == "__main__":
    status = main()
    # `python -i` asks for more, and would first speak of an exit.
    if status or not sys.flags.interactive:
        sys.exit(status)

"""Subprocesses: reading along, talking, many at once, and getting rid of them.

    ferrio run examples/subprocesses                      all of it, small
    ferrio run examples/subprocesses follow [COMMAND ...] output line by line
    ferrio run examples/subprocesses talk                 a conversation, and a pipeline
    ferrio run examples/subprocesses encrypt --tool gpg   a hundred encryptions, a few at a time
    ferrio run examples/subprocesses patience             time-outs, SIGTERM, SIGKILL, groups

`python` in place of `ferrio run` runs the same on asyncio. Needs a Unix, openssl or gpg.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys

import encrypt
import follow
import patience
import talk


async def main(options: argparse.Namespace) -> int:
    loop = type(asyncio.get_running_loop())
    print(f"running on {loop.__module__}.{loop.__qualname__}", flush=True)
    match options.program:
        case "follow":
            return await follow.run(options.command)
        case "talk":
            await talk.run(options.limit, options.seed, options.words)
        case "encrypt":
            await encrypt.run(options.tool, options.documents, options.limit)
        case "patience":
            await patience.run(options.grace)
        case _:
            await follow.run([])
            await talk.run(1000, 7, 500)
            tool = next(filter(shutil.which, ("openssl", "gpg")), None)
            if tool is not None:
                await encrypt.run(tool, 100, [1, 8])
            await patience.run(0.3)
            if tool is None:
                print(
                    "encrypt: left out: it needs openssl or gpg, and neither is on PATH"
                    " (Debian: apt-get install openssl)"
                )
    return 0


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="subprocesses",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    programs = parser.add_subparsers(dest="program", metavar="PROGRAM")

    def add(name: str, module: object) -> argparse.ArgumentParser:
        text = module.__doc__ or ""
        return programs.add_parser(
            name,
            help=text.partition("\n")[0],
            description=text,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    along = add("follow", follow)
    along.add_argument(
        "command", nargs=argparse.REMAINDER, help="to run (default: something like a build)"
    )
    chat = add("talk", talk)
    chat.add_argument(
        "--limit", type=int, default=1_000_000, help="of the number (default: 1000000)"
    )
    chat.add_argument("--seed", type=int, default=1, help="of the game (default: 1)")
    chat.add_argument("--words", type=int, default=100_000, help="to sort (default: 100000)")
    secret = add("encrypt", encrypt)
    secret.add_argument("--tool", choices=["openssl", "gpg"], default="openssl", help="to run")
    secret.add_argument("--documents", type=int, default=100, help="at once (default: 100)")
    secret.add_argument(
        "--limit", type=int, nargs="+", default=[8], help="processes at a time (default: 8)"
    )
    kill = add("patience", patience)
    kill.add_argument("--grace", type=float, default=1, help="seconds before SIGKILL (default: 1)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(main(parse(sys.argv[1:]))))
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as problem:
        sys.exit(f"subprocesses: {problem}")

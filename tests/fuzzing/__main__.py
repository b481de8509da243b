"""Fuzzing from Python's side.

python -m tests.fuzzing programs            random programs, on asyncio and on ferrio
python -m tests.fuzzing attributes          every attribute of native objects, odd arguments
python -m tests.fuzzing --seconds 60        both, a minute each
"""

from __future__ import annotations

import argparse
import random
import sys

from .attributes import campaign as attributes
from .programs import campaign
from .programs.grammar import Grammar
from .programs.worker import CONFIGURATIONS, REFERENCE


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzzing", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("tool", nargs="?", choices=["programs", "attributes"], help="one of them")
    parser.add_argument("--seed", type=int, help="the first seed; by default a random one")
    parser.add_argument("--seconds", type=float, default=60, help="for each tool (default 60)")
    parser.add_argument("--most", metavar="N", type=int, help="no more random programs than these")
    parser.add_argument("--replay", metavar="SEED", type=int, help="this program only, shown")
    parser.add_argument(
        "--python",
        default=sys.executable,
        help="the interpreter whose ferrio has its attributes called: see CONTRIBUTING.md",
    )
    parser.add_argument("--keep-going", action="store_true", help="after a failure, too")
    parser.add_argument(
        "--in",
        dest="configurations",
        action="append",
        choices=[name for name in CONFIGURATIONS if name != REFERENCE],
        help="run programs in this configuration only; may be repeated",
    )
    options = parser.parse_args()
    seed = random.randrange(10**9) if options.seed is None else options.seed
    configurations = options.configurations or CONFIGURATIONS
    if options.replay is not None:
        print(Grammar(str(options.replay)).program().source())
        return campaign.run(options.replay, 0.001, configurations, keeps_going=True)
    failures = 0
    if options.tool in (None, "programs"):
        failures += campaign.run(
            seed,
            options.seconds,
            configurations,
            keeps_going=options.keep_going,
            most=options.most,
        )
    if options.tool in (None, "attributes"):
        failures += attributes.run(
            seed, options.seconds, options.python, keeps_going=options.keep_going
        )
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())

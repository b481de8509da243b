"""`python -m ferrio._bench`: the benchmarks without the command `ferrio`."""

from __future__ import annotations

import argparse
import sys

from . import add_arguments, run

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m ferrio._bench")
    add_arguments(parser)
    sys.exit(run(parser.parse_args()))

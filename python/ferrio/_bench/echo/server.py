"""The measured process: one echo server on one loop.

Writes `{"target": [...]}` once it listens. A thread that sleeps in a read of stdin takes
commands, so that the loop has nothing to do with them:

- `compute CPU`: start a thread that runs Python code without pause, on that CPU (-: the loop's);
- `progress`: write `{"rounds": how far that thread is, "at": seconds of the monotonic clock}`;
- end of file: the parent is gone, and so are we.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import threading
import time

from .. import allocator, descriptors, loops
from ..cpus import pin
from .address import Address

KINDS = ("protocol", "buffered", "streams", "sockets", "datagram")


class Computing(threading.Thread):
    """Pure Python without end: what a neighbour in the process does to the loop through the GIL."""

    def __init__(self, cpu: int | None) -> None:
        super().__init__(daemon=True)
        self.cpu = cpu
        self.rounds = 0

    def run(self) -> None:
        if self.cpu is not None:
            pin(0, {self.cpu})
        while True:
            for number in range(1000):
                number * number
            self.rounds += 1


def obey() -> None:
    computing: Computing | None = None
    for line in sys.stdin:
        match line.split():
            case ["compute", cpu]:
                computing = Computing(None if cpu == "-" else int(cpu))
                computing.start()
            case ["progress"] if computing is not None:
                reply = {"rounds": computing.rounds, "at": time.monotonic()}
                print(json.dumps(reply), flush=True)
            case other:
                raise ValueError(f"unknown command {other}")
    os._exit(0)


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--loop", required=True)
    parser.add_argument("--kind", required=True, choices=KINDS)
    parser.add_argument("--unix")
    parser.add_argument("--certificate")
    parser.add_argument("--fresh", action="store_true", help="leave the allocator as it starts")
    args = parser.parse_args(argv)
    serve = importlib.import_module(f".{args.kind}", __package__).serve
    descriptors.raise_limit()
    if not args.fresh:
        allocator.settle()
    loop = loops.factory(args.loop)()
    address = Address(args.unix, args.certificate, udp=args.kind == "datagram")
    loop.run_until_complete(serve(address))
    threading.Thread(target=obey, daemon=True).start()
    print(json.dumps({"target": address.target}), flush=True)
    loop.run_forever()

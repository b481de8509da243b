"""examples/sockets"""

from __future__ import annotations

import contextlib
import re
import signal
import socket
from collections.abc import Iterator

import pytest

from .conftest import PATIENCE, Cookbook, LoopName, Running


@pytest.fixture
def tea_room(cookbook: Cookbook, loop: LoopName) -> Iterator[Running]:
    """The service, with a deadline longer than any test waits."""
    with cookbook.start("sockets", "serve", "--drain", "600", loop=loop) as running:
        yield running


@contextlib.contextmanager
def guest(port: int) -> Iterator[socket.socket]:
    """Somebody who was let in: the service has answered."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
        connection.sendall(b"water\n")
        assert connection.recv(100) == b"please order a number of seconds\n"
        yield connection


def port_of(running: Running) -> int:
    return int(running.until(r"^listening on 127\.0\.0\.1:(\d+)$")[1])


def read_all(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize("server", ["blocking", "selectors", "loop", "streams"])
def test_servers(cookbook: Cookbook, loop: LoopName, server: str) -> None:
    arguments = ("--visitors", "20", "--questions", "4")
    output = cookbook("sockets", server, *arguments, loop=loop).stdout
    found = re.search(r"^  (\d+) answers in .* at most (\d+) visitors", output, re.MULTILINE)
    assert found is not None, output
    answers, at_once = map(int, found.groups())
    assert answers == 80
    assert at_once == 1 if server == "blocking" else 1 < at_once <= 20


def test_all_programs_run_without_arguments(cookbook: Cookbook, loop: LoopName) -> None:
    done = cookbook("sockets", loop=loop)
    assert done.stderr == ""
    assert done.stdout.startswith(f"running on {loop}.")
    assert done.stdout.count("30 answers in") == 4
    assert done.stdout.endswith(
        "SIGTERM: closing\n"
        "1 without an order, 2 have 2 s\n"
        "sent home: 1, served: 1, cut off: 1\n"
        "the idle guest got: we are closed\n"
        "the quick guest got: your tea of 0.3 seconds, we are closed\n"
        "the long guest got: we are closed\n"
        "a new guest found the door closed\n"
    )


def test_service_serves(tea_room: Running) -> None:
    with guest(port_of(tea_room)) as connection:
        connection.sendall(b"0\n0.01\n")
        received = b""
        while received.count(b"\n") < 2:
            received += connection.recv(100)
        assert received == b"your tea of 0 seconds\nyour tea of 0.01 seconds\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_idle_guests_are_sent_home_at_once(tea_room: Running, number: signal.Signals) -> None:
    port = port_of(tea_room)
    with guest(port) as one, guest(port) as another:
        tea_room.send_signal(number)
        assert read_all(one) == read_all(another) == b"we are closed\n"
    done = tea_room.finish()
    assert (done.returncode, done.stderr) == (0, "")
    assert f"\n{number.name}: closing\n" in done.stdout
    assert done.stdout.endswith("sent home: 2, served: 0, cut off: 0\n")


def test_an_order_is_served_after_the_signal(tea_room: Running) -> None:
    port = port_of(tea_room)
    with guest(port) as one:
        one.sendall(b"3\n")
        wait_until_read(port)
        tea_room.send_signal(signal.SIGTERM)
        tea_room.until("^0 without an order, 1 have 600 s$")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), PATIENCE)
        assert read_all(one) == b"your tea of 3 seconds\nwe are closed\n"
    done = tea_room.finish()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("sent home: 0, served: 1, cut off: 0\n")


def test_a_second_signal_does_not_wait(tea_room: Running) -> None:
    port = port_of(tea_room)
    with guest(port) as one:
        one.sendall(b"3600\n")
        wait_until_read(port)
        tea_room.send_signal(signal.SIGTERM)
        tea_room.until("^0 without an order, 1 have 600 s$")
        tea_room.send_signal(signal.SIGTERM)
        assert read_all(one) == b"we are closed\n"
    done = tea_room.finish()
    assert (done.returncode, done.stderr) == (0, "")
    assert "SIGTERM: closing at once\n" in done.stdout
    assert done.stdout.endswith("sent home: 0, served: 0, cut off: 1\n")


def wait_until_read(port: int) -> None:
    """Returns when the service has read what was sent: one who came later has been answered."""
    with guest(port):
        pass

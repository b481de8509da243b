"""The rows of clients, and what they talk to."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.parse

import pytest
from ferrio._bench.child import Child, ChildError
from ferrio._bench.clients import http_server, postgres
from ferrio._bench.clients.row import CLIENT_ROWS, ClientRow
from ferrio._bench.cpus import Placement
from ferrio._bench.row import Effort

SHORT = Effort(0.05, Placement.of_this_machine(), None)
ROWS = pytest.mark.parametrize("row", CLIENT_ROWS, ids=[row.name for row in CLIENT_ROWS])


@ROWS
def test_a_client_is_measured(row: ClientRow) -> None:
    if reason := row.missing():
        pytest.skip(reason)
    measured = row.measure("asyncio", SHORT)
    assert measured.value > 0
    assert measured.details["requests_per_second"] > 0


@ROWS
def test_a_loop_that_is_not_there_is_told(row: ClientRow) -> None:
    if reason := row.missing():
        pytest.skip(reason)
    with pytest.raises(ChildError, match="no_such_loop"):
        row.measure("no_such_loop", SHORT)


@ROWS
def test_a_package_that_is_not_there_is_named(
    row: ClientRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert row.missing() == f"needs pip install {row.package}"


@pytest.mark.parametrize("cuts", [[], [5], [17, 18, 19], [18 * 2 + 3]])
def test_the_server_answers_each_request_once_however_it_is_cut(cuts: list[int]) -> None:
    request = b"GET / HTTP/1.1" + http_server.END
    sent = request * 3
    with Child.of_package("clients.http_server", []) as server:
        port = urllib.parse.urlsplit(server.receive()["address"]).port
        assert port is not None
        with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True):
                client.sendall(sent[start:end])
            expected = http_server.ANSWER * 3
            received = b""
            while len(received) < len(expected):
                received += client.recv(65536)
    assert received == expected


def test_a_family_has_its_grandchildren() -> None:
    if not os.path.exists(f"/proc/{os.getpid()}/task/{os.getpid()}/children"):
        pytest.skip("needs a kernel that lists children")
    shell = subprocess.Popen(["sh", "-c", "sleep 1000 & wait"], start_new_session=True)
    try:
        deadline = time.monotonic() + 30
        while len(found := postgres.family(shell.pid)) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert found[0] == shell.pid
    finally:
        os.killpg(shell.pid, signal.SIGKILL)
        shell.wait()

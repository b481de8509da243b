"""The rows of clients, and what they talk to."""

from __future__ import annotations

import os
import socket
import urllib.parse
from pathlib import Path

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


def test_postgres_serves_where_the_load_is() -> None:
    if reason := postgres.missing():
        pytest.skip(reason)
    cpus = SHORT.placement.load
    if cpus is None:
        pytest.skip("needs two CPUs")
    server, _ = postgres.started(frozenset(cpus))
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    assert children
    for pid in (server.pid, *map(int, children)):
        assert os.sched_getaffinity(pid) == cpus

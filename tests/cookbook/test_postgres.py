"""Postgres with asyncpg, on a server of the program's own."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from .conftest import CLASSES, PATIENCE, Cookbook, LoopName
from .embedded import private_server, programs


@pytest.fixture(autouse=True)
def _postgres(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in programs().items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("DATABASE_URL", raising=False)


def test_all_programs_in_one_go(cookbook: Cookbook, loop: LoopName) -> None:
    lines = cookbook("postgres", "--rides", "500", loop=loop).stdout.splitlines()
    assert lines[0] == f"running on {CLASSES[loop]}"
    sections = [line.partition(":")[0] for line in lines if re.match(r"[a-z]+: ", line)]
    assert sections == ["schema", "load", "pool", "transactions", "cursors"]


def test_the_schema_refuses_what_must_not_be(cookbook: Cookbook, loop: LoopName) -> None:
    output = cookbook("postgres", "schema", loop=loop).stdout
    assert "ride  id, card_id, from_stop, to_stop, boarded_at, fare" in output
    assert "-1): CheckViolationError" in output
    assert "'ghost', 100): InvalidTextRepresentationError" in output


def test_every_way_of_loading_brings_all_rows(cookbook: Cookbook, loop: LoopName) -> None:
    output = cookbook("postgres", "load", "--rides", "3000", loop=loop).stdout
    assert re.findall(r" (\d+) rows", output) == ["2000", "2000", "3000", "3000", "3000"]


def test_a_pool_lends_connections(cookbook: Cookbook, loop: LoopName) -> None:
    output = cookbook("postgres", "pool", "--rides", "2000", loop=loop).stdout
    assert "InterfaceError: cannot perform operation: another operation is in progress" in output
    assert "with 8 of 8 lent: TimeoutError" in output
    fares = re.search(r"fares: adult ([\d.]+), child ([\d.]+), senior ([\d.]+)", output)
    assert fares is not None
    assert all(float(fare) > 0 for fare in fares.groups())
    assert "rides counted: 2000 of 2000" in output


def test_transactions_keep_what_was_promised(cookbook: Cookbook, loop: LoopName) -> None:
    output = cookbook("postgres", "transactions", loop=loop).stdout
    assert "too much: CheckViolationError (balance_is_not_negative)" in output
    assert "money in the system unchanged: True" in output
    assert "errors caught: 0 kept; ForeignKeyViolationError, InFailedSQLTransactionError" in output
    assert "a savepoint each: 90 kept, 10 refused" in output
    assert "TimeoutError, nothing changed: True" in output
    assert (
        "repeatable_read: done at attempt 1, done at attempt 1; 0.00 left, which breaks the rule"
        in output
    )
    assert "serializable: done at attempt 1, refused at attempt 2; 10.00 left, as agreed" in output


def test_cursors_stream(cookbook: Cookbook, loop: LoopName) -> None:
    output = cookbook("postgres", "cursors", "--rides", "5000", loop=loop).stdout
    measured = re.findall(r" (\d+) rows .* at most +([\d.]+) MB", output)
    (fetched, at_once), (streamed, in_portions) = measured
    assert fetched == streamed == "5000"
    assert float(in_portions) < float(at_once)
    early = re.search(r"before eight: (\d+) rides in (\d+) batches", output)
    assert early is not None
    assert int(early[2]) == -(-int(early[1]) // 100)
    assert "after `break`: 1 of 2 connections free" in output
    assert "after `aclose()`: 2 of 2 free" in output
    assert "skipped 100, then rides [101, 102, 103]" in output
    assert "outside of a transaction: NoActiveSQLTransactionError" in output


def test_a_server_that_is_named_is_used(cookbook: Cookbook, scratch: Path, loop: LoopName) -> None:
    with private_server() as dsn:
        (home,) = scratch.iterdir()
        output = cookbook("postgres", "schema", "--dsn", dsn, loop=loop).stdout
        assert "stop  id, name, zone" in output
        assert [*scratch.iterdir()] == [home], "the program has started a server of its own"
    assert not home.exists()


def test_a_program_that_is_killed_leaves_no_server(
    cookbook: Cookbook, scratch: Path, loop: LoopName
) -> None:
    with cookbook.start("postgres", "load", "--rides", "100000", loop=loop) as program:
        program.until("execute, each by itself")
        (home,) = scratch.iterdir()
        program.process.kill()
    deadline = time.monotonic() + PATIENCE
    while home.exists():
        assert time.monotonic() < deadline, f"{home} is still there"
        time.sleep(0.05)

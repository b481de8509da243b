"""The plots of the documentation show what the tables of bench/README.md say."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from ferrio._bench import plot
from ferrio._bench.results import LoopResult, Results, RowResult
from ferrio._bench.row import Measurement

from .conftest import ROOT, load


@pytest.fixture(scope="module")
def recorded() -> ModuleType:
    return load(ROOT / "docs" / "hooks" / "recorded.py")


def loop_result(*values: float) -> LoopResult:
    return LoopResult([Measurement(value) for value in values])


@pytest.fixture
def measured() -> Results:
    rows = [
        RowResult("echo_1k", "echo", "CPU-µs/request", True),
        RowResult("connects", "echo", "CPU-µs/connection", True),
        RowResult("busy", "beside a thread", "% of throughput kept", False),
    ]
    rows[0].loops = {
        "uvloop": loop_result(10, 10, 10),
        "asyncio": loop_result(12, 13, 16),
        "ferrio": loop_result(8, 7, 9),
    }
    rows[1].loops = {
        "uvloop": loop_result(1000, 1000, 1000),
        "asyncio": LoopResult(error="NotImplementedError"),
        "ferrio": loop_result(1500, 1250, 1750),
    }
    rows[2].loops = {
        "uvloop": loop_result(5, 5, 5),
        "asyncio": loop_result(1, 1, 1),
        "ferrio": loop_result(50, 60, 55),
    }
    environment = {
        "python": "3.14.1",
        "date": "2030-01-02T03:04:05+00:00",
        "cpu": "A CPU, of some kind",
        "cpus": 2,
        "system": "Linux 6.1",
        "compiler": "GCC 12.2",
        "rounds": 3,
        "seconds": 0.25,
        "load_generator": "ferrio-load",
        "load_average": 0.5,
    }
    loops = {"uvloop": "0.22", "asyncio": "3.14.1", "ferrio": "0.1.0"}
    return Results(environment, loops, "uvloop", rows)


def test_what_was_written_is_read(
    script: ModuleType, recorded: ModuleType, measured: Results
) -> None:
    written = script.replace_section("Text.\n", "figures 3.14", "\n".join(script.section(measured)))
    tables = list(recorded.recorded(written))
    assert [(version, group) for version, group, _ in tables] == [
        ("3.14", "echo"),
        ("3.14", "beside a thread"),
    ]
    read = {row.name: row for _, _, results in tables for row in results.rows}
    for row in measured.rows:
        assert read[row.name].lower_is_better == row.lower_is_better
        for loop in ("asyncio", "ferrio"):
            assert read[row.name].loops[loop].error == row.loops[loop].error
            expected = row.ratio(loop, "uvloop")
            found = read[row.name].ratio(loop, "uvloop")
            if expected is None or found is None:
                assert expected is found
                continue
            assert found.median == pytest.approx(expected.median, abs=0.005)
            assert found.least == pytest.approx(expected.least, abs=0.005)
            assert found.most == pytest.approx(expected.most, abs=0.005)
    for _, _, results in tables:
        assert results.environment["rounds"] == "3"
        assert results.environment["cpu"] == "A CPU, of some kind"
        assert results.loops == measured.loops


def test_every_table_of_the_readme_can_be_drawn(recorded: ModuleType, tmp_path: Path) -> None:
    text = (ROOT / "bench" / "README.md").read_text()
    tables = list(recorded.recorded(text))
    # Each table has a head and a line below it.
    section = text.partition("\n## Figures\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    assert sum(len(results.rows) + 2 for _, _, results in tables) == len(lines)
    plot.save(tables[0][2], tmp_path / "plot.svg")
    assert (tmp_path / "plot.svg").read_text().startswith("<?xml")

"""`ferrio bench` runs and writes what it promises. Nothing here looks at how long anything took."""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
from ferrio import _bench
from ferrio._bench import command, rows, table
from ferrio._bench.campaign import steps
from ferrio._bench.cpus import Placement
from ferrio._bench.results import LoopResult, Results, RowResult
from ferrio._bench.row import Effort, Measurement
from ferrio._bench.web import row as web

drawing = pytest.mark.skipif(
    importlib.util.find_spec("rich") is None or importlib.util.find_spec("matplotlib") is None,
    reason="needs ferrio[bench]",
)
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads the CPU clocks of Linux")


def bench(*argv: object) -> int:
    parser = argparse.ArgumentParser()
    _bench.add_arguments(parser)
    return _bench.run(parser.parse_args([str(arg) for arg in argv]))


def test_names_of_rows_are_unique() -> None:
    names = [row.name for row in rows.ALL]
    assert len(names) == len(set(names))


def test_quick_is_a_small_part_of_all() -> None:
    quick = rows.select(rows.ALL, [], quick=True)
    assert 6 <= len(quick) <= 10
    assert len(rows.select(rows.ALL, [], quick=False)) == len(rows.ALL)


def test_list_shows_the_rows_and_runs_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench("--list", "--rows", "echo_*", "sleep0_*") == 0
    shown = capsys.readouterr().out
    assert "echo_protocol_1k" in shown
    assert "sleep0_100_tasks" in shown
    assert "call_soon_batch" not in shown


@pytest.mark.parametrize(
    "argv",
    [
        ["--rows", "no_such_row"],
        ["--plot", "picture.txt"],
        ["--json", "no/such/directory/file.json"],
        ["--load-generator", "no/such/program"],
    ],
)
def test_bad_arguments_are_refused(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert bench(*argv) == 2
    assert "ferrio bench: " in capsys.readouterr().err


def test_the_wheel_carries_the_load_generator() -> None:
    program = Path(command.__file__).with_name("ferrio-load")
    assert command._load_generator() == str(program)
    done = subprocess.run([program, "--help"], capture_output=True, text=True, check=True)
    assert "usage: ferrio-load" in done.stdout


def test_missing_packages_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert bench("--plot", "picture.png") == 2
    message = capsys.readouterr().err
    assert "rich and matplotlib" in message
    assert "pip install 'ferrio[bench]'" in message


@drawing
@linux
@pytest.mark.parametrize(
    ("suffix", "load_generator"), [("png", "ferrio-load"), ("svg", "Python client")]
)
def test_a_short_run_writes_json_and_a_plot(
    suffix: str,
    load_generator: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if load_generator == "Python client":
        monkeypatch.setattr(command, "_load_generator", lambda: None)
    json_path, plot_path = tmp_path / "results.json", tmp_path / f"plot.{suffix}"
    status = bench(
        *("--rows", "call_soon_batch", "echo_streams_1k"),
        *("--loops", "asyncio"),
        *("--rounds", 1, "--seconds", 0.05),
        *("--json", json_path, "--plot", plot_path),
    )
    assert status == 0
    assert "echo_streams_1k" in capsys.readouterr().out
    data = json.loads(json_path.read_text())
    assert data["environment"]["load_generator"] == load_generator
    assert [row["name"] for row in data["rows"]] == ["echo_streams_1k", "call_soon_batch"]
    for row in Results.read(json_path).rows:
        assert row.loops["asyncio"].error is None
        assert [measured.value > 0 for measured in row.loops["asyncio"].rounds] == [True]
    assert plot_path.stat().st_size > 1000


@drawing
@linux
def test_a_row_that_a_loop_cannot_do_is_an_entry_not_an_end(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "results.json"
    # A load generator that is not there fails in the middle of the measurement.
    monkeypatch.setattr("shutil.which", lambda name: "/bin/false")
    argv = ["--rows", "echo_protocol_1k", "--loops", "asyncio", "--rounds", 2, "--json", path]
    assert bench(*argv) == 0
    assert "ended with status 1" in capsys.readouterr().out
    [row] = Results.read(path).rows
    assert row.loops["asyncio"].median is None


def test_loops_take_turns_in_every_round() -> None:
    effort = Effort(0.1, Placement(None, None, None), None)
    plan = list(steps(rows.ALL[:1], ["a", "b", "c"], 3, effort))
    assert [step.loop for step in plan] == [*"abc", *"bca", *"cab"]


def row_result(**values: list[float]) -> RowResult:
    loops = {
        loop: LoopResult([Measurement(value) for value in rounds])
        for loop, rounds in values.items()
    }
    return RowResult("row", "micro", "CPU-ns", lower_is_better=True, loops=loops)


def test_ratios_are_taken_within_rounds() -> None:
    # The machine became three times slower between the rounds: nothing to do with either loop.
    row = row_result(uvloop=[10, 30, 20], ferrio=[5, 15, 11])
    ratio = row.ratio("ferrio", "uvloop")
    assert ratio is not None
    assert (ratio.least, ratio.median, ratio.most) == (0.5, 0.5, 0.55)
    assert row.best() == "ferrio"


def test_a_loop_that_failed_has_no_ratio_and_is_never_best() -> None:
    row = row_result(uvloop=[10], ferrio=[5])
    row.loops["ferrio"].error = "NotImplementedError"
    assert row.ratio("ferrio", "uvloop") is None
    assert row.best() == "uvloop"


@drawing
def test_the_table_shows_a_failed_baseline() -> None:
    from rich.console import Console

    row = row_result(uvloop=[], ferrio=[5])
    row.loops["uvloop"].error = "NotImplementedError: later"
    results = Results({"rounds": 1}, {"uvloop": "1", "ferrio": "1"}, "uvloop", [row])
    console = Console(width=120, record=True)
    table.print_results(results, console)
    shown = console.export_text()
    assert "NotImplementedError" in shown
    assert "5.00 CPU-ns" in shown


def test_the_report_of_wrk_is_read() -> None:
    report = web.parse(
        "  Latency Distribution\n     50%  512.00us\n     99%    1.20ms\n"
        "  20480 requests in 2.00s, 2.50MB read\nRequests/sec:  10240.00\n"
    )
    assert report == web.WrkReport(20480, 2.0, 512.0, 1200.0)


def test_errors_that_wrk_saw_are_not_a_result() -> None:
    text = "  20480 requests in 2.00s, 2.50MB read\n  Socket errors: connect 0, read 3\n"
    with pytest.raises(Exception, match="read 3"):
        web.parse(text)

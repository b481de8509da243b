"""`ferrio bench --growth`: families, curves, and what becomes of sizes that cannot be had."""

from __future__ import annotations

import asyncio
import itertools
import re
import resource
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest
from ferrio._bench import campaign, descriptors
from ferrio._bench.child import ChildError
from ferrio._bench.cpus import Placement
from ferrio._bench.echo.client import spread
from ferrio._bench.growth import crowd, families, timers
from ferrio._bench.growth.curves import Curves, Point, curves
from ferrio._bench.growth.family import Family, row_name, size_of
from ferrio._bench.growth.measured import PASSES
from ferrio._bench.results import LoopResult, Results, RowResult
from ferrio._bench.row import Effort, Measurement
from ferrio._bench.rows import select

from .conftest import environment
from .test_bench import bench, drawing, linux

ROOT = Path(__file__).parents[2]
EFFORT = Effort(0.01, Placement(None, None, None), None)
FEW = ("echo_protocol_ten_active_10", "timers_1000", "tasks_1000")


def test_rows_are_named_by_family_and_size() -> None:
    names = [row.name for row in families.ROWS]
    assert len(names) == len(set(names))
    for family in families.FAMILIES:
        assert [row.group for row in family.rows] == [family.name] * len(family.rows)
        sizes = [size_of(row.name) for row in family.rows]
        assert sizes == sorted(set(sizes))
        assert [row_name(family.name, size) for size in sizes] == [row.name for row in family.rows]


def test_quick_has_ends_of_curves() -> None:
    quick = select(families.ROWS, [], quick=True)
    assert 6 <= len(quick) <= 10
    groups = [row.group for row in quick]
    # One point is no curve.
    assert {groups.count(group) for group in groups} == {2}


def test_all_sizes_of_a_family_are_measured_in_each_round() -> None:
    chosen = select(families.ROWS, ["timers_*"], quick=False)[:2]
    plan = list(families.steps(chosen, ["a", "b"], 2, EFFORT))
    assert [(step.round, size_of(step.row.name), step.loop) for step in plan] == [
        *[(1, 1000, "a"), (1, 1000, "b"), (1, 10_000, "a"), (1, 10_000, "b")],
        *[(2, 1000, "b"), (2, 1000, "a"), (2, 10_000, "b"), (2, 10_000, "a")],
    ]


class FakeRow:
    """A row that measures nothing, and that a loop named `broken` cannot do."""

    group = "timers"
    summary = unit = ""
    lower_is_better = quick = True
    measured: ClassVar[list[str]] = []

    def __init__(self, size: int) -> None:
        self.name = row_name(self.group, size)

    def missing(self) -> None:
        return None

    def expected_seconds(self, effort: Effort) -> float:
        return 0.0

    def measure(self, loop: str, effort: Effort) -> Measurement:
        self.measured.append(f"{self.name} {loop}")
        if loop == "broken":
            raise ChildError("OSError: too many")
        return Measurement(1.0, dict.fromkeys(("call_later_ns", "cancel_ns"), 1.0))


class Silent:
    def begin(self, step: campaign.Step) -> None:
        pass

    def end(self, step: campaign.Step, outcome: Measurement | str | None) -> None:
        pass


def test_rows_whose_rounds_alternate_are_given_when_they_are_complete() -> None:
    rows = [FakeRow(1000), FakeRow(10_000)]
    plan = list(campaign.steps_together(rows, ["whole", "broken"], 2, EFFORT))
    first, second = campaign.run(plan, EFFORT, Silent())
    assert (first.name, second.name) == ("timers_1000", "timers_10000")
    for row in (first, second):
        assert len(row.loops["whole"].rounds) == 2
        assert row.loops["broken"].error == "OSError: too many"
    # What failed is not tried again in the next round.
    assert FakeRow.measured.count("timers_1000 broken") == 1
    assert FakeRow.measured.count("timers_1000 whole") == 2


def measured(**costs: dict[int, list[float]]) -> Results:
    """Results of timers: the rounds of `call_later` by loop and size; no rounds is a failure."""
    rows = []
    for size in sorted({size for sizes in costs.values() for size in sizes}):
        row = RowResult(row_name("timers", size), "timers", "CPU-ns", True)
        for loop, sizes in costs.items():
            rounds = [
                Measurement(
                    value,
                    {
                        "call_later_ns": value,
                        "cancel_ns": 1.0,
                        "due_ns": 1.0,
                        "collect_ns": 1.0,
                        "memory_bytes": 100.0,
                    },
                )
                for value in sizes[size]
            ]
            error = None if rounds else "MemoryError: no room for them"
            row.loops[loop] = LoopResult(rounds, error)
        rows.append(row)
    return Results(environment(rounds=2), dict.fromkeys(costs, "1.0"), "uvloop", rows)


@pytest.fixture
def growing() -> Results:
    return measured(
        uvloop={1000: [10, 20], 1_000_000: [30, 80]},
        ferrio={1000: [8, 30], 1_000_000: [9, 20]},
        broken={1000: [7, 7], 1_000_000: []},
    )


def call_later(results: Results) -> Curves:
    [found] = [curve for curve in curves(results) if "call_later" in curve.title]
    return found


def test_growth_is_taken_within_rounds(growing: Results) -> None:
    curve = call_later(growing)
    growth = curve.growth("uvloop")
    assert growth is not None
    assert (growth.least, growth.median, growth.most) == (3, 3.5, 4)
    assert curve.growth("broken") is None


def test_points_have_their_rounds_or_a_reason(growing: Results) -> None:
    curve = call_later(growing)
    assert curve.sizes == [1000, 1_000_000]
    point = curve.points["uvloop"][1_000_000]
    assert isinstance(point, Point)
    assert (point.least, point.median, point.most) == (30, 55, 80)
    assert curve.points["broken"][1_000_000] == "MemoryError"
    assert [size for size, _ in curve.known("broken")] == [1000]
    assert (curve.best(1000), curve.best(1_000_000)) == ("broken", "ferrio")


def test_memory_of_a_few_is_not_shown(growing: Results) -> None:
    [memory] = [curve for curve in curves(growing) if curve.unit == "B"]
    assert memory.sizes == [1_000_000]
    assert memory.growth("uvloop") is None


def test_other_results_have_no_curves() -> None:
    row = RowResult("call_soon_batch", "micro", "CPU-ns", True)
    row.loops["uvloop"] = LoopResult([Measurement(1.0)])
    assert not list(curves(Results({}, {"uvloop": "1"}, "uvloop", [row])))


@drawing
def test_a_failed_size_is_an_entry_of_table_and_plot(growing: Results, tmp_path: Path) -> None:
    from ferrio._bench.growth import plot, table
    from rich.console import Console

    console = Console(width=160, record=True)
    table.print_results(growing, console)
    shown = console.export_text()
    assert re.search(r"1,000,000 timers +55\.0 30\.0-80\.0 .*MemoryError", shown)
    assert re.search(r"growth, times +3\.50 ", shown)
    first, second = tmp_path / "first.svg", tmp_path / "second.svg"
    for path in (first, second):
        plot.save(growing, path)
    assert "call_later, that many pending, CPU-ns" in first.read_text()
    assert first.read_bytes() == second.read_bytes()


@drawing
def test_the_readme_gets_tables_and_plot(
    script: ModuleType,
    growing: Results,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    readme, data = tmp_path / "bench" / "README.md", tmp_path / "growth.json"
    readme.parent.mkdir()
    (tmp_path / "docs" / "images").mkdir(parents=True)
    readme.write_text("Before.\n\n<!-- growth 3.14 -->\n<!-- end of growth 3.14 -->\n\nAfter.\n")
    growing.write(data)
    monkeypatch.setattr(sys, "argv", ["figures.py", str(data), "--readme", str(readme)])
    assert script.main() == 0
    text = readme.read_text()
    assert text.startswith("Before.\n\n<!-- growth 3.14 -->\n\n### CPython 3.14.1, 2030-01-02\n")
    assert text.endswith("<!-- end of growth 3.14 -->\n\nAfter.\n")
    assert "| 1,000,000 | 55.0 <sub>30.0-80.0</sub> | **14.5** <sub>9.00-20.0</sub> | " in text
    assert "| growth, times | 3.50 | 0.90 |  |" in text
    [target] = re.findall(r"!\[.*\]\((.*)\)", text)
    assert (readme.parent / target).read_text().startswith("<?xml")


def test_the_recorded_plots_are_those_of_the_recorded_tables() -> None:
    readme = ROOT / "bench" / "README.md"
    sections = re.findall(
        r"<!-- growth ([\d.]+) -->\n(.*?)<!-- end of growth", readme.read_text(), re.DOTALL
    )
    assert [version for version, _ in sections] == ["3.13", "3.14"]
    for version, text in sections:
        heading = re.search(r"^### CPython (\S+), (\S+)$", text, re.MULTILINE)
        assert heading is not None
        assert heading[1].startswith(version)
        titles = re.findall(r"^\*\*(.+)\*\*$", text, re.MULTILINE)
        assert len(titles) == sum(len(family.costs) for family in families.FAMILIES)
        [target] = re.findall(r"!\[.*\]\((.*)\)", text)
        picture = (readme.parent / target).read_text()
        for words in (f"CPython {heading[1]}", heading[2], *titles):
            assert words in picture, f"{target} was drawn from other figures: no {words}"


@pytest.mark.parametrize("family", crowd.CROWDS, ids=lambda family: family.name)
def test_a_pass_gives_all_costs_of_its_family(family: Family) -> None:
    costs = asyncio.run(PASSES[family.name](20))
    assert set(costs) == {cost.detail for cost in family.costs}
    assert all(cost >= 0 for cost in costs.values())


def test_delays_are_scattered_and_cover_their_span() -> None:
    delays = timers.scattered(1000, 5.0, 10.0)
    assert sorted(delays) == pytest.approx([5.0 + number / 100 for number in range(1000)])
    ascents = sum(one < other for one, other in itertools.pairwise(delays))
    assert ascents < 999


def test_the_active_connections_are_spread_over_all() -> None:
    everybody: list[Any] = list(range(1000))
    assert spread(everybody, None) == everybody
    few: list[Any] = [0, 250, 500, 750]
    assert spread(everybody, 4) == few
    assert spread(few, 4) == few


@linux
def test_too_few_descriptors_or_ports_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 4096))
    assert descriptors.missing(100) is None
    assert descriptors.missing(10_000) == "needs 10,100 open files: `ulimit -Hn` says 4,096"
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, resource.RLIM_INFINITY))
    monkeypatch.setattr(descriptors, "local_ports", lambda: 5000)
    reason = descriptors.missing(10_000)
    assert reason == "needs 10,100 ports: net.ipv4.ip_local_port_range has 5,000"


@linux
def test_the_limit_of_open_files_is_raised() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, hard), hard))
        descriptors.raise_limit()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@drawing
@linux
def test_a_short_run_draws_all_families(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    json_path, plot_path = tmp_path / "growth.json", tmp_path / "growth.svg"
    status = bench(
        "--growth",
        *("--rows", *FEW),
        *("--loops", "asyncio", "ferrio"),
        *("--rounds", 1, "--seconds", 0.05),
        *("--json", json_path, "--plot", plot_path),
    )
    assert status == 0
    assert "timers coming due together, CPU-ns" in capsys.readouterr().out
    results = Results.read(json_path)
    assert [row.name for row in results.rows] == list(FEW)
    for row in results.rows:
        assert {loop: result.error for loop, result in row.loops.items()} == {
            "asyncio": None,
            "ferrio": None,
        }
    assert "task, made and run" in plot_path.read_text()


@drawing
@linux
def test_a_size_that_cannot_be_had_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "growth.json"
    monkeypatch.setattr(crowd, "available_bytes", lambda: 4 << 20)
    rows = ["timers_1000", "timers_1000000"]
    status = bench(
        *("--growth", "--rows", *rows, "--loops", "asyncio", "--rounds", 1),
        *("--seconds", 0.01, "--json", path),
    )
    assert status == 0
    reason = "needs 1,953 MiB of memory: 4 MiB are available"
    assert f"without timers_1000000: {reason}" in capsys.readouterr().out
    outcome = {row.name: row.loops["asyncio"].error for row in Results.read(path).rows}
    assert outcome == {"timers_1000": None, "timers_1000000": reason}


def test_list_shows_the_families(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench("--growth", "--list", "--rows", "timers_*") == 0
    shown = capsys.readouterr().out
    assert "1,000,000 timers" in shown
    assert "echo_" not in shown

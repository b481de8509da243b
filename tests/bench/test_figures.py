"""The tables of bench/README.md are written from results, and only they."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from ferrio._bench.results import LoopResult, Results, RowResult
from ferrio._bench.row import Measurement

from .conftest import environment


def results(**values: float) -> Results:
    loops = {loop: LoopResult([Measurement(value)]) for loop, value in values.items()}
    row = RowResult("echo_protocol_1k", "echo", "CPU-µs/request", True, loops)
    return Results(environment(rounds=1), dict.fromkeys(values, "1.0"), "uvloop", [row])


def test_only_the_sections_of_the_given_files_change(script: ModuleType, tmp_path: Path) -> None:
    readme, data = tmp_path / "README.md", tmp_path / "results.json"
    old = "<!-- figures 3.14 -->\n\nold\n\n<!-- end of figures 3.14 -->"
    other = "<!-- figures 3.13 -->\n\nkept\n\n<!-- end of figures 3.13 -->"
    readme.write_text(f"before\n\n{old}\n\nbetween\n\n{other}\n")
    results(uvloop=10, ferrio=8).write(data)
    text = script.replace_section(
        readme.read_text(), "figures 3.14", "\n".join(script.section(Results.read(data)))
    )
    assert text.startswith("before\n\n<!-- figures 3.14 -->")
    assert "\n\nbetween\n\n<!-- figures 3.13 -->\n\nkept\n" in text
    assert "old" not in text
    assert "| `echo_protocol_1k` | 10.0 | **0.80** |" in text


def test_a_new_section_goes_to_the_end(script: ModuleType) -> None:
    text = script.replace_section("before\n", "figures 3.15", "new")
    assert text == "before\n\n<!-- figures 3.15 -->\n\nnew\n\n<!-- end of figures 3.15 -->\n"


def test_missed_targets_are_named(script: ModuleType) -> None:
    assert list(script.missed(results(uvloop=10, ferrio=8))) == []
    [slow] = script.missed(results(uvloop=10, ferrio=9.9))
    assert "0.99 of uvloop, target 0.95" in slow
    [behind] = script.missed(results(uvloop=10, zuvloop=7, ferrio=8))
    assert "of zuvloop" in behind

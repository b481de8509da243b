"""examples/cpu_bound, end to end: real processes."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from .conftest import CLASSES, Cookbook, LoopName


def test_everything_without_arguments(cookbook: Cookbook, loop: LoopName) -> None:
    done = cookbook("cpu_bound", loop=loop, timeout=110)
    assert done.stderr == ""
    for name in ("pool", "loops", "mapreduce"):
        assert f"\n{name}: " in done.stdout


def test_pool_counts_the_same_in_the_loop_in_threads_and_in_processes(
    cookbook: Cookbook, loop: LoopName
) -> None:
    output = cookbook("cpu_bound", "pool", "--limit", "10000", "--workers", "2", loop=loop).stdout
    assert re.findall(r"pool: (.*): \d+ ms", output) == ["in the loop", "2 threads", "2 processes"]
    assert "all found 1229 primes below 10000" in output


def test_map_and_reduce_count_what_is_in_the_file(
    cookbook: Cookbook, loop: LoopName, tmp_path: Path
) -> None:
    file = tmp_path / "words.tsv"
    options = ("--lines", "30000", "--workers", "2", "--keep", str(file))
    output = cookbook("cpu_bound", "mapreduce", *options, loop=loop).stdout

    uses: Counter[str] = Counter()
    lines = file.read_text().splitlines()
    for line in lines:
        word, _, count = line.split("\t")
        uses[word] += int(count)
    assert len(lines) == 30_000
    most = sorted(uses, key=lambda word: (-uses[word], word))[:3]
    summary = f"{len(uses)} words, {uses.total()} uses; most used: "
    summary += ", ".join(f"{word} {uses[word]}" for word in most)
    assert f"mapreduce: {summary}" in output.splitlines()
    assert "8 pieces, 30000 lines" in output


def test_each_process_has_a_loop_of_the_same_class(cookbook: Cookbook, loop: LoopName) -> None:
    options = ("--documents", "300", "--workers", "3", "--connections", "5")
    output = cookbook("cpu_bound", "loops", *options, loop=loop).stdout
    assert output.startswith(f"running on {CLASSES[loop]}\n")
    assert "300 documents by 3 processes with 5 connections each" in output
    assert f"loops: in each process a {CLASSES[loop]}\n" in output

"""examples/subprocesses, end to end: real processes, real openssl and gpg."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import Cookbook, LoopName


def test_everything_without_arguments(cookbook: Cookbook, loop: LoopName) -> None:
    done = cookbook("subprocesses", loop=loop)
    assert done.stderr == ""
    for name in ("follow", "talk", "encrypt", "patience"):
        assert f"\n{name}: " in done.stdout


def test_without_openssl_and_gpg_the_rest_runs(cookbook: Cookbook, tmp_path: Path) -> None:
    """A PATH that has what every Unix has, and neither of the two."""
    for name in ("sh", "sort", "uniq", "sleep"):
        program = shutil.which(name)
        assert program is not None
        (tmp_path / name).symlink_to(program)
    output = cookbook("subprocesses", PATH=str(tmp_path)).stdout
    assert "\nencrypt: left out: it needs openssl or gpg" in output
    assert "(Debian: apt-get install openssl)\n" in output
    assert "\npatience: " in output


def test_follow_loses_nothing_of_both_streams(cookbook: Cookbook, loop: LoopName) -> None:
    output = cookbook("subprocesses", "follow", loop=loop).stdout
    lines = re.findall(r"s  (out|err)  (.*)", output)
    assert [line for stream, line in lines if stream == "err"] == [
        f"{step} took longer than it should" for step in ("fetch", "compile", "link")
    ]
    said = [line for stream, line in lines if stream == "out"]
    assert said[:3] == ["fetch ...", "compile ...", "link ..."]
    assert said[-1] == "no newline at the end"
    pieces = [re.fullmatch(r"(\d+) characters, a piece of a long line", s) for s in said[3:-1]]
    assert sum(int(piece[1]) for piece in pieces if piece) == 200_000
    assert all(pieces)
    assert "wait() does not return while 1000000 bytes of output wait" in output
    assert "communicate() has read 1000000 bytes, exit status 0" in output


def test_follow_shows_a_line_while_the_process_runs(cookbook: Cookbook, loop: LoopName) -> None:
    command = ("follow", "sh", "-c", "echo $$; exec sleep 3600")
    with cookbook.start("subprocesses", *command, loop=loop) as program:
        child = int(program.until(r"s  out  (\d+)$")[1])
        program.send_signal(signal.SIGINT)
        assert program.finish().returncode == 130
    # It is not left behind: it was ended and waited for before the program ended.
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def test_follow_exits_as_its_command_does(loop: LoopName) -> None:
    words = ["run", "--loop", loop, "examples/subprocesses", "follow", "sh", "-c", "exit 3"]
    done = subprocess.run(
        [sys.executable, "-m", "ferrio", *words],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (3, "")
    assert done.stdout.endswith("follow: exit status 3\n")


def test_talk(cookbook: Cookbook, loop: LoopName) -> None:
    options = ("--limit", "100", "--seed", "3", "--words", "10000")
    output = cookbook("subprocesses", "talk", *options, loop=loop).stdout
    found = re.search(r"it was (\d+), found by (\d+) guesses of 1 to 100, exit status 0", output)
    assert found is not None
    # Halving 100 numbers takes seven guesses at most.
    assert 1 <= int(found[1]) <= 100
    assert 1 <= int(found[2]) <= 7
    # Squares modulo five are 0, 1, 4, 4, 1.
    counts = "{'pear': 2000, 'plum': 4000, 'sloe': 4000}"
    assert f"sort | uniq -c counted 10000 words: {counts}" in output


@pytest.mark.parametrize(("tool", "documents", "limit"), [("openssl", 100, 5), ("gpg", 6, 3)])
def test_encrypt_keeps_to_its_limit(
    cookbook: Cookbook, loop: LoopName, tool: str, documents: int, limit: int
) -> None:
    options = ("--tool", tool, "--documents", str(documents), "--limit", str(limit))
    output = cookbook("subprocesses", "encrypt", *options, loop=loop).stdout
    found = re.search(r"encrypt: (\d+) documents there and back.* (\d+) processes at most", output)
    assert found is not None
    assert (int(found[1]), int(found[2])) == (documents, limit)


def test_patience(cookbook: Cookbook, loop: LoopName) -> None:
    lines = cookbook("subprocesses", "patience", "--grace", "0.2", loop=loop).stdout.splitlines()
    assert lines[1:] == [
        "patience: after the time-out: still running",
        "patience: asked to stop:      killed by SIGTERM",
        "patience: one that ignores it: killed by SIGKILL, after 0.2 s of grace",
        "patience: shell killed by SIGKILL, yet its output is open: its child has it too",
        "patience: the whole group killed: end of output, 0 bytes before it",
    ]

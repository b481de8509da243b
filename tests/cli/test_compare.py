"""`ferrio compare`: what it runs, what it says, and when it calls a difference noise."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ferrio._compare import client, load, proc, system_calls
from ferrio._compare.verdict import QUANTITIES, Meaning, Ratio, ratio, sentence

from .command import FERRIO, clean_environment

pytestmark = pytest.mark.skipif(os.name != "posix", reason="reads rusage and /proc")

PROGRAM = """
import asyncio, sys
async def main():
    loop = asyncio.get_running_loop()
    await asyncio.sleep(0)
    print(type(loop).__module__.partition(".")[0], sys.argv[1:], sys.stdin.read())
asyncio.run(main())
"""

SERVER = """
import asyncio, sys
async def serve(reader, writer):
    try:
        while await reader.readuntil(b"\\r\\n\\r\\n"):
            writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nhi")
    except asyncio.IncompleteReadError:
        pass
    writer.close()
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]))
    print("on", type(asyncio.get_running_loop()).__module__)
    await server.serve_forever()
asyncio.run(main())
"""


def compare(
    *words: str, cwd: Path, stdin: str | None = None, path: str | None = None
) -> subprocess.CompletedProcess[str]:
    environment = clean_environment()
    if path is not None:
        environment["PATH"] = path
    return subprocess.run(
        [FERRIO, "compare", *words],
        cwd=cwd,
        env=environment,
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def written(cwd: Path) -> dict[str, Any]:
    results: dict[str, Any] = json.loads((cwd / "now.json").read_text())
    return results


TWO = ("--loops", "asyncio", "ferrio", "--runs", "1")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def test_a_program_runs_on_each_loop_with_its_arguments_and_input(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(PROGRAM)
    done = compare(
        *TWO,
        "--show-output",
        "--json",
        "now.json",
        "app.py",
        "-x",
        "--runs",
        cwd=tmp_path,
        stdin="hello",
    )
    assert (done.returncode, done.stderr) == (0, "")
    # To warm up, and once that counts.
    for loop in ("asyncio", "ferrio"):
        assert done.stdout.count(f"{loop} ['-x', '--runs'] hello\n") == 2
    assert "it does not print the same on each loop" in done.stdout
    results = written(tmp_path)
    assert (results["command"], results["baseline"]) == ("app.py -x --runs", "asyncio")
    for loop in results["loops"].values():
        assert loop["error"] is None
        [figures] = loop["rounds"]
        assert {"wall", "cpu", "memory", "switches"} <= figures.keys()
        assert figures["wall"] > 0
        assert figures["cpu"] > 0
        assert figures["memory"] > 5
    assert "too few rounds to tell it from noise" in done.stdout


@pytest.mark.parametrize(
    "words",
    [["-m", "app"], ["-c", PROGRAM], ["--", "app.py"], ["./folder"]],
    ids=["-m", "-c", "--", "folder"],
)
def test_what_can_be_compared(words: list[str], tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(PROGRAM)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "__main__.py").write_text(PROGRAM)
    done = compare(*TWO, "--no-warm-up", "--show-output", *words, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "asyncio []\n" in done.stdout
    assert "ferrio []\n" in done.stdout
    assert "warm up" not in done.stdout


def test_a_program_that_asks_for_uvloop_runs_on_each_loop(tmp_path: Path) -> None:
    pytest.importorskip("uvloop")
    (tmp_path / "app.py").write_text(
        "import asyncio, uvloop\n"
        "async def main():\n"
        "    print(type(asyncio.get_running_loop()).__module__)\n"
        "with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:\n"
        "    runner.run(main())\n"
    )
    done = compare(
        "--loops", "asyncio", "uvloop", "ferrio", "--runs", "1", "--no-warm-up", "--show-output",
        "app.py", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0
    printed = [line for line in done.stdout.splitlines() if line.split(".")[0] in
               ("asyncio", "uvloop", "ferrio") and " " not in line]  # fmt: skip
    assert [line.split(".")[0] for line in printed] == ["asyncio", "uvloop", "ferrio"]


def test_a_program_with_a_loop_of_its_own_is_named(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        "import asyncio\n"
        "with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:\n"
        "    runner.run(asyncio.sleep(0))\n"
    )
    done = compare(*TWO, "app.py", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.count("ferrio: not on ferrio: the program has chosen a loop of its own") == 1


def test_a_loop_on_which_it_fails_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        "import asyncio, sys\n"
        "async def main():\n"
        "    if type(asyncio.get_running_loop()).__module__.startswith('ferrio'):\n"
        "        raise SystemExit('not here')\n"
        "asyncio.run(main())\n"
    )
    done = compare(*TWO, "--json", "now.json", "app.py", cwd=tmp_path)
    assert done.returncode == 1
    assert "ferrio: ended with exit status 1\n    not here\n" in done.stdout
    assert "round 1" in done.stdout
    results = written(tmp_path)
    assert results["loops"]["ferrio"]["error"] == "ended with exit status 1\n    not here"
    assert len(results["loops"]["asyncio"]["rounds"]) == 1


def test_a_program_that_kills_itself(tmp_path: Path) -> None:
    done = compare(*TWO, "-c", "import os; os.kill(os.getpid(), 9)", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stdout.count("was killed by SIGKILL") == 4


MISTAKES = {
    "FILE is missing (try: ferrio compare --help)": [],
    "MODULE is missing (try: ferrio compare --help)": ["-m"],
    "--until-ready and --load go together": ["--load", "http://127.0.0.1:1/", "app.py"],
    "ftp://x: begins with none of http:, https:, tcp:, unix:": [
        *("--until-ready", "ftp://x", "--load", "true"), "app.py"
    ],
    "tcp://x: no port": ["--until-ready", "tcp://x", "--load", "true", "app.py"],
    "no-such-program 1: neither a URL nor a command that is there": [
        *("--until-ready", "tcp://127.0.0.1:1", "--load", "no-such-program 1"), "app.py"
    ],
    "--plot a.gif: the name must end in .png or .svg": ["--plot", "a.gif", "app.py"],
    "no/now.json: there is no such directory": ["--json", "no/now.json", "app.py"],
}  # fmt: skip


@pytest.mark.parametrize("said", MISTAKES)
def test_mistakes(said: str, tmp_path: Path) -> None:
    done = compare(*MISTAKES[said], cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"ferrio compare: {said}\n"


def test_a_server_under_a_load(tmp_path: Path) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("a server's part is read from /proc")
    (tmp_path / "server.py").write_text(SERVER)
    url = f"http://127.0.0.1:{free_port()}/"
    words = ["--until-ready", url, "--load", url, "--seconds", "1", "--connections", "4"]
    done = compare(
        *TWO, *words, "--json", "now.json", "--plot", "now.svg", "--show-output",
        "server.py", url.split(":")[2].strip("/"),
        cwd=tmp_path, path=os.path.dirname(sys.executable),
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "a client in Python (wrk is not installed), 4 connections" in done.stdout
    assert "on asyncio" in done.stdout
    assert "on ferrio" in done.stdout
    for loop in written(tmp_path)["loops"].values():
        [figures] = loop["rounds"]
        expected = {"rate", "request_cpu", "request_switches", "server_memory", "p50", "p99"}
        assert expected <= figures.keys()
        assert figures["rate"] > 0
        assert figures["p50"] <= figures["p99"]
    assert "<svg" in (tmp_path / "now.svg").read_text()


def test_a_server_under_a_command(tmp_path: Path) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("a server's part is read from /proc")
    (tmp_path / "server.py").write_text(SERVER)
    port = str(free_port())
    (tmp_path / "ask.py").write_text(
        "import http.client, sys\n"
        "for _ in range(20):\n"
        f"    made = http.client.HTTPConnection('127.0.0.1', {port})\n"
        "    made.request('GET', '/')\n"
        "    assert made.getresponse().read() == b'hi'\n"
        "    made.close()\n"
    )
    words = ["--until-ready", f"tcp://127.0.0.1:{port}", "--load", f"{sys.executable} ask.py"]
    done = compare(*TWO, *words, "--json", "now.json", "server.py", port, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    for loop in written(tmp_path)["loops"].values():
        [figures] = loop["rounds"]
        assert {"load", "server_cpu", "server_memory", "switches"} <= figures.keys()


def test_a_server_that_never_answers_and_one_that_ends(tmp_path: Path) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("a server's part is read from /proc")
    words = ["--until-ready", f"tcp://127.0.0.1:{free_port()}", "--load", "true"]
    done = compare(
        *TWO, *words, "--ready-within", "0.5", "-c", "import time; time.sleep(60)", cwd=tmp_path
    )
    assert done.returncode == 1
    assert "is not ready after 0.5 s" in done.stdout
    done = compare(*TWO, *words, "-c", "raise SystemExit('no port')", cwd=tmp_path)
    assert done.returncode == 1
    assert "ended with exit status 1\n    no port\n" in done.stdout


def test_what_a_difference_means() -> None:
    time, rate = QUANTITIES["wall"], QUANTITIES["rate"]
    less = Ratio(0.8, 0.7, 0.9, 5)
    assert less.meaning(time) is Meaning.BETTER
    assert less.meaning(rate) is Meaning.WORSE
    assert Ratio(1.2, 1.1, 1.3, 5).meaning(time) is Meaning.WORSE
    assert Ratio(0.8, 0.7, 1.01, 5).meaning(time) is Meaning.NOISE
    assert Ratio(0.8, 0.7, 0.9, 2).meaning(time) is Meaning.UNKNOWN


def test_ratios_are_taken_within_rounds() -> None:
    rounds = {
        "asyncio": [
            {"wall": 1.0, "cpu": 1.0},
            {"wall": 10.0, "cpu": 1.0},
            {"wall": 2.0, "cpu": 1.0},
        ],
        "ferrio": [{"wall": 0.5, "cpu": 0.9}, {"wall": 5.0, "cpu": 1.1}, {"wall": 1.0, "cpu": 1.0}],
    }
    found = ratio(rounds["ferrio"], rounds["asyncio"], "wall")
    assert found == Ratio(0.5, 0.5, 0.5, 3)
    assert ratio(rounds["ferrio"], rounds["asyncio"], "rate") is None
    assert sentence("ferrio", "asyncio", rounds) == (
        "ferrio: 2.00 times as fast as asyncio; the same CPU time, within the noise"
    )


@pytest.mark.parametrize(
    ("head", "body", "whole"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2", b"hi", True),
        (b"HTTP/1.1 200 OK\r\ncontent-length:3", b"hi", False),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", b"2\r\nhi\r\n", False),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", b"2\r\nhi\r\n0\r\n\r\n", True),
        (b"HTTP/1.1 204 No Content", b"", True),
    ],
)
def test_when_an_answer_is_whole(head: bytes, body: bytes, whole: bool) -> None:
    assert client.is_whole(head, body) is whole


def test_addresses() -> None:
    assert load.address_of("unix:/tmp/x").path == "/tmp/x"
    assert load.address_of("tcp://localhost:80").port == 80
    assert load.answers(load.address_of(f"tcp://127.0.0.1:{free_port()}")) is not None
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert load.answers(load.address_of(f"tcp://127.0.0.1:{port}")) is None


def test_the_processes_of_a_session() -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("/proc")
    program = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
    with subprocess.Popen(
        [sys.executable, "-c", program], start_new_session=True, stdin=subprocess.PIPE
    ) as process:
        while len(proc.processes_of(process.pid)) < 2:
            assert process.poll() is None
        usage = proc.Usage.of_session(process.pid)
        assert usage.cpu > 0
        assert usage.memory > 5
        process.communicate(b"\n")


def test_a_count_of_strace(tmp_path: Path) -> None:
    file = tmp_path / "calls"
    file.write_text(
        "% time     seconds  usecs/call     calls    errors syscall\n"
        "------ ----------- ----------- --------- --------- ----------------\n"
        " 60.00    0.000600           6       100         3 read\n"
        "------ ----------- ----------- --------- --------- ----------------\n"
        "100.00    0.000600           6       100         3 total\n"
    )
    assert system_calls.total(file) == 100
    file.write_text("")
    assert system_calls.total(file) is None

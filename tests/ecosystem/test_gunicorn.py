"""Gunicorn, whose workers `ferrio.gunicorn` puts on ferrio: served, renewed, ended, timed out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from .serving import APP, PATIENCE, PYTHON, Server, serving

GUNICORN = ["gunicorn", "-k", "ferrio.gunicorn.UvicornWorker", "--bind", "127.0.0.1:PORT"]
# Where it would be shared with other servers of this user.
GUNICORN += ["--no-control-socket"]

#: One that takes as long as the client says, and blocks its worker for ever if asked to.
SLOW = APP.replace("import asyncio, os, sys", "import asyncio, os, sys, time").replace(
    '    elif scope["type"] == "http":\n',
    '    elif scope["type"] == "http":\n'
    '        if scope["path"] == "/block":\n'
    "            time.sleep(1000)\n"
    '        if scope["path"] == "/wait":\n'
    '            os.write(2, b"a request waits\\n")\n'
    "            while not os.path.exists('go'):\n"
    "                await asyncio.sleep(0.01)\n",
)


def pids_that_answer(server: Server, count: int) -> set[str]:
    """Ask until so many processes have answered; every answer is from ferrio."""
    found: set[str] = set()
    for _ in range(10_000):
        loop, pid = server.ask()
        assert loop == "ferrio"
        found.add(pid)
        if len(found) == count:
            break
    return found


@pytest.mark.parametrize(
    ("worker", "preload"), [("UvicornWorker", ["--preload"]), ("UvicornH11Worker", [])]
)
def test_it_is_on_ferrio(worker: str, preload: list[str], tmp_path: Path) -> None:
    words = [word.replace("UvicornWorker", worker) for word in GUNICORN]
    with serving([*words, *preload, "app:app"], tmp_path, run=PYTHON) as server:
        server.wait_for("on ferrio")
        assert server.ask()[0] == "ferrio"
        assert server.end() == 0
    assert not any("Traceback" in line for line in server.lines), server.lines
    assert not any("uvloop" in line for line in server.lines), server.lines


def test_hup_renews_the_workers_and_breaks_no_request(tmp_path: Path) -> None:
    with serving([*GUNICORN, "-w", "2", "app:app"], tmp_path, app=SLOW, run=PYTHON) as server:
        server.wait_for("on ferrio", 2)
        before = pids_that_answer(server, 2)
        waiting = ask_in_background(server, "/wait")
        server.wait_for("a request waits")
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("on ferrio", 4)
        # The old ones go; the one with a request does not go before that is answered.
        server.wait_for("Finished server process")
        (tmp_path / "go").touch()
        answer, _ = waiting.communicate(timeout=PATIENCE)
        assert answer.split()[0] == "ferrio"
        assert answer.split()[1] in before
        server.wait_for("Finished server process", 2)
        assert pids_that_answer(server, 2).isdisjoint(before)
        assert server.end() == 0


def test_term_lets_a_request_end(tmp_path: Path) -> None:
    with serving([*GUNICORN, "app:app"], tmp_path, app=SLOW, run=PYTHON) as server:
        server.wait_for("on ferrio")
        waiting = ask_in_background(server, "/wait")
        server.wait_for("a request waits")
        server.process.send_signal(signal.SIGTERM)
        server.wait_for("Shutting down")
        (tmp_path / "go").touch()
        answer, _ = waiting.communicate(timeout=PATIENCE)
        assert answer.split()[0] == "ferrio"
        assert server.process.wait(PATIENCE) == 0


def test_a_worker_that_hangs_is_replaced(tmp_path: Path) -> None:
    words = [*GUNICORN, "--timeout", "2", "app:app"]
    with serving(words, tmp_path, app=SLOW, run=PYTHON) as server:
        server.wait_for("on ferrio")
        _, before = server.ask()
        blocked = ask_in_background(server, "/block")
        server.wait_for("WORKER TIMEOUT")
        server.wait_for("on ferrio", 2)
        blocked.communicate(timeout=PATIENCE)
        loop, after = server.ask()
        assert loop == "ferrio"
        assert after != before
        assert server.end() == 0


def test_a_subclass_sets_what_uvicorn_takes(tmp_path: Path) -> None:
    (tmp_path / "workers.py").write_text(
        "from ferrio.gunicorn import UvicornWorker\n"
        "class Worker(UvicornWorker):\n"
        "    CONFIG_KWARGS = {'loop': 'auto', 'http': 'h11', 'server_header': False}\n"
    )
    words = ["gunicorn", "-k", "workers.Worker", *GUNICORN[3:], "--pythonpath", str(tmp_path)]
    with serving([*words, "app:app"], tmp_path, run=PYTHON) as server:
        server.wait_for("on ferrio")
        assert server.ask()[0] == "ferrio"
        assert server.end() == 0


@pytest.mark.parametrize("missing", ["gunicorn", "uvicorn", "uvicorn_worker"])
def test_what_is_missing_is_named(missing: str, tmp_path: Path) -> None:
    program = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "try:\n"
        "    import ferrio.gunicorn\n"
        "except ModuleNotFoundError as error:\n"
        "    print(error, '|', error.name.partition('.')[0])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    package = missing.replace("_", "-")
    assert done.stdout == (
        f"ferrio.gunicorn needs {package}, which is not installed here: "
        f"pip install gunicorn uvicorn-worker | {missing}\n"
    ), done.stderr


def test_gunicorn_shows_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    hidden = "import sys; sys.modules['uvicorn_worker'] = None; sys.argv = sys.argv[1:]\n"
    hidden += "from gunicorn.app.wsgiapp import run; run()"
    done = subprocess.run(
        [sys.executable, "-c", hidden, *GUNICORN[:3], "--bind", "127.0.0.1:0", "app:app"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 1
    assert "ferrio.gunicorn needs uvicorn-worker, which is not installed here" in done.stderr


def ask_in_background(server: Server, path: str) -> subprocess.Popen[str]:
    """A request in a process of its own, which prints the answer."""
    program = (
        "import sys, urllib.request\nprint(urllib.request.urlopen(sys.argv[1]).read().decode())\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", program, f"http://127.0.0.1:{server.port}{path}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={key: value for key, value in os.environ.items() if "proxy" not in key.lower()},
        text=True,
    )

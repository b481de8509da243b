"""Programs that start others, under `ferrio run`: what they start is on ferrio, too."""

from __future__ import annotations

import importlib.util
import os
import subprocess
from pathlib import Path

import pytest

from .serving import APP, FERRIO_RUN, PATIENCE, serving

UVICORN = ["uvicorn", "app:app", "--port", "PORT"]


@pytest.mark.parametrize("loop", ["auto", "uvloop", "none"])
def test_uvicorn(loop: str, tmp_path: Path) -> None:
    with serving([*UVICORN, "--loop", loop], tmp_path) as server:
        server.wait_for("Uvicorn running")
        server.wait_for("on ferrio")
        assert server.ask()[0] == "ferrio"
        server.end()
    has_uvloop = importlib.util.find_spec("uvloop") is not None
    said = sum("the program asks for uvloop" in line for line in server.lines)
    assert said == (has_uvloop and loop != "none")


def test_uvicorns_workers(tmp_path: Path) -> None:
    with serving([*UVICORN, "--workers", "2"], tmp_path) as server:
        server.wait_for("Application startup complete", 2)
        server.wait_for("on ferrio", 2)
        loop, pid = server.ask()
        assert (loop, pid != str(server.process.pid)) == ("ferrio", True)
        server.end()
    assert not any("Traceback" in line for line in server.lines), server.lines


def test_uvicorns_reload(tmp_path: Path) -> None:
    with serving([*UVICORN, "--reload", "--reload-delay", "0.05"], tmp_path) as server:
        server.wait_for("on ferrio")
        before = server.ask()
        (tmp_path / "app.py").write_text(APP + "\n# changed\n")
        server.wait_for("on ferrio", 2)
        after = server.ask()
        assert before[0] == after[0] == "ferrio"
        assert before[1] != after[1]
        server.end()


@pytest.mark.parametrize("worker", ["asyncio", "uvloop"])
def test_hypercorns_workers(worker: str, tmp_path: Path) -> None:
    words = ["hypercorn", "--bind", "127.0.0.1:PORT", "--workers", "2", "--worker-class", worker]
    with serving([*words, "app:app"], tmp_path) as server:
        server.wait_for("on ferrio", 2)
        assert server.ask()[0] == "ferrio"
        server.end()


def test_xdists_workers(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import asyncio, os\n"
        "async def look():\n"
        "    return type(asyncio.get_running_loop()).__module__\n"
        "def test_loop():\n"
        "    assert 'PYTEST_XDIST_WORKER' in os.environ\n"
        "    assert asyncio.run(look()) == 'ferrio'\n"
    )
    done = subprocess.run(
        [*FERRIO_RUN, "pytest", "-q", "-n", "2", "-p", "no:asyncio", "-p", "no:anyio"],
        cwd=tmp_path,
        env={k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert "1 passed" in done.stdout, done.stdout + done.stderr

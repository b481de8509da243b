"""The command itself: help, versions, `ferrio info`, and mistakes on the command line."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import signal
import subprocess
import sys
from pathlib import Path

import ferrio
import pytest
from ferrio._info import FEATURES

from .command import FERRIO, PATIENCE, clean_environment, decoded


def run(*arguments: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [FERRIO, *arguments],
        capture_output=True,
        env=clean_environment() | {"NO_COLOR": "1", "COLUMNS": "100"},
        timeout=PATIENCE,
        check=False,
    )
    return done.returncode, decoded(done.stdout), decoded(done.stderr)


def test_version() -> None:
    assert run("--version") == (0, f"ferrio {ferrio.__version__}\n", "")


def test_help_names_every_command_and_gives_examples() -> None:
    status, text, _ = run("--help")
    assert status == 0
    for word in ("run", "bench", "info", "examples:", "ferrio run app.py"):
        assert word in text
    assert run() == (0, text, "")


def test_help_of_run_says_what_happens_in_the_end() -> None:
    status, text, _ = run("run", "--help")
    assert status == 0
    for word in ("usage: ferrio run", "-m MODULE", "SIGTERM", "exit status:", "examples:"):
        assert word in text
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("command", ["bench", "info"])
def test_help_of_the_other_commands(command: str) -> None:
    status, text, _ = run(command, "--help")
    assert status == 0
    assert text.startswith(f"usage: ferrio {command}")
    assert "--json" in text


@pytest.mark.parametrize("command", [["info"], ["cookbook"], ["cookbook", "show", "sockets"]])
def test_a_reader_who_has_read_enough(command: list[str]) -> None:
    readable, writable = os.pipe()
    os.close(readable)
    with os.fdopen(writable, "wb") as nobody_reads:
        done = subprocess.run(
            [FERRIO, *command],
            stdout=nobody_reads,
            stderr=subprocess.PIPE,
            env=clean_environment(),
            timeout=PATIENCE,
            check=False,
        )
    assert (done.returncode, decoded(done.stderr)) == (128 + signal.SIGPIPE, "")


def test_unknown_command() -> None:
    status, stdout, stderr = run("walk")
    assert (status, stdout) == (2, "")
    assert "invalid choice: 'walk'" in stderr


@pytest.mark.parametrize(
    ("arguments", "missing"), [([], "FILE"), (["-m"], "MODULE"), (["-c"], "CODE")]
)
def test_nothing_to_run(arguments: list[str], missing: str) -> None:
    status, stdout, stderr = run("run", *arguments)
    assert (status, stdout) == (2, "")
    assert f"{missing} is missing" in stderr


def test_unknown_option_of_run() -> None:
    status, stdout, stderr = run("run", "--nonsense", "app.py")
    assert (status, stdout) == (2, "")
    assert "--nonsense" in stderr


def test_info_as_text() -> None:
    status, text, stderr = run("info")
    assert (status, stderr) == (0, "")
    for word in (ferrio.__version__, platform.python_version(), platform.release(), "driver"):
        assert word in text


def test_info_as_json() -> None:
    status, text, _ = run("info", "--json")
    info = json.loads(text)
    assert status == 0
    assert set(info) == {"ferrio", "features", "accelerations", "python", "system", "installed"}
    assert info["ferrio"]["version"] == ferrio.__version__
    assert info["ferrio"]["profile"] in {"release", "debug"}
    assert info["ferrio"]["driver"] in {"epoll", "portable"}
    assert info["python"]["executable"] == sys.executable
    assert info["accelerations"]["native_task_steps"] is True
    assert info["accelerations"]["debug_mode_off"] is True


def test_info_shows_which_driver_is_in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FERRIO_DRIVER", "portable")
    _, text, _ = run("info", "--json")
    section = json.loads(text)["ferrio"]
    assert section["driver"] == "portable"
    assert section["driver"] in section["drivers"].split(", ")
    monkeypatch.setenv("FERRIO_DRIVER", "kqueue")
    status, stdout, stderr = run("info")
    assert (status, stdout) == (1, "")
    assert "FERRIO_DRIVER: there is no driver 'kqueue' on this system" in stderr


def test_info_denies_no_feature() -> None:
    assert FEATURES
    assert all(FEATURES.values())


def test_importing_the_command_runs_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import ferrio.__main__; print('imported')"],
        capture_output=True,
        cwd=tmp_path,
        timeout=PATIENCE,
        check=True,
    )
    assert done.stdout == b"imported\n"


def test_jupyter_says_what_to_type() -> None:
    status, text, _ = run("jupyter")
    assert status == 0
    assert run("jupyter", "--help") == (0, text, "")
    for word in ("ferrio jupyter install", "--user", "ferrio jupyter uninstall", "kernelspec list"):
        assert word in text
    status, text, _ = run("jupyter", "install", "--help")
    assert status == 0
    for word in ("--name", "--display-name", "--user", "--prefix", "--debug", "--loop-only"):
        assert word in text


def test_jupyter_without_ipykernel_says_what_to_install(tmp_path: Path) -> None:
    if importlib.util.find_spec("ipykernel") is not None:
        pytest.skip("ipykernel is installed; tests/deployment hides it")
    status, stdout, stderr = run("jupyter", "install", "--prefix", str(tmp_path))
    assert (status, stdout) == (1, "")
    assert f"{sys.executable} -m pip install ipykernel" in stderr

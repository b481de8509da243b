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
from ferrio._info import FEATURES, text_of

from .command import FERRIO, PATIENCE, clean_environment, decoded


def run(*arguments: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [FERRIO, *arguments],
        capture_output=True,
        env=clean_environment() | {"NO_COLOR": "1", "COLUMNS": "80"},
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


EVERY_COMMAND = [
    [], ["run"], ["compare"], ["cookbook"], ["cookbook", "show"], ["cookbook", "run"], ["bench"],
    ["jupyter"], ["jupyter", "install"], ["info"], ["completion"],
]  # fmt: skip


@pytest.mark.parametrize("command", EVERY_COMMAND, ids=" ".join)
def test_help_fits_into_80_columns(command: list[str]) -> None:
    status, text, stderr = run(*command, "--help")
    assert (status, stderr) == (0, "")
    assert [line for line in text.splitlines() if len(line) > 80] == []


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
    assert stderr == (
        "ferrio: there is no command 'walk'; commands are run, compare, cookbook, bench, "
        "jupyter, info, completion; to run a program: ferrio run FILE\n"
    )


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
    titles = [line for line in text.splitlines() if line and not line.startswith(" ")]
    assert titles[1:] == ["Speed", "What is patched in this process", "Installed beside it", "Next"]
    assert "asyncio's own in the module asyncio" in text


def test_info_says_what_is_slow_and_what_to_do_about_it() -> None:
    found = {name: dict(section) for name, section in json.loads(run("info", "--json")[1]).items()}
    found["accelerations"] = dict.fromkeys(found["accelerations"], False) | {"oversleep_us": 900}
    found["ferrio"] |= {"profile": "debug", "driver": "portable"}
    found["patched"] |= {"event_loops": True, "selectors": "gevent", "environment": "A=1"}
    text = "\n".join(text_of(found))
    for word in (
        "debug: not optimised",
        "-> install a wheel",
        "asyncio's own, which are slower",
        "-> without --c-tasks",
        "on, which costs several times",
        "rounded to milliseconds: a sleep of 0.2 ms ended 900 us late",
        "-> Linux 5.11",
        "portable, for systems without epoll",
        "ferrio's, for who names no other",
        "gevent's, by which loops wait",
        "environment         A=1",
    ):
        assert word in text


def test_info_says_what_is_patched() -> None:
    status, text, _ = run("run", "-c", "from ferrio import _info; _info.print_info(as_json=False)")
    assert status == 0
    assert "new loops           ferrio's, for who names no other" in text
    assert "locks, streams ...  ferrio's in the module asyncio" in text
    assert "children            on ferrio, too" in text
    assert "FERRIO_RUN=" in text


def test_info_as_json() -> None:
    status, text, _ = run("info", "--json")
    info = json.loads(text)
    assert status == 0
    assert set(info) == {"ferrio", "features", "accelerations", "patched"} | {
        "python",
        "system",
        "installed",
    }
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

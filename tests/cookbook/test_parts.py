"""A recipe that lacks a package runs the rest, and says what it leaves out and what to type."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import PATIENCE, ROOT

#: Recipe, the part that cannot run, the packages that it needs, and what shows that the rest ran.
LACKING = [
    ("queues", "crawler", ["aiohttp"], "lifo: last in"),
    ("threads", "numbers", ["numpy"], "locks: in one order"),
    ("microservices", "libraries", ["pybreaker", "tenacity"], "all services have ended"),
    ("web_apps", "django", ["asgiref", "django"], "counter    3 visitors"),
]
HELPED = ["queues", "threads", "web_apps", "microservices"]


def run_without(
    packages: list[str], name: str, folder: Path, *arguments: str
) -> subprocess.CompletedProcess[str]:
    """A copy of the recipe, where `packages` are not installed."""
    for recipe in (name, "postgres"):
        shutil.copytree(ROOT / "examples" / recipe, folder / recipe, dirs_exist_ok=True)
    requirements = folder / name / "requirements.txt"
    hidden = folder / "hidden"
    hidden.mkdir()
    text = requirements.read_text()
    for package in packages:
        # Who looks for what is installed asks by name; who imports it finds the other.
        text, count = re.subn(rf"^{package}\b", f"not-{package}", text, flags=re.M)
        assert count == 1
        error = f"No module named {package!r}"
        (hidden / f"{package}.py").write_text(
            f"raise ModuleNotFoundError({error!r}, name={package!r})\n"
        )
    requirements.write_text(text)
    return subprocess.run(
        [sys.executable, "-m", "ferrio", "run", str(folder / name), *arguments],
        env=os.environ | {"PYTHONPATH": str(hidden)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@pytest.mark.parametrize(("name", "part", "packages", "last"), LACKING, ids=str)
def test_the_rest_runs(
    name: str, part: str, packages: list[str], last: str, tmp_path: Path
) -> None:
    done = run_without(packages, name, tmp_path)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert last in done.stdout
    missing = " and ".join(f"not-{package}" for package in packages)
    assert f"\n{part}: left out: it needs {missing}, not installed here\n" in done.stdout
    command = f"{sys.executable} -m pip install -r {tmp_path / name / 'requirements.txt'}"
    assert f"\nto install what is missing: {command}\n" in done.stdout


@pytest.mark.parametrize(
    ("name", "arguments", "package"),
    [
        ("queues", ["crawler"], "aiohttp"),
        ("threads", ["numbers"], "numpy"),
        ("microservices", ["--by", "libraries"], "tenacity"),
        ("web_apps", ["serve", "django"], "django"),
    ],
)
def test_a_part_that_is_asked_for_says_what_it_lacks(
    name: str, arguments: list[str], package: str, tmp_path: Path
) -> None:
    done = run_without([package], name, tmp_path, *arguments)
    assert done.returncode == 1
    assert f"{arguments[-1]} needs not-{package}, not installed here: " in done.stderr
    assert f"-m pip install -r {tmp_path / name / 'requirements.txt'}\n" in done.stderr


@pytest.mark.parametrize("name", HELPED)
def test_help_needs_no_package(name: str, tmp_path: Path) -> None:
    """Those that all of a recipe needs aside."""
    text = (ROOT / "examples" / name / "requirements.txt").read_text()
    packages = [
        line.partition(">")[0].partition("[")[0] for line in text.splitlines() if "# for:" in line
    ]
    done = run_without(packages, name, tmp_path, "--help")
    assert (done.returncode, done.stderr) == (0, "")


def test_all_recipes_look_in_the_same_way() -> None:
    """The file stands in each, because recipes are read and copied one by one."""
    texts = {path.read_text() for path in (ROOT / "examples").glob("*/parts.py")}
    assert len(texts) == 1
    assert sorted(p.parent.name for p in (ROOT / "examples").glob("*/parts.py")) == sorted(HELPED)

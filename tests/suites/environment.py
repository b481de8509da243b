"""What the suites run in: their sources, and a virtual environment with all that they import.

Sources go to `.build/suites/NAME-VERSION`, the environment to `.build/suites/X.Y`. It is not the
one of ferrio's own tests: a suite may want another version of a package, and none wants uvloop,
which uvicorn and others would take instead of the loop under test.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request
import venv
from pathlib import Path

from tests.setup.environment import BUILD, VERSION, Stamp, step

from .catalogue import Suite

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
FOLDER = BUILD / "suites"
ENVIRONMENT = FOLDER / VERSION
PYTHON = ENVIRONMENT / "bin" / "python"

ATTEMPTS = 3


def prepare(suites: list[Suite]) -> None:
    _create()
    _install()
    _fetch_sdists([suite for suite in suites if suite.source == "sdist"])
    for suite in suites:
        if suite.source != "sdist" and not sources(suite).exists():
            with step(f"fetching {suite.source}"):
                _unpack(suite, _download(suite))


def sources(suite: Suite) -> Path:
    return FOLDER / f"{suite.name}-{suite.version}"


def _create() -> None:
    if not PYTHON.exists():
        with step(f"creating {ENVIRONMENT.relative_to(BUILD.parent)}"):
            venv.create(ENVIRONMENT, with_pip=True, symlinks=True)


def _install() -> None:
    requirements = Stamp("suites", [REQUIREMENTS])
    if not requirements.is_current():
        with step("installing what the suites import"):
            _pip("install", "--quiet", "--prefer-binary", "--requirement", REQUIREMENTS)
            requirements.write()
    wheels = list((BUILD / "wheel" / VERSION).glob("*.whl"))
    if len(wheels) != 1:
        sys.exit(f"ferrio is not built for CPython {VERSION}: make venv")
    wheel = Stamp("suites-wheel", wheels)
    if not wheel.is_current():
        _pip("install", "--quiet", "--no-deps", "--force-reinstall", wheels[0])
        wheel.write()


def _fetch_sdists(suites: list[Suite]) -> None:
    missing = [suite for suite in suites if not sources(suite).exists()]
    if not missing:
        return
    with (
        step(f"fetching sources of {', '.join(suite.name for suite in missing)}"),
        tempfile.TemporaryDirectory() as folder,
    ):
        pins = Path(folder) / "pins.txt"
        lines = [f"{s.name}=={s.version} --hash=sha256:{s.sha256}\n" for s in missing]
        pins.write_text("".join(lines))
        names = ",".join(suite.name for suite in missing)
        options = ("--quiet", "--no-deps", "--no-binary", names, "--dest", folder)
        _pip("download", *options, "--requirement", pins)
        for suite in missing:
            _unpack(suite, (Path(folder) / f"{suite.name}-{suite.version}.tar.gz"))


def _download(suite: Suite) -> Path:
    path = FOLDER / suite.source.rpartition("/")[2]
    for attempt in range(ATTEMPTS):
        try:
            with urllib.request.urlopen(suite.source, timeout=60) as response:
                path.write_bytes(response.read())
            break
        except OSError as error:
            if attempt + 1 == ATTEMPTS:
                sys.exit(f"{suite.name}: {suite.source} is not to be had: {error}")
            time.sleep(2.0)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != suite.sha256:
        sys.exit(f"{suite.name}: {suite.source} has the SHA-256 {digest}, not {suite.sha256}")
    return path


def _unpack(suite: Suite, archive: Path) -> None:
    """Puts what the suite keeps of its archive into `sources(suite)`: all of it, or nothing."""
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        with tarfile.open(archive) as file:
            file.extractall(folder, filter="data")
        (root,) = Path(folder).iterdir()
        partial = Path(folder) / "kept"
        partial.mkdir()
        for name in suite.keep:
            shutil.move(root / name, partial / name)
        # pytest looks for options in the folders above, where it would find ours.
        if not {"pytest.ini", "pyproject.toml"} & set(suite.keep):
            (partial / "pytest.ini").touch()
        partial.rename(sources(suite))


def _pip(*arguments: str | Path) -> None:
    command = [PYTHON, "-m", "pip", "--disable-pip-version-check", *arguments]
    if subprocess.run(command, check=False).returncode != 0:
        sys.exit(f"failed: {' '.join(map(str, command))}")

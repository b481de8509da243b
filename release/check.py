"""What must hold before a release is published.

    python3 -m release.check                    all of it; some minutes of compiling
    python3 -m release.check --tag v0.1.0       and that the release is the one of this tag
    python3 -m release.check --versions         only what is said in several places

1. Versions agree, and the changelog has an entry.
2. The source distribution builds with no network, from vendored crates, those of Cargo.lock.
3. The wheel out of it works in a clean environment, and runs examples/encyclopedia.

Standard library only: the tools are installed from PyPI into .build/release/tools.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tarfile
from pathlib import Path

from .agreement import Repository
from .tools import BUILD, PYTHON, ROOT, Failure, output, prepare, run, say
from .verdict import Wheel, contents, within_budget

PLACE = BUILD / "release" / "check"


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="make release-check", description="What must hold before a release is published."
    )
    parser.add_argument("--tag", help="the tag that is released, like v0.1.0")
    parser.add_argument(
        "--versions", action="store_true", help="only what is said in several places"
    )
    options = parser.parse_args()
    repository = Repository(ROOT)
    say(f"ferrio {repository.version}: versions and changelog")
    wrong = list(repository.disagreements(options.tag))
    for complaint in wrong:
        print(complaint, file=sys.stderr)
    if options.versions or wrong:
        print(f"{len(wrong)} disagreements" if wrong else "they agree")
        return 1 if wrong else 0
    try:
        prepare()
        shutil.rmtree(PLACE, ignore_errors=True)
        source = unpack(make_sdist(), repository.version)
        vendor(source)
        wheel = build_offline(source)
        judge(wheel)
        say("the wheel, in a clean environment, and the demo on it")
        run([sys.executable, ROOT / "release" / "trial.py", wheel, "--demo"], "trial")
    except Failure as failure:
        print(failure, file=sys.stderr)
        return 1
    say(f"ferrio {repository.version} can be released; `make wheels` makes what is published")
    return 0


def make_sdist() -> Path:
    say("source distribution")
    run([PYTHON, "-m", "maturin", "sdist", "--out", PLACE / "sdist"], "source distribution")
    (sdist,) = (PLACE / "sdist").glob("*.tar.gz")
    return sdist


def unpack(sdist: Path, version: str) -> Path:
    with tarfile.open(sdist) as archive:
        archive.extractall(PLACE, filter="data")
    source = PLACE / f"ferrio-{version}"
    if not (source / "Cargo.lock").exists():
        raise Failure(f"{sdist.name} has no Cargo.lock: everybody would build something else")
    return source


def vendor(source: Path) -> None:
    """The only step that may fetch anything: crates, as the lock file has them."""
    say("vendoring what Cargo.lock names")
    config = output("cargo", "vendor", "--locked", "vendor", cwd=source)
    folder = source / ".cargo"
    folder.mkdir()
    (folder / "config.toml").write_text(config)


def build_offline(source: Path) -> Path:
    """As pip would, but for what it fetches: nothing is left that cargo could have kept."""
    say("building it offline, from vendored crates: two minutes or so")
    home = PLACE / "cargo-home"
    home.mkdir()
    environment = {
        "CARGO_HOME": str(home),
        "CARGO_NET_OFFLINE": "true",
        "CARGO_TARGET_DIR": str(PLACE / "target"),
    }
    command: list[str | Path] = [PYTHON, "-m", "pip", "--disable-pip-version-check", "wheel"]
    command += ["--verbose", "--config-settings", "load-generator=yes"]
    command += ["--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", PLACE / "wheel"]
    run([*command, source], "building offline", env=environment)
    (wheel,) = (PLACE / "wheel").glob("*.whl")
    return wheel


def judge(path: Path) -> None:
    """By what does not depend on the platform: this wheel is linked for this machine."""
    wheel = Wheel.read(path)
    if wrong := [*within_budget(wheel), *contents(wheel)]:
        raise Failure("\n".join(f"{path.name}: {complaint}" for complaint in wrong))


if __name__ == "__main__":
    sys.exit(main())

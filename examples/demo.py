"""What `make demo` does: from nothing to figures of this machine, in a few minutes.

    python examples/demo.py [--wheel FILE]

1. makes a virtual environment of its own, .build/demo/X.Y, with ferrio and what the demo needs:
   aiohttp for the program, uvloop and rich for the comparison;
2. runs examples/encyclopedia, an aiohttp service and its visitors, on asyncio, uvloop and ferrio in
   turns, by `ferrio compare`;
3. measures the three loops by `ferrio bench --quick`;
4. says what to type next.

Runs on a bare interpreter: standard library only.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "bench" / "load"))
import progress  # noqa: E402 - what stands beside the build backend

VERSION = "{}.{}".format(*sys.version_info)
ENVIRONMENT = ROOT / ".build" / "demo" / VERSION
NEEDED = ("aiohttp", "rich", "uvloop")
LOOPS = ("asyncio", "uvloop", "ferrio")
STEPS = 4


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--wheel",
        type=Path,
        metavar="FILE",
        help="a wheel of ferrio's, to install that and build nothing",
    )
    parser.add_argument(
        "--brief",
        action="store_true",
        help="measure as little as possible: figures mean nothing then",
    )
    args = parser.parse_args()
    start = time.monotonic()
    check_machine(args.wheel)

    how = f"installing {args.wheel.name}" if args.wheel else "building ferrio, a minute or two"
    title(1, f"setting up {ENVIRONMENT.relative_to(ROOT)} and {how}")
    set_up(args.wheel)

    title(2, "an aiohttp service and its visitors, which know nothing of ferrio, on each loop:")
    program = [str(ROOT / "examples" / "encyclopedia"), "--pages", "20" if args.brief else "200"]
    ferrio("compare", "--loops", *LOOPS, "--runs", "1" if args.brief else "5", *program)

    title(3, "this machine, side by side:")
    little = ["--rounds", "1", "--seconds", "0.05"] if args.brief else []
    ferrio("bench", "--quick", "--loops", *LOOPS, *little)

    title(4, f"done in {time.monotonic() - start:.0f} s. What to type next:")
    command = (ENVIRONMENT / "bin" / "ferrio").relative_to(ROOT)
    next_steps = {
        f"{command} compare YOUR_PROGRAM.py": "what your program would gain",
        f"{command} run YOUR_PROGRAM.py": "and to run it on ferrio",
        f"{command} cookbook": "programs for everything asyncio is used for",
        f"pip install {args.wheel or '.'}": "into an environment of yours",
    }
    width = max(map(len, next_steps))
    for words, what in next_steps.items():
        print(f"  {words:{width}}  {what}")
    print("\nRead on in docs/tutorial/index.md and docs/usage.md; `make docs` builds all pages.")
    return 0


def check_machine(wheel: Path | None) -> None:
    """Says what is missing before any work is done, rather than in the middle of it."""
    if sys.version_info < (3, 11):  # noqa: UP036 - that it is not is what we check
        sys.exit(f"ferrio needs Python 3.11 or newer; {sys.executable} is {VERSION}")
    if wheel is not None and not wheel.is_file():
        sys.exit(f"--wheel {wheel}: there is no such file")
    if wheel is None and shutil.which("cargo") is None:
        sys.exit(
            "ferrio is built by cargo, which is not on PATH: install Rust (https://rustup.rs), or "
            "give a wheel: make demo WHEEL=FILE"
        )


def title(number: int, text: str) -> None:
    print(f"{'' if number == 1 else chr(10)}==> {number}/{STEPS}  {text}", flush=True)


def set_up(wheel: Path | None) -> None:
    if not (ENVIRONMENT / "bin" / "python").exists():
        with progress.ticking("making the environment"):
            venv.create(ENVIRONMENT, with_pip=True, symlinks=True)
    pip(f"installing {', '.join(NEEDED)}", "--prefer-binary", *NEEDED)
    if wheel is not None:
        pip("installing ferrio", "--no-deps", "--force-reinstall", str(wheel))
    else:
        pip("building and installing ferrio", "--verbose", str(ROOT))


def pip(what: str, *arguments: str) -> None:
    print(f"    {what} ...", flush=True)
    quiet = () if "--verbose" in arguments else ("--quiet",)
    command = [ENVIRONMENT / "bin" / "python", "-m", "pip", "--disable-pip-version-check"]
    if status := progress.run([*command, "install", *quiet, *arguments], what):
        sys.exit(f"{what} failed: pip ended with {status}")


def ferrio(*words: str) -> None:
    command = [str(ENVIRONMENT / "bin" / "ferrio"), *words]
    short = [word.removeprefix(f"{ROOT}/") for word in words]
    print(f"\n    $ ferrio {' '.join(short)}\n", flush=True)
    # On a terminal it draws how far it is; elsewhere it prints a line after each measurement.
    if sys.stdout.isatty():
        status = subprocess.run(command, check=False).returncode
    else:
        status = progress.run(command, f"ferrio {words[0]}")
    if status:
        sys.exit(status)


if __name__ == "__main__":
    sys.exit(main())

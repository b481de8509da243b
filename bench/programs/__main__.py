"""Measures five programs on asyncio, uvloop and ferrio, and writes the tables of them.

    python bench/programs [--runs N]

The one in bench/README.md has all that is to be known, the one in README.md the medians.

Programs of the kind that people run, on packages that they use: a loop is a part of what they do.
Each is compared by `ferrio compare`, as anybody can compare their own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ferrio._bench import figures
from ferrio._compare.verdict import Ratio, median, ratio

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from figures import README, replace_section  # noqa: E402 - what stands beside the folder

LOOPS = ("asyncio", "uvloop", "ferrio")
PARTS = HERE.parents[1] / ".build" / "parts.db"


@dataclass(frozen=True)
class Measured:
    """One of the programs."""

    name: str
    about: str
    #: What `ferrio compare` is told.
    words: tuple[str, ...]
    #: Of what the CPU time is: `verdict.QUANTITIES`.
    quantity: str = "cpu"
    unit: str = "s"


def served(url: str, *words: str) -> tuple[str, ...]:
    return ("--until-ready", url, "--load", url, *words)


PROGRAMS = (
    Measured("mail", "aiosmtpd takes 800 letters from aiosmtplib", (str(HERE / "mail.py"),)),
    Measured(
        "chat",
        "a chat of 100 members on websockets, 500 messages to all of them",
        (str(HERE / "chat.py"),),
    ),
    Measured(
        "encyclopedia",
        "an aiohttp service and a crowd of visitors: pages, JSON, search, WebSockets",
        (str(HERE.parents[1] / "examples" / "encyclopedia"),),
    ),
    Measured(
        "FastAPI",
        "uvicorn and FastAPI answer with JSON that pydantic checks",
        served(
            "http://127.0.0.1:8711/orders/7",
            *("uvicorn", "--app-dir", str(HERE), "--port", "8711", "--log-level", "warning"),
            "service:app",
        ),
        "request_cpu",
        "µs/request",
    ),
    Measured(
        "Datasette",
        "Datasette shows 20 rows of an SQLite file as JSON",
        served(
            "http://127.0.0.1:8712/parts/parts.json?_size=20",
            *("datasette", "serve", str(PARTS), "--port", "8712"),
        ),
        "request_cpu",
        "µs/request",
    ),
)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=7, metavar="N", help="of each (default 7)")
    args = parser.parse_args()
    subprocess.run([sys.executable, HERE / "database.py", PARTS], check=True)
    found = {program: compared(program, args.runs) for program in PROGRAMS}
    version = "{}.{}".format(*sys.version_info)
    write(README, f"programs {version}", section(found, args.runs))
    write(HERE.parents[1] / "README.md", "programs", medians(found))
    return 0


def write(readme: Path, name: str, lines: Iterator[str]) -> None:
    readme.write_text(replace_section(readme.read_text(), name, "\n".join(lines)))


def compared(program: Measured, runs: int) -> dict[str, Any]:
    """What `ferrio compare` writes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "compared.json")
        command = [sys.executable, "-m", "ferrio", "compare", "--loops", *LOOPS]
        command += ["--runs", str(runs), "--json", str(path), *program.words]
        subprocess.run(command, check=True)
        results: dict[str, Any] = json.loads(path.read_text())
    return results


def section(found: dict[Measured, dict[str, Any]], runs: int) -> Iterator[str]:
    about = next(iter(found.values()))["environment"]
    loops = next(iter(found.values()))["loops"]
    versions = ", ".join(f"{name} {loops[name]['version']}" for name in LOOPS)
    yield f"### Five programs, CPython {about['python']}, {about['date'][:10]}"
    yield ""
    yield (
        f"{about['cpu']}, {about['cpus']} CPUs, {about['system']}; {versions}. CPU time relative "
        f"to asyncio, {runs} paired runs."
    )
    yield ""
    yield "| program | | asyncio | uvloop | ferrio |"
    yield "|---|---|---:|---:|---:|"
    for program, results in found.items():
        rounds = results["loops"]["asyncio"]["rounds"]
        cells = [program.name, program.about]
        cells.append(baseline(median(rounds, program.quantity), program.unit))
        cells += [cell(found_ratio) for found_ratio in ratios(program, results)]
        yield f"| {' | '.join(cells)} |"


def medians(found: dict[Measured, dict[str, Any]]) -> Iterator[str]:
    yield "| CPU time, asyncio = 1 | uvloop | ferrio |"
    yield "|---|---:|---:|"
    for program, results in found.items():
        cells = [f"{each.median:.2f}" if each else "failed" for each in ratios(program, results)]
        yield f"| {program.about} | {' | '.join(cells)} |"


def ratios(program: Measured, results: dict[str, Any]) -> Iterator[Ratio | None]:
    """Of each loop but asyncio to asyncio."""
    rounds = {name: loop["rounds"] for name, loop in results["loops"].items()}
    for loop in LOOPS[1:]:
        yield ratio(rounds[loop], rounds["asyncio"], program.quantity)


def baseline(value: float | None, unit: str) -> str:
    return "failed" if value is None else f"{figures.number(value)} {unit}"


def cell(found: Ratio | None) -> str:
    if found is None:
        return "failed"
    return f"{found.median:.2f} <sub>{found.least:.2f}-{found.most:.2f}</sub>"


if __name__ == "__main__":
    sys.exit(main())

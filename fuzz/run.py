"""Fuzzes the state machines of the engine and of HTTP: `make fuzz`.

Builds the targets with libFuzzer and the address sanitizer, and runs each from its kept corpus. The
stable compiler does it: RUSTC_BOOTSTRAP=1 admits it to `-Zsanitizer`, and coverage needs no more
than LLVM's own pass. Where there is no C++ compiler for libFuzzer, the same targets run over the
corpus and random bytes, so that the step is never empty.

Runs on a bare interpreter: standard library only.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parent
# One file for each target, one history a line, as hexadecimal digits.
CORPUS = FOLDER / "corpus"
# What a run starts from and finds: new histories, and those that fail.
FOUND = ROOT / ".build" / "fuzz"
TARGETS = (
    *("engine", "stream", "write_buffer", "read_buffer", "records", "datagrams", "session"),
    *("h1_server", "chunked", "target"),
    *("ws_frames", "deflate"),
)

# Longer histories find no more, only later.
MAX_LEN_BYTES = 512
# Of a kept history: what is short can be read.
MAX_KEPT_LEN_BYTES = 64

COVERAGE = (
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Fuzz the state machines of the engine and of HTTP.",
        epilog="A failing history is written to .build/fuzz/TARGET-crash-*: give that file to the "
        "binary again to see it fail, and make it a unit test.",
    )
    add = parser.add_argument
    add("target", nargs="*", metavar="TARGET", help=f"{', '.join(TARGETS)} (all)")
    add("--seconds", type=int, default=60, help="for each target (60)")
    add("--jobs", type=int, default=1, help="targets at a time (1)")
    add("--replay", action="store_true", help="without libFuzzer: the corpus and random bytes")
    add("--keep", action="store_true", help="put what is new and short into the corpus, minimised")
    options = parser.parse_args()
    if unknown := set(options.target) - set(TARGETS):
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    if shutil.which("cargo") is None:
        sys.exit("cargo is not on PATH: install Rust (https://rustup.rs)")
    targets = options.target or list(TARGETS)
    if not options.replay and shutil.which(os.environ.get("CXX", "c++")) is None:
        print("no C++ compiler for libFuzzer (apt-get install g++): replaying instead")
        options.replay = True
    if options.replay:
        sys.exit(replay(options.seconds * len(targets)))
    binaries = build()
    failed = fuzz(binaries, targets, options.seconds, options.jobs)
    if options.keep and not failed:
        for target in targets:
            keep(binaries, target)
    if failed:
        sys.exit(f"FAILED: {', '.join(failed)}")


def replay(seconds: int) -> int:
    command = ["cargo", "run", "--quiet", "--locked", "--release", "--bin", "replay"]
    command += ["--target-dir", str(ROOT / "target/replay"), "--", "--seconds", str(seconds)]
    return subprocess.run(command, cwd=FOLDER, check=False).returncode


def build() -> Path:
    """The folder with the targets' binaries."""
    said = subprocess.run(["rustc", "-vV"], capture_output=True, text=True, check=True).stdout
    (host,) = (line.split()[1] for line in said.splitlines() if line.startswith("host:"))
    flags = [*COVERAGE, "-Zsanitizer=address", "-Ccodegen-units=1"]
    folder = ROOT / "target/fuzz"
    # With --target, what runs at build time is not instrumented.
    command = ["cargo", "build", "--locked", "--release", "--features", "libfuzzer"]
    command += ["--bins", "--target", host, "--target-dir", str(folder)]
    environment = os.environ | {"RUSTFLAGS": " ".join(flags), "RUSTC_BOOTSTRAP": "1"}
    if subprocess.run(command, cwd=FOLDER, env=environment, check=False).returncode != 0:
        sys.exit("the targets cannot be built")
    return folder / host / "release"


def fuzz(binaries: Path, targets: list[str], seconds: int, jobs: int) -> list[str]:
    """Returns the targets that failed."""
    failed: list[str] = []
    waiting = list(targets)
    running: dict[str, tuple[subprocess.Popen[bytes], Path]] = {}
    while waiting or running:
        while waiting and len(running) < jobs:
            target = waiting.pop(0)
            running[target] = start(binaries, target, seconds)
        for target, (process, output) in list(running.items()):
            if process.poll() is None:
                continue
            del running[target]
            text = output.read_text(errors="replace")
            if process.returncode == 0:
                print(f"{target:14} {summary(text)}", flush=True)
            else:
                failed.append(target)
                print(f"{target:14} FAILED ({process.returncode})\n{text[-6000:]}", flush=True)
        time.sleep(0.1)
    return failed


def start(binaries: Path, target: str, seconds: int) -> tuple[subprocess.Popen[bytes], Path]:
    found = FOUND / target
    found.mkdir(parents=True, exist_ok=True)
    for digits in (CORPUS / f"{target}.txt").read_text().split():
        (found / f"kept-{hashlib.sha1(bytes.fromhex(digits)).hexdigest()}").write_bytes(
            bytes.fromhex(digits)
        )
    output = FOUND / f"{target}.log"
    command: list[str | Path] = [binaries / target, found]
    command += [f"-max_total_time={seconds}", f"-max_len={MAX_LEN_BYTES}", "-timeout=20"]
    command += ["-print_final_stats=1", f"-artifact_prefix={FOUND / target}-"]
    with output.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
    return process, output


def summary(text: str) -> str:
    stats = {}
    for line in text.splitlines():
        if line.startswith("stat::"):
            name, value = line.removeprefix("stat::").split(":")
            stats[name] = int(value)
    covered = [word for line in text.splitlines() if " cov: " in line for word in [line.split()]]
    edges = covered[-1][covered[-1].index("cov:") + 1] if covered else "?"
    return (
        f"{stats.get('number_of_executed_units', 0)} histories, {edges} edges, "
        f"{stats.get('new_units_added', 0)} new"
    )


def keep(binaries: Path, target: str) -> None:
    """A small set that reaches all that the short histories reach replaces the corpus."""
    with tempfile.TemporaryDirectory() as folder:
        command: list[str | Path] = [binaries / target, "-set_cover_merge=1"]
        command += [f"-max_len={MAX_KEPT_LEN_BYTES}", folder, FOUND / target]
        subprocess.run(command, check=True, capture_output=True)
        kept = [path.read_bytes().hex() for path in Path(folder).iterdir()]
    kept.sort(key=lambda digits: (len(digits), digits))
    (CORPUS / f"{target}.txt").write_text("".join(f"{digits}\n" for digits in kept))
    print(f"{target:14} {len(kept)} histories kept")


if __name__ == "__main__":
    main()

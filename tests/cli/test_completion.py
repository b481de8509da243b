"""`ferrio completion`, by what real shells make of it."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from .command import FERRIO, PATIENCE, Command, clean_environment

#: What was typed, and what Tab offers.
TYPED = [
    ("ferrio ", {"run", "compare", "cookbook", "bench", "jupyter", "info", "completion"}),
    ("ferrio coo", {"cookbook"}),
    ("ferrio run --loop-", {"--loop-only"}),
    ("ferrio run --loop uv", {"uvloop"}),
    ("ferrio run unique", {"unique_program.py"}),
    ("ferrio run --reload --watch uniq", {"unique_program.py"}),
    ("ferrio cookbook ", {"list", "show", "copy", "run"}),
    ("ferrio cookbook show sock", {"sockets"}),
    ("ferrio cookbook run sock", {"sockets"}),
    ("ferrio bench --qu", {"--quick"}),
    ("ferrio compare --run", {"--runs"}),
    ("ferrio cookbook copy sock", {"sockets"}),
    ("ferrio jupyter ins", {"install"}),
    ("ferrio info --js", {"--json"}),
    ("ferrio completion z", {"zsh"}),
]


def script(shell: str) -> str:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed (apt-get install {shell})")
    outcome = Command([FERRIO]).run(["completion", shell], cwd=Path.cwd())
    assert (outcome.status, outcome.stderr) == (0, "")
    return outcome.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "unique_program.py").touch()
    return tmp_path / "here"


BASH = """
source ../script
while IFS= read -r line; do
  read -ra COMP_WORDS <<< "$line"
  [[ $line == *' ' ]] && COMP_WORDS+=('')
  COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
  COMPREPLY=()
  function=$(complete -p ferrio | sed 's/.* -F \\([^ ]*\\) .*/\\1/')
  $function ferrio "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
  echo "${COMPREPLY[*]}"
done
"""


def test_bash(folder: Path) -> None:
    (folder.parent / "script").write_text(script("bash"))
    done = subprocess.run(
        ["bash", "--norc", "-c", BASH],
        input="".join(f"{typed}\n" for typed, _ in TYPED),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert done.stderr == ""
    offered = [set(line.split()) for line in done.stdout.splitlines()]
    assert dict(zip((typed for typed, _ in TYPED), offered, strict=True)) == dict(TYPED)


def test_fish(folder: Path) -> None:
    (folder.parent / "script").write_text(script("fish"))
    offered = {}
    for typed, _ in TYPED:
        done = subprocess.run(
            ["fish", "--no-config", "-c", f"source ../script; complete --do-complete '{typed}'"],
            cwd=folder,
            env=clean_environment() | {"HOME": str(folder.parent)},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        )
        # Behind a tab stands what it is.
        offered[typed] = {line.partition("\t")[0] for line in done.stdout.splitlines()}
    assert offered == dict(TYPED)


class Terminal:
    """An interactive shell, and somebody who types."""

    def __init__(self, command: list[str], folder: Path) -> None:
        self._fd, inner = pty.openpty()
        environment = clean_environment() | {"TERM": "dumb", "HOME": str(folder.parent)}
        self._process = subprocess.Popen(
            command, cwd=folder, stdin=inner, stdout=inner, stderr=inner, env=environment
        )
        os.close(inner)
        self._seen = ""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._fd)

    def type(self, text: str) -> None:
        self._seen = ""
        os.write(self._fd, text.encode())

    def until(self, look: Callable[[str], object]) -> str:
        deadline = time.monotonic() + PATIENCE
        while not look(self._seen):
            assert time.monotonic() < deadline, self._seen
            if select.select([self._fd], [], [], 0.1)[0]:
                self._seen += os.read(self._fd, 4096).decode(errors="replace")
        return self._seen


def has_all(words: list[str], text: str) -> bool:
    return all(word in text for word in words)


def test_zsh(folder: Path) -> None:
    functions = folder.parent / "functions"
    functions.mkdir()
    (functions / "_ferrio").write_text(script("zsh"))
    with Terminal(["zsh", "-f", "-i"], folder) as shell:
        # Echoed as it is typed, so the prompt is told from what sets it.
        shell.type("PS1=REA''DY; fpath=(../functions $fpath); autoload -U compinit; compinit -u\n")
        shell.until(lambda seen: re.search(r"\nREADY|\rREADY", seen))
        for typed, offered in TYPED:
            shell.type(f"{typed}\t")
            # One is completed, several are listed.
            last = typed.rpartition(" ")[2]
            missing = [word.removeprefix(last) if len(offered) == 1 else word for word in offered]
            shell.until(partial(has_all, missing))
            shell.type("\x15\n")
            shell.until(lambda seen: "READY" in seen)


def test_without_shtab(tmp_path: Path) -> None:
    (tmp_path / "shtab.py").write_text("raise ImportError")
    command = Command([FERRIO], {"PYTHONPATH": str(tmp_path)})
    outcome = command.run(["completion", "bash"], cwd=tmp_path)
    assert (outcome.status, outcome.stdout) == (1, "")
    assert outcome.stderr == (
        f"ferrio completion: shtab is not installed: {sys.executable} -m pip install shtab\n"
    )

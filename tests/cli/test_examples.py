"""The examples run, on ferrio as on asyncio."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .command import Command, ferrio_run, python

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.mark.parametrize(
    ("form", "loop"),
    [
        pytest.param(ferrio_run(), "ferrio.Loop", id="ferrio"),
        pytest.param(python(), "asyncio.", id="python"),
    ],
)
def test_encyclopedia(form: Command, loop: str, tmp_path: Path) -> None:
    program = [str(EXAMPLES / "encyclopedia"), "--pages", "60"]
    outcome = form.run(program, cwd=tmp_path)
    assert (outcome.status, outcome.stderr) == (0, ""), outcome
    assert outcome.stdout.startswith(f"running on {loop}")
    assert re.search(r"^\d+ requests served, all answers as expected$", outcome.stdout, re.M)

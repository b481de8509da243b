"""The figures on README.md's first screen are those that were measured."""

from __future__ import annotations

import re

from .conftest import ROOT

README = (ROOT / "README.md").read_text()
RECORD = (ROOT / "bench" / "README.md").read_text()


def section(text: str, name: str) -> str:
    match = re.search(rf"<!-- {name} -->\n(.*?)<!-- end of {name} -->", text, re.DOTALL)
    assert match is not None, name
    return match[1]


def test_the_three_numbers_are_in_the_chart() -> None:
    chart = (ROOT / "docs" / "images" / "chart.svg").read_text()
    # A number that stands bold (700) beside a bar is ferrio's.
    drawn = re.findall(r'<text style="font-weight: 700[^"]*"[^>]*>([\d.]+)</text>', chart)
    first_screen = README.partition("## ")[0]
    told = re.findall(r"\*\*(\d\.\d+)\*\*", first_screen)
    assert len(told) == 3
    assert set(told) <= set(drawn)


def test_the_programs_are_those_of_the_record() -> None:
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in section(README, "programs").splitlines()
        if line.startswith("|")
    ][2:]
    assert len(rows) == 5
    record = section(RECORD, "programs 3.14")
    for about, uvloop, ferrio in rows:
        [line] = [line for line in record.splitlines() if f"| {about} |" in line]
        medians = re.findall(r"(\d\.\d\d) <sub>", line)
        assert medians == [uvloop, ferrio]

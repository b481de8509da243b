"""What a wheel is refused for."""

from __future__ import annotations

import dataclasses
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from release.matrix import MACOS, PLATFORMS
from release.verdict import BUDGET, LOAD_GENERATOR, Wheel, granted, judge, keeps

GLIBC = PLATFORMS[0]
GRANTED = "manylinux_2_17_x86_64"
EXTENSION = "ferrio/_ferrio.cpython-313-x86_64-linux-gnu.so"
SBOM = {
    "bomFormat": "CycloneDX",
    "metadata": {"component": {"name": "ferrio-py"}},
    "components": [{"name": "pyo3"}, {"name": "rustix"}],
}
CRATES = {"ferrio-py", "pyo3", "rustix"}
GOOD = Wheel(
    "ferrio-0.1.0-cp313-cp313-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
    BUDGET,
    frozenset(
        {EXTENSION, LOAD_GENERATOR, "ferrio/py.typed", "ferrio/_ferrio.pyi", "ferrio_start.pth"}
    ),
    frozenset({EXTENSION, LOAD_GENERATOR}),
    (SBOM,),
)


def wrong(audited: str | None = GRANTED, crates: set[str] = CRATES, **changes: Any) -> list[str]:
    return [*judge(dataclasses.replace(GOOD, **changes), GLIBC, crates, audited)]


def test_a_good_wheel_is_not_refused() -> None:
    assert wrong() == []


def test_the_budget_is_three_megabytes() -> None:
    assert BUDGET == 3_000_000
    assert wrong(size=3_010_000) == ["3.01 MB is more than the 3.00 MB that a wheel may have"]


def test_a_tag_that_was_not_promised() -> None:
    name = "ferrio-0.1.0-cp313-cp313-linux_x86_64.whl"
    assert wrong(name=name) == ["is tagged linux_x86_64 instead of manylinux_2_17_x86_64"]


@pytest.mark.parametrize("audited", ["manylinux_2_34_x86_64", "linux_x86_64"])
def test_auditwheel_has_the_last_word_on_what_it_runs_on(audited: str) -> None:
    assert wrong(audited) == [f"auditwheel grants {audited} instead of manylinux_2_17_x86_64"]


def test_what_runs_on_older_systems_too_is_good() -> None:
    assert wrong("manylinux_2_12_x86_64") == []


@pytest.mark.parametrize(
    ("tag", "promise", "kept"),
    [
        ("musllinux_1_1_aarch64", "musllinux_1_2_aarch64", True),
        ("musllinux_1_2_aarch64", "manylinux_2_17_aarch64", False),
        ("manylinux_2_17_aarch64", "manylinux_2_17_x86_64", False),
        ("manylinux_3_0_x86_64", "manylinux_2_17_x86_64", False),
        ("macosx_11_0_arm64", "macosx_11_0_arm64", True),
        ("macosx_12_0_arm64", "macosx_11_0_arm64", False),
    ],
)
def test_which_tag_keeps_which_promise(tag: str, promise: str, kept: bool) -> None:
    assert keeps(tag, promise) is kept


def test_auditwheel_is_not_asked_about_macos() -> None:
    wheel = dataclasses.replace(GOOD, name="ferrio-0.1.0-cp313-cp313-macosx_11_0_arm64.whl")
    assert [*judge(wheel, MACOS, CRATES, None)] == []


@pytest.mark.parametrize("name", sorted(GOOD.members))
def test_whatever_is_left_out_is_named(name: str) -> None:
    (complaint,) = wrong(members=GOOD.members - {name})
    assert ("extension" in complaint) if name == EXTENSION else (name in complaint)


def test_the_load_generator_can_be_run() -> None:
    assert wrong(executables=frozenset()) == [f"{LOAD_GENERATOR} is not executable"]


def test_every_crate_is_in_an_sbom() -> None:
    assert wrong(sboms=()) == ["has no SBOM in dist-info/sboms"]
    assert wrong(crates={*CRATES, "ring", "rustls"}) == ["no SBOM in it lists ring, rustls"]
    more = {"bomFormat": "CycloneDX", "components": [{"name": "ring"}, {"name": "rustls"}]}
    assert wrong(crates={*CRATES, "ring", "rustls"}, sboms=(SBOM, more)) == []


def test_an_sbom_is_cyclonedx() -> None:
    (complaint,) = wrong(sboms=({**SBOM, "bomFormat": "SPDX"},))
    assert complaint == "has an SBOM in the form 'SPDX' instead of CycloneDX"


def test_the_tag_is_the_overall_one() -> None:
    # What symbols alone would allow may be more than what the linked libraries do.
    report = {"overall_tag": "linux_x86_64", "sym_tag": "manylinux_2_17_x86_64"}
    assert granted(json.dumps(report)) == "linux_x86_64"


def test_a_wheel_is_read_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / GOOD.name
    with zipfile.ZipFile(path, "w") as archive:
        for name in GOOD.members:
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (0o755 if name in GOOD.executables else 0o644) << 16
            archive.writestr(entry, b"")
        archive.writestr("ferrio-0.1.0.dist-info/sboms/ferrio-py.cyclonedx.json", json.dumps(SBOM))
    wheel = Wheel.read(path)
    assert wheel.size == path.stat().st_size
    assert wheel.executables == GOOD.executables
    assert [*judge(wheel, GLIBC, CRATES, GRANTED)] == []

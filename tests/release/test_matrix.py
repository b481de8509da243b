"""Which wheels are built on which machine, and what is said of the others."""

from __future__ import annotations

import pytest

from release.matrix import MACOS, PLATFORMS, VERSIONS, Build, Machine, Missing, named, plan

HOST = "x86_64-unknown-linux-gnu"
ALL = frozenset(platform.target for platform in PLATFORMS)


def machine(
    *versions: str, targets: frozenset[str] = frozenset({HOST}), has_rustup: bool = True
) -> Machine:
    interpreters = {version: f"/usr/bin/python{version}" for version in versions}
    return Machine(HOST, targets, interpreters, has_rustup)


def test_the_matrix_is_what_is_promised() -> None:
    assert [platform.name for platform in PLATFORMS] == [
        "glibc-x86_64",
        "musl-x86_64",
        "glibc-aarch64",
        "musl-aarch64",
        "macos-arm64",
    ]
    assert [platform.tag for platform in PLATFORMS] == [
        "manylinux_2_17_x86_64",
        "musllinux_1_2_x86_64",
        "manylinux_2_17_aarch64",
        "musllinux_1_2_aarch64",
        "macosx_11_0_arm64",
    ]


def test_with_everything_installed_nothing_is_missing() -> None:
    builds = [*plan(machine(*VERSIONS, targets=ALL))]
    assert [build.platform for build in builds if isinstance(build, Build)] == [*PLATFORMS]
    assert sum(len(build.interpreters) for build in builds if isinstance(build, Build)) == 25


def test_only_wheels_of_this_machines_kind_are_tried_on_it() -> None:
    builds = [step for step in plan(machine(*VERSIONS, targets=ALL)) if isinstance(step, Build)]
    assert [build.platform.target for build in builds if build.runs_here] == [HOST]


def test_for_other_machines_no_interpreter_is_needed() -> None:
    (build,) = plan(machine(targets=ALL), [MACOS], ["3.12"])
    assert isinstance(build, Build)
    assert build.interpreters == {"3.12": "python3.12"}


def test_an_interpreter_that_is_not_found_is_named_and_the_others_are_built() -> None:
    steps = [*plan(machine("3.11", "3.13"), PLATFORMS[:1], ["3.11", "3.12", "3.13"])]
    build, missing = steps
    assert isinstance(build, Build)
    assert build.interpreters == {"3.11": "/usr/bin/python3.11", "3.13": "/usr/bin/python3.13"}
    assert str(missing) == (
        "glibc-x86_64, 3.12: no CPython 3.12 was found; put a python3.12 on PATH"
    )


def test_a_target_that_is_not_installed_is_named_with_what_to_type() -> None:
    with_rustup, without = (
        [*plan(machine("3.13", has_rustup=has_rustup), [MACOS])] for has_rustup in (True, False)
    )
    (missing,) = with_rustup
    assert isinstance(missing, Missing)
    assert missing.what == "macos-arm64"
    assert missing.type_next == "type: rustup target add aarch64-apple-darwin"
    (missing,) = without
    assert isinstance(missing, Missing)
    assert "rust-std for aarch64-apple-darwin" in missing.type_next


def test_a_host_outside_the_matrix_builds_what_it_has_targets_for() -> None:
    other = Machine("riscv64gc-unknown-linux-gnu", frozenset({HOST}), {}, has_rustup=True)
    steps = [*plan(other)]
    assert [step.platform.name for step in steps if isinstance(step, Build)] == ["glibc-x86_64"]
    assert len([step for step in steps if isinstance(step, Missing)]) == len(PLATFORMS) - 1


def test_platforms_are_asked_for_by_name() -> None:
    assert named([]) == PLATFORMS
    assert named(["macos-arm64"]) == (MACOS,)
    with pytest.raises(ValueError, match="no platform 'windows': there are glibc-x86_64, musl-"):
        named(["windows"])

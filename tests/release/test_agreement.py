"""What is said in several places is the same in all of them, and what is not is found."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from release.agreement import Repository, changelog

ROOT = Path(__file__).parents[2]
FILES = [
    *("Cargo.toml", "Cargo.lock", "fuzz/Cargo.toml", "pyproject.toml"),
    *("bench/load/pyproject.toml", "release/requirements.txt"),
    *("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/tutorial/index.md"),
    *("tests/requirements.txt", "tests/requirements-fuzzing.txt"),
]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def test_this_repository_agrees_with_itself() -> None:
    assert list(Repository(ROOT).disagreements()) == []


@pytest.mark.parametrize(
    ("name", "old", "new", "complaint"),
    [
        ("Cargo.toml", 'version = "0.1.0"', 'version = "0.2.0"', "Cargo.lock: ferrio-engine 0.1.0"),
        ("Cargo.toml", 'rust-version = "1.88"', 'rust-version = "1.90"', "README.md: Rust 1.88"),
        ("pyproject.toml", ">=3.11", ">=3.12", "pyproject.toml: requires-python >=3.12"),
        ("pyproject.toml", "Python :: 3.15", "Python :: 3.16", "pyproject.toml: classifiers for"),
        ("pyproject.toml", "maturin==1.16.0", "maturin==1.17.0", "release/requirements.txt: matu"),
        ("README.md", "CPython 3.11 to 3.15", "CPython 3.11 to 3.14", "README.md: CPython 3.11 to"),
        ("docs/tutorial/index.md", "ferrio 0.1.0", "ferrio 0.0.9", "docs/tutorial/index.md: ferri"),
    ],
)
def test_a_disagreement_is_found(copy: Path, name: str, old: str, new: str, complaint: str) -> None:
    text = (copy / name).read_text()
    assert old in text
    (copy / name).write_text(text.replace(old, new))
    found = list(Repository(copy).disagreements())
    assert any(line.startswith(complaint) for line in found), found


RELEASED = "# Changelog\n\n## Unreleased\n\n## 0.1.0 - 2027-01-31\n\n- The first.\n"
UNRELEASED = "# Changelog\n\n## Unreleased\n\n- The first.\n"


def test_what_is_released_has_a_heading_with_its_day() -> None:
    assert list(changelog(RELEASED, "0.1.0", "v0.1.0")) == []
    (complaint,) = changelog(UNRELEASED, "0.1.0", "v0.1.0")
    assert complaint == (
        "CHANGELOG.md: no heading `## 0.1.0 - YYYY-MM-DD`, with the day of the release"
    )


def test_until_then_it_may_be_unreleased() -> None:
    assert list(changelog(UNRELEASED, "0.1.0", None)) == []
    assert list(changelog("# Changelog\n", "0.1.0", None))
    assert list(changelog("# Changelog\n\n## Unreleased\n", "0.1.0", None)) == [
        "CHANGELOG.md: nothing under `## Unreleased`; an entry begins with `- `"
    ]


def test_the_tag_is_the_version() -> None:
    (complaint,) = changelog(RELEASED, "0.1.0", "0.1.0")
    assert complaint == "the tag is 0.1.0, and Cargo.toml says 0.1.0: it should be v0.1.0"

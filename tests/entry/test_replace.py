"""`install(replace=True)`: asyncio's own names mean ferrio's objects until `uninstall`."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import ferrio
import pytest
from ferrio import _replace, aio

#: Where each name stands: module, name.
PLACES = [
    (place, name)
    for module, names in aio.REPLACED.items()
    for name in names
    for place in (module, "asyncio")
    if hasattr(sys.modules[place], name)
]


def now() -> dict[tuple[str, str], Any]:
    return {(place, name): getattr(sys.modules[place], name) for place, name in PLACES}


@pytest.fixture(autouse=True)
def before() -> Iterator[dict[tuple[str, str], Any]]:
    """What stands there before, and again afterwards."""
    found = now()
    yield found
    for (place, name), theirs in found.items():
        setattr(sys.modules[place], name, theirs)
    ferrio.uninstall()
    _replace._found.clear()


@pytest.fixture
def ours() -> dict[tuple[str, str], Any]:
    return {(place, name): getattr(aio, name) for place, name in PLACES}


Names = dict[tuple[str, str], Any]


def test_every_name_is_ferrios_until_uninstall(before: Names, ours: Names) -> None:
    assert not any(before[place] is ours[place] for place in PLACES)
    ferrio.install(replace=True)
    assert now() == ours
    assert type(asyncio.new_event_loop()) is ferrio.Loop
    ferrio.uninstall()
    assert now() == before


def test_without_replace_no_name_changes(before: Names) -> None:
    ferrio.install()
    assert now() == before
    ferrio.uninstall()
    assert now() == before


def test_both_are_idempotent(before: Names, ours: Names) -> None:
    ferrio.uninstall()
    ferrio.install(replace=True)
    ferrio.install(replace=True)
    ferrio.install()
    assert now() == ours
    ferrio.uninstall()
    ferrio.uninstall()
    assert now() == before


def test_a_later_replace_adds_to_an_install(before: Names, ours: Names) -> None:
    ferrio.install()
    ferrio.install(replace=True)
    assert now() == ours
    ferrio.uninstall()
    assert now() == before


def test_what_others_put_on_top_is_theirs(
    before: Names, ours: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = type("Event", (), {})
    ferrio.install(replace=True)
    monkeypatch.setattr(asyncio, "Event", theirs)
    ferrio.uninstall()
    assert asyncio.Event is theirs
    assert asyncio.locks.Event is before["asyncio.locks", "Event"]
    # Ours comes back to light, and can still be taken away.
    monkeypatch.undo()
    assert asyncio.Event is ours["asyncio", "Event"]
    ferrio.uninstall()
    assert now() == before


def test_replaced_over_others_they_come_back(
    before: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = type("Event", (), {})
    ferrio.install(replace=True)
    monkeypatch.setattr(asyncio, "Event", theirs)
    ferrio.install(replace=True)
    assert asyncio.Event is aio.Event
    ferrio.uninstall()
    assert asyncio.Event is theirs
    assert asyncio.locks.Event is before["asyncio.locks", "Event"]


def test_completes_what_is_half_replaced(before: Names, ours: Names) -> None:
    ferrio.install(replace=True)
    # One name was put back by hand.
    asyncio.Event = before["asyncio", "Event"]  # type: ignore[misc]
    ferrio.install(replace=True)
    assert now() == ours
    asyncio.Event = before["asyncio", "Event"]  # type: ignore[misc]
    ferrio.uninstall()
    assert now() == before


def test_from_many_threads(before: Names) -> None:
    barrier = threading.Barrier(4)

    def turn() -> None:
        barrier.wait(60)
        for _ in range(50):
            ferrio.install(replace=True)
            ferrio.uninstall()

    threads = [threading.Thread(target=turn) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    ferrio.uninstall()
    assert now() == before


def test_classes_are_asyncios_to_isinstance(before: Names) -> None:
    for (place, name), theirs in before.items():
        if isinstance(theirs, type):
            assert issubclass(getattr(aio, name), theirs), (place, name)


def test_the_namespace_is_all_of_asyncios() -> None:
    for name in dir(asyncio):
        if not name.startswith("__"):
            assert hasattr(aio, name), name
    assert set(asyncio.__all__) <= set(aio.__all__)
    assert set(dir(asyncio)) <= set(dir(aio))
    assert aio.tasks is asyncio.tasks
    assert aio._get_running_loop is asyncio._get_running_loop
    with pytest.raises(AttributeError):
        aio.nothing_of_this_name  # noqa: B018


@pytest.mark.parametrize("runner", [[], ["-m", "ferrio", "run"]], ids=["asyncio", "ferrio run"])
def test_the_program_that_mypy_checks_runs(runner: list[str]) -> None:
    argv = [sys.executable, *runner, "tests/typing/aio_program.py"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "all as asyncio has it\n", "")


def test_importing_the_package_does_not_import_the_classes() -> None:
    source = "import ferrio, sys; print('ferrio.aio' in sys.modules)"
    argv = [sys.executable, "-c", source]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "False\n"
